"""The web application: routes, who may call, how errors look, and the page."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import hatcat
from hatcat.runtime.supervisor import Runtime
from hatcat.server import errors, health, openai, own
from hatcat.server.schema import ChatChunk
from hatcat.settings import Settings, is_loopback

# What the page needs and no more: its own files and its own origin.
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS = {
    "Content-Security-Policy": _CSP, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
}  # fmt: skip
MAX_BODY = 16 << 20


def page_folder() -> Path:
    """Where the built page lies; it may be missing in a checkout that has not built it."""
    return Path(str(files("hatcat"))) / "data" / "ui"


def create_app(settings: Settings, runtime: Runtime | None = None) -> FastAPI:
    """The application. Its lifespan starts and stops ``runtime`` (by default one made from the settings)."""
    engine = runtime or Runtime(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await engine.start()
        yield
        await engine.stop()

    app = FastAPI(
        title="hatcat", version=hatcat.__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        openapi_url="/openapi.json",
    )  # fmt: skip
    app.state.settings, app.state.runtime = settings, engine
    errors.install(app)
    app.include_router(health.router)
    app.include_router(openai.router)
    app.include_router(own.router)
    page = page_folder()
    if settings.ui_port is not None and (page / "index.html").is_file():
        app.router.routes.append(_Page("/", StaticFiles(directory=page, html=True)))
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.cors_origins, allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "x-hatcat-key"],
        )  # fmt: skip
    app.add_middleware(Guard, settings=settings)
    app.openapi = partial(_document, app)  # type: ignore[method-assign]
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the streamed frame, which FastAPI finds in no signature."""
    document = FastAPI.openapi(app)
    frame = ChatChunk.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    known = document["components"]["schemas"]
    for name, schema in {**frame.pop("$defs"), "ChatChunk": frame}.items():
        known.setdefault(name, schema)
    return document


class _Page(Mount):
    """The page's files. They leave /v1 alone, so that what is wrong there is told by the API."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return (Match.NONE, {}) if scope["path"].startswith("/v1/") else super().matches(scope)


class Guard:
    """Refuse foreign Host headers (DNS rebinding), missing keys and huge bodies, before anything is read.

    Plain ASGI: a middleware that wraps responses would stand between a stream and its client.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._key = settings.api_key.get_secret_value() if settings.api_key else None
        public = urlsplit(settings.public_url).hostname if settings.public_url else None
        self._hosts = {settings.host, public}
        self._any_host = not is_loopback(settings.host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Request(scope))
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > MAX_BODY:  # a body sent in pieces, without its length
                raise errors.BodyTooLarge(MAX_BODY)
            return message

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start" and not scope["path"].startswith("/v1/"):
                MutableHeaders(scope=message).update(_PAGE_HEADERS)
            await send(message)

        await self._app(scope, counted, with_headers)

    def _refusal(self, request: Request) -> Response | None:
        host = request.url.hostname or ""
        if not (self._any_host or is_loopback(host) or host in self._hosts):
            return errors.response(403, f"the host {host!r} is not served here; see --public-url", code="foreign_host")
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY:
            error = errors.BodyTooLarge(MAX_BODY)
            return errors.response(error.status, error.message, code=error.code)
        needs_key = request.url.path.startswith("/v1/") and request.method != "OPTIONS"
        if self._key is not None and needs_key and not _has_key(request, self._key):
            return errors.response(401, "a valid key is needed: Authorization: Bearer …", code="invalid_api_key")
        return None


def _has_key(request: Request, key: str) -> bool:
    given = request.headers.get("x-hatcat-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
    return secrets.compare_digest(given.encode(), key.encode())
