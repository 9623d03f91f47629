"""Every error leaves in OpenAI's shape, naming the field and the reason, and nothing of the server's insides."""

from __future__ import annotations

import logging
import re
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from hatcat.errors import HatcatError, InvalidRequest
from hatcat.server.schema import ErrorDetail, ErrorResponse

log = logging.getLogger("hatcat.server")

_RETRY_SECONDS = "2"


class BodyTooLarge(InvalidRequest):
    """413."""

    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes", code="body_too_large")


def body(
    message: str, *, kind: str = "invalid_request_error", param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """The error object."""
    return ErrorResponse(error=ErrorDetail(message=message, type=kind, param=param, code=code)).model_dump()


def response(status: int, message: str, **fields: Any) -> JSONResponse:
    """The error object as an answer. 503 tells when to come back."""
    headers = {"Retry-After": _RETRY_SECONDS} if status == 503 else None
    return JSONResponse(body(message, **fields), status_code=status, headers=headers)


def of(error: HatcatError) -> dict[str, Any]:
    """The error object of one of our own errors."""
    return body(error.message, kind=error.type, param=error.param, code=error.code)


def install(app: FastAPI) -> None:
    """Register the handlers."""

    @app.exception_handler(HatcatError)
    async def own(_: Request, error: HatcatError) -> JSONResponse:
        return response(error.status, error.message, kind=error.type, param=error.param, code=error.code)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        message, fields = _validation_fields(error)
        return response(400, message, **fields)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        if isinstance(error.__cause__, HatcatError):  # FastAPI wraps what reading a body raises
            return response(error.__cause__.status, error.__cause__.message, code=error.__cause__.code)
        if error.__cause__ is not None:
            return response(400, f"the body is not valid JSON: {_why(error.__cause__)}", code="invalid_json")
        answer = response(error.status_code, str(error.detail), code=_CODES.get(error.status_code))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return response(500, f"internal error: {type(error).__name__}", kind="server_error", code="internal_error")


_CODES = {404: "not_found", 405: "method_not_allowed"}


def _why(error: BaseException) -> str:
    """What is wrong with a body that does not even parse."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else "it can't be parsed"


# Fields of OpenAI's API that hatcat knows and does not support (yet), and why.
UNSUPPORTED = {
    "tools": "tool calls are not supported",
    "tool_choice": "tool calls are not supported; only 'none' is accepted",
    "parallel_tool_calls": "tool calls are not supported",
    "functions": "tool calls are not supported",
    "function_call": "tool calls are not supported",
    "response_format": "only {'type': 'text'} is supported",
    "modalities": "only text is supported",
    "audio": "only text is supported",
    "prediction": "predicted outputs are not supported",
    "reasoning_effort": "the models served here have no reasoning effort to set",
    "verbosity": "the models served here have no verbosity to set",
    "web_search_options": "web search is not supported",
    "metadata": "nothing is stored, so metadata would be lost",
    "store": "nothing is stored; only false is accepted",
    "service_tier": "there is one tier; only 'auto' and 'default' are accepted",
    "prompt_cache_key": "there is no prompt cache to steer",
    "prompt_cache_retention": "there is no prompt cache to steer",
    "safety_identifier": "there are no accounts to tell apart; use 'user'",
    "best_of": "only 1 is supported",
    "suffix": "insertion is not supported",
    "tool_calls": "tool calls are not supported",
    "tool_call_id": "tool calls are not supported",
}


# How pydantic names the branches of a union in the place of an error: no part of a field's name.
_BRANCH = re.compile(r"(constrained-)?(str|int)$|list\[|function-")


def _validation_fields(error: RequestValidationError) -> tuple[str, dict[str, Any]]:
    """Message and fields for the first thing wrong with a body. Of a union's branches the most telling one."""
    details = error.errors()
    detail = max(details, key=lambda d: (d["type"] == "extra_forbidden", len(d["loc"])))
    path = [str(part) for part in detail["loc"][1:] if not _BRANCH.match(str(part))]
    param = ".".join(path) or None
    if detail["type"] == "json_invalid":
        reason = detail.get("ctx", {}).get("error", "syntax error")
        return f"the body is not valid JSON: {reason}", {"code": "invalid_json"}
    if not path:
        return "the body must be a JSON object, sent with Content-Type: application/json", {"code": "invalid_json"}
    name = next((part for part in reversed(path) if part in UNSUPPORTED), None)
    if name is not None:
        return f"{param}: {UNSUPPORTED[name]}", {"param": param, "code": "unsupported_parameter"}
    if detail["type"] == "extra_forbidden":
        return f"{param} is not a parameter of this route", {"param": param, "code": "unknown_parameter"}
    return f"{param or 'body'}: {detail['msg']}", {"param": param, "code": "invalid_value"}
