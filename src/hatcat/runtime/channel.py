"""What crosses between server and worker: JSON messages, each behind its length, over a socket pair. No pickle."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from typing import Any

import orjson

from hatcat.errors import HatcatError

MAX_MESSAGE = 64 << 20
_LENGTH = struct.Struct(">I")


def encode(message: dict[str, Any]) -> bytes:
    body = orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    return _LENGTH.pack(len(body)) + body


class WorkerChannel:
    """The worker's end: blocking, one reader thread, writes from any thread."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._write = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        data = encode(message)
        with self._write:
            self._sock.sendall(data)

    def receive(self) -> dict[str, Any] | None:
        """The next message; None when the server has gone."""
        head = self._exactly(_LENGTH.size)
        if head is None:
            return None
        body = self._exactly(_LENGTH.unpack(head)[0])
        message: dict[str, Any] | None = orjson.loads(body) if body is not None else None
        return message

    def _exactly(self, n: int) -> bytes | None:
        data = bytearray()
        while len(data) < n:
            try:
                part = self._sock.recv(n - len(data))
            except ConnectionError:  # the server was killed and left something unread
                part = b""
            if not part:
                return None
            data += part
        return bytes(data)


async def receive(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """The server's end: the next message, None when the worker has gone."""
    try:
        head = await reader.readexactly(_LENGTH.size)
        length = _LENGTH.unpack(head)[0]
        if length > MAX_MESSAGE:
            return None
        message: dict[str, Any] = orjson.loads(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return message


def error_message(error: Exception) -> dict[str, Any]:
    """An error as it crosses: enough to raise it again as what it was."""
    if isinstance(error, HatcatError):
        return {
            "event": "error", "status": error.status, "type": error.type, "message": error.message,
            "param": error.param, "code": error.code,
        }  # fmt: skip
    return {
        "event": "error", "status": 500, "type": "server_error", "message": f"internal error: {type(error).__name__}",
        "param": None, "code": "internal_error",
    }  # fmt: skip


class RemoteError(HatcatError):
    """An error that the worker reported, with its own status."""

    def __init__(self, message: dict[str, Any]) -> None:
        super().__init__(message["message"], param=message["param"], code=message["code"])
        self.status, self.type = message["status"], message["type"]
