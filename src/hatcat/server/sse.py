"""Server-sent events: one JSON object each, errors in the stream as OpenAI sends them, `[DONE]` at the end."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import orjson
from fastapi.responses import StreamingResponse

from hatcat.errors import HatcatError
from hatcat.server import errors

log = logging.getLogger("hatcat.server")

HEARTBEAT = b": heartbeat\n\n"


def event_stream(objects: AsyncIterator[dict[str, Any] | None]) -> StreamingResponse:
    """Stream the objects; None is a heartbeat. Never compressed, never buffered by proxies that listen."""
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(_encode(objects), media_type="text/event-stream", headers=headers)


async def _encode(objects: AsyncIterator[dict[str, Any] | None]) -> AsyncIterator[bytes]:
    try:
        async for item in objects:
            yield HEARTBEAT if item is None else b"data: " + orjson.dumps(item) + b"\n\n"
        yield b"data: [DONE]\n\n"
    except HatcatError as error:
        yield b"data: " + orjson.dumps(errors.of(error)) + b"\n\n"
    except Exception as error:
        log.error("a stream failed", exc_info=error)
        failed = errors.body("internal error", kind="server_error", code="internal_error")
        yield b"data: " + orjson.dumps(failed) + b"\n\n"
