"""The server's side of the worker: starts it, talks to it, and starts it again when it dies."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import aclosing, suppress
from typing import Any

from hatcat.errors import EngineError, InvalidRequest, Unavailable
from hatcat.monitor.job import Job
from hatcat.runtime.channel import RemoteError, encode
from hatcat.runtime.channel import receive as receive_message
from hatcat.settings import Settings

log = logging.getLogger("hatcat.runtime")

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_WORKER_SETTINGS = ("model", "pack", "context", "threads", "gpu_layers", "cache")
_LONGEST_BACKOFF = 30.0
_HEARTBEAT = 15.0
_PATIENCE = 3.0
# Events a reader may lag behind before its request is ended: an answer's tokens fit, a stalled reader's memory too.
_BACKLOG = 8192


class Runtime:
    """One worker process. Every method runs in the event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Queue[dict[str, Any]]] = {}
        self._next = 1
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self.state = "starting"
        self.reason: str | None = None
        self.model: dict[str, Any] | None = None
        self.pack: dict[str, Any] | None = None
        self.cards: dict[str, float] = {}

    # --- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin starting the worker; `state` tells how far it is."""
        self._task = asyncio.create_task(self._supervise())

    async def ready(self) -> None:
        """Wait until the model is loaded. Raises EngineError if it can't be."""
        while self.state in {"starting", "restarting"}:
            self._changed.clear()
            await self._changed.wait()
        if self.state == "failed":
            raise EngineError(self.reason or "the engine failed")

    async def stop(self) -> None:
        """End the worker; requests in flight get an error."""
        self._set("failed", "the server is shutting down")
        self._end_all("the server is shutting down")
        if self._writer:
            self._writer.close()  # the worker leaves when its server does
        if self._process and self._process.returncode is None:
            try:
                await asyncio.wait_for(self._process.wait(), _PATIENCE)
            except TimeoutError:
                self._process.kill()
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _supervise(self) -> None:
        backoff = 1.0
        while True:
            loop = asyncio.get_running_loop()
            started = loop.time()
            await self._run_worker()
            if self.state == "failed":
                return
            self._set("restarting", "the engine stopped and is being started again")
            self._end_all("the engine stopped while it worked on this request; it is being started again")
            backoff = 1.0 if loop.time() - started > 60 else min(backoff * 2, _LONGEST_BACKOFF)
            await asyncio.sleep(backoff)

    async def _run_worker(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            settings = self._settings.model_dump(mode="json", include=set(_WORKER_SETTINGS))
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "hatcat.runtime.worker", str(theirs.fileno()), json.dumps(settings),
                pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL,
                # One BLAS thread: more of them fight with the engine's own for the same processors.
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )  # fmt: skip
        ours.setblocking(False)
        reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        try:
            while (message := await receive_message(reader)) is not None:
                self._take(message)
        finally:
            if self._writer:
                self._writer.close()
            self._writer = None
            if self._process.returncode is None and self.state != "failed":
                self._process.kill()
            code = await self._process.wait()
            if self.state != "failed":
                log.warning("the worker ended with code %s", code)

    def _take(self, message: dict[str, Any]) -> None:
        if message["id"] == 0:
            if message["event"] == "fatal":
                self._set("failed", message["message"])
            else:
                self.model, self.pack, self.cards = message["model"], message["pack"], message["cards"]
                self._set("ready", None)
        elif (events := self._waiting.get(message["id"])) is not None:
            try:
                events.put_nowait(message)
            except asyncio.QueueFull:
                self._send({"op": "cancel", "id": message["id"]})

    def _set(self, state: str, reason: str | None) -> None:
        self.state, self.reason = state, reason
        self._changed.set()

    def _end_all(self, why: str) -> None:
        for events in self._waiting.values():
            while events.full():
                events.get_nowait()
            events.put_nowait({
                "event": "error", "status": 503, "type": "engine_error", "message": why, "param": None,
                "code": "engine_restarting",
            })  # fmt: skip

    # --- requests -----------------------------------------------------------------------------------------------

    async def generate(self, job: Job, receive: Receive | None = None) -> AsyncGenerator[dict[str, Any], None]:
        """Events of a generation (see ``monitor.job.run``) and a ``heartbeat`` every 15 s. Closing the iterator
        cancels it within a token; so does the client's going away, which ``receive`` (ASGI) tells.

        Raises Unavailable while there is no model or the queue is full, and what the worker reports.
        """
        message = {"op": "generate", "job": job.model_dump()}
        async with aclosing(self._request(message, "done", receive)) as events:
            async for event in events:
                if event["event"] != "done":
                    yield event

    async def score(self, message: dict[str, Any]) -> dict[str, Any]:
        """Readings of a text (see ``monitor.score``)."""
        result: dict[str, Any] = {}
        async with aclosing(self._request({"op": "score", **message}, "scored")) as events:
            async for event in events:
                result = {key: event[key] for key in ("tokens", "alerts", "summary")}
        return result

    async def _request(
        self, message: dict[str, Any], last: str, receive: Receive | None = None
    ) -> AsyncGenerator[dict[str, Any], None]:
        if self.state != "ready":
            raise Unavailable(self.reason or "the model is still loading", code=f"engine_{self.state}")
        if len(self._waiting) > self._settings.queue:
            raise Unavailable(f"{len(self._waiting)} requests are waiting already; try again later", code="queue_full")
        number, self._next = self._next, self._next + 1
        events = self._waiting[number] = asyncio.Queue(_BACKLOG)
        client = asyncio.create_task(_watch_client(receive, events)) if receive else None
        done = False
        try:
            try:
                self._send({**message, "id": number})
            except TypeError as error:  # orjson: a lone surrogate, a number beyond 64 bits
                raise InvalidRequest(f"the request can't be passed to the engine: {error}") from error
            while not done:
                event = await events.get()
                if event["event"] == "gone":
                    return
                done = event["event"] in {"error", last}
                if event["event"] == "error":
                    raise RemoteError(event)
                yield event
        finally:
            del self._waiting[number]
            if client:
                client.cancel()
            if not done:
                self._send({"op": "cancel", "id": number})

    def _send(self, message: dict[str, Any]) -> None:
        data = encode(message)
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(data)


async def _watch_client(receive: Receive, events: asyncio.Queue[dict[str, Any]]) -> None:
    """Put ``gone`` among a request's events when its client has left, and a ``heartbeat`` now and then."""
    while True:
        try:
            message = await asyncio.wait_for(receive(), _HEARTBEAT)
        except TimeoutError:
            message = {"type": "heartbeat"}
        with suppress(asyncio.QueueFull):  # a reader that far behind is cut anyway
            if message["type"] == "http.disconnect":
                events.put_nowait({"event": "gone"})
                return
            if message["type"] == "heartbeat":
                events.put_nowait({"event": "heartbeat"})
