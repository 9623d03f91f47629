"""Errors a user can do something about.

Each carries the HTTP status and OpenAI error fields it becomes at the API, and the exit code it becomes at the
command line (2 wrong use, 3 something outside failed), so that both edges only have to print it.
"""

from __future__ import annotations


class HatcatError(Exception):
    """Base: a message for a person, the field it is about, a stable code."""

    status = 500
    type = "server_error"
    exit_code = 3

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code


class InvalidRequest(HatcatError):
    """The caller asked for something that cannot be: 400, exit 2."""

    status = 400
    type = "invalid_request_error"
    exit_code = 2


class NotFound(InvalidRequest):
    """An unknown model, concept or pack: 404, exit 2."""

    status = 404


class PackError(HatcatError):
    """A concept or lens pack that cannot be used: broken, or made for another model."""

    status = 400
    type = "invalid_request_error"
    exit_code = 2


class EngineError(HatcatError):
    """The model or its library does not load or stopped working."""

    status = 503
    type = "engine_error"


class Unavailable(HatcatError):
    """Not now: starting, restarting or full. 503."""

    status = 503
    type = "unavailable_error"
