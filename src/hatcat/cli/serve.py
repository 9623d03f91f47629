"""`hatcat up` and `hatcat serve`: the server, with and without the comforts of a first start."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import sys
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr

from hatcat.cli.output import ModelOption, PackOption, ThreadsOption, report, stderr
from hatcat.errors import EngineError, InvalidRequest
from hatcat.settings import Settings, is_loopback, load_settings

HostOption = Annotated[str | None, typer.Option(help="Address to listen on.")]
PortOption = Annotated[int | None, typer.Option(help="Port of the API (8000).")]
UiPortOption = Annotated[int | None, typer.Option("--ui-port", help="Port of the page (3000).")]
NoUiOption = Annotated[bool, typer.Option("--no-ui", help="Serve the API only.")]
ContextOption = Annotated[int | None, typer.Option(help="Tokens a conversation may have.")]
CacheOption = Annotated[Path | None, typer.Option(help="Folder for models and trained packs.")]
PublicOption = Annotated[str | None, typer.Option("--public-url", help="Address under which a tunnel shows this.")]
OriginOption = Annotated[list[str] | None, typer.Option("--cors-origin", help="Exact origin that may call the API.")]
NoAuthOption = Annotated[
    bool | None, typer.Option("--no-auth-i-know", help="Serve others than this machine without a key.")
]


def up(
    model: ModelOption = None, pack: PackOption = None, host: HostOption = None, port: PortOption = None,
    ui_port: UiPortOption = None, no_ui: NoUiOption = False, context: ContextOption = None,
    threads: ThreadsOption = None, cache: CacheOption = None, public_url: PublicOption = None,
    cors_origin: OriginOption = None, no_auth: NoAuthOption = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Don't open the page in a browser.")] = False,
) -> None:  # fmt: skip
    """Fetch what is missing, start the server and open the page."""
    from hatcat.engines.gpu import gpu_hint

    settings = _settings(locals())
    if hint := gpu_hint():
        report(hint)
    _run(settings, open_page=not no_open and not no_ui and sys.stdout.isatty())


def serve(
    model: ModelOption = None, pack: PackOption = None, host: HostOption = None, port: PortOption = None,
    ui_port: UiPortOption = None, no_ui: NoUiOption = False, context: ContextOption = None,
    threads: ThreadsOption = None, cache: CacheOption = None, public_url: PublicOption = None,
    cors_origin: OriginOption = None, no_auth: NoAuthOption = None,
) -> None:  # fmt: skip
    """Start the server: the API on :8000, the page and the same API on :3000."""
    _run(_settings(locals()), open_page=False)


def _settings(flags: dict[str, Any]) -> Settings:
    """Settings from a command's flags. A server that others can reach needs a key: one is made and shown once."""
    names = ("model", "pack", "host", "port", "ui_port", "context", "threads", "cache", "public_url", "no_auth")
    settings = load_settings(**{name: flags[name] for name in names}, cors_origins=flags["cors_origin"])
    if flags["no_ui"]:
        settings = settings.model_copy(update={"ui_port": None})
    if settings.ui_port == settings.port:
        raise InvalidRequest(f"the API and the page can't both have port {settings.port}", param="ui_port")
    if settings.exposed and settings.api_key is None and not settings.no_auth:
        key = f"hatcat-{secrets.token_urlsafe(24)}"
        stderr.print("Others can reach this server, so it needs a key. This one is shown once:", style="bold")
        stderr.print(f"  {key}", markup=False, soft_wrap=True)
        stderr.print("Keep it in HATCAT_API_KEY to use it again.", style="dim")
        settings = settings.model_copy(update={"api_key": SecretStr(key)})
    return settings


def _run(settings: Settings, *, open_page: bool) -> None:
    from hatcat.engines.models import find_model
    from hatcat.monitor.load import load_concepts
    from hatcat.server.app import page_folder

    load_concepts(settings)  # what is wrong with a name or a file is said here, before anything is started
    find_model(settings.model, settings.cache, report)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    sockets = [listen(settings.host, settings.port, "--port")]
    if settings.ui_port is not None:
        if (page_folder() / "index.html").is_file():
            sockets.append(listen(settings.host, settings.ui_port, "--ui-port"))
        else:
            report("the page is not built (`make setup` builds it): serving the API only")
            settings = settings.model_copy(update={"ui_port": None})
    failure = asyncio.run(_serve(settings, sockets, open_page=open_page))
    if failure:
        raise EngineError(failure)


def listen(host: str, port: int, flag: str) -> socket.socket:
    """A listening socket. Raises InvalidRequest saying which flag chooses another port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, not 0: only then does asyncio switch off the delay that would hold tokens back (TCP_NODELAY).
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except (OSError, OverflowError) as error:
        sock.close()
        raise InvalidRequest(
            f"{host}:{port} can't be listened on ({error}). Another hatcat may be running; choose a port with {flag}"
        ) from error
    sock.listen(128)
    return sock


async def _serve(settings: Settings, sockets: list[socket.socket], *, open_page: bool) -> str | None:
    """Serve until interrupted. Returns what went wrong if the model does not load."""
    import uvicorn

    from hatcat.runtime.supervisor import Runtime
    from hatcat.server.app import create_app

    runtime = Runtime(settings)
    config = uvicorn.Config(
        create_app(settings, runtime), log_config=None, access_log=False, timeout_graceful_shutdown=5,
        server_header=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=sockets))
    while not server.started and not serving.done():
        await asyncio.sleep(0.02)
    try:
        await runtime.ready()
    except EngineError as error:
        if server.should_exit:  # interrupted while the model was loading
            await serving
            return None
        server.should_exit = True
        await serving
        return error.message
    _greet(settings, runtime.model or {})
    if open_page and settings.ui_port is not None:
        webbrowser.open(f"http://localhost:{settings.ui_port}")
    watcher = asyncio.create_task(_tell_training(runtime))
    await serving
    watcher.cancel()
    return None


async def _tell_training(runtime: Any) -> None:
    """Say in the terminal how far background training is, every half minute, and when it is done."""
    told = False
    while True:
        training = (runtime.pack or {}).get("training")
        if training:
            eta = training["eta_seconds"]
            left = f", about {eta / 60:.0f} min left" if eta else ""
            report(f"{training['stage']}: {training['done']} of {training['total']}{left}")
            told = True
        elif told:
            report(f"lenses: {(runtime.pack or {}).get('state')}")
            told = False
        await asyncio.sleep(10 if told else 2)


def _greet(settings: Settings, model: dict[str, Any]) -> None:
    host = "localhost" if is_loopback(settings.host) else settings.host
    stderr.print(f"hatcat serves {model.get('name')} ({model.get('quantisation')})", markup=False)
    stderr.print(f"  API   http://{host}:{settings.port}/v1", markup=False)
    if settings.ui_port is not None:
        stderr.print(f"  page  http://{host}:{settings.ui_port}", markup=False)
