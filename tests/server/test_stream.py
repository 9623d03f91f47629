"""Streams as they go over the wire."""

from __future__ import annotations

import asyncio
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from hatcat.runtime import supervisor
from hatcat.server.app import create_app
from hatcat.settings import load_settings
from tests.server.running import NO_END, chat

PATH = "/v1/chat/completions"


def test_headers_frames_and_the_end(http: httpx.Client) -> None:
    body = chat(stream=True, max_tokens=6, hatcat={"detail": "tokens"})
    with http.stream("POST", PATH, json=body, headers={"accept-encoding": "gzip, br"}) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["x-accel-buffering"] == "no"
        assert "content-encoding" not in answer.headers
        assert "content-length" not in answer.headers
        raw = b"".join(answer.iter_raw())
    frames = raw.decode().split("\n\n")
    assert frames.pop() == ""
    assert frames[-1] == "data: [DONE]"
    assert frames.count("data: [DONE]") == 1
    for frame in frames[:-1]:
        assert frame.startswith(("data: {", ": "))
        if frame.startswith("data: "):
            assert json.loads(frame.removeprefix("data: "))["choices"]


def test_tokens_come_as_they_are_made(http: httpx.Client) -> None:
    times = []
    with http.stream("POST", PATH, json=chat(stream=True, max_tokens=32, logit_bias=NO_END)) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                times.append(time.monotonic())
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) >= 30
    # Each forward pass takes milliseconds; a buffered stream would come in one or two bursts.
    assert sum(gap > 0.001 for gap in gaps) > 16
    assert times[len(times) // 2] - times[0] > 0.25 * (times[-1] - times[0])


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_get_gets_no_stream(http: httpx.Client, stream: bool) -> None:
    assert http.get(PATH, params={"stream": stream}).status_code == 405


@pytest.mark.slow
def test_a_silent_stream_is_kept_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the engine works on a long prompt, comments say that the line is not dead, and clients skip them."""
    monkeypatch.setattr(supervisor, "_HEARTBEAT", 0.05)
    settings = load_settings(cache=tmp_path / "cache", context=1024, threads=1)
    app = create_app(settings.model_copy(update={"ui_port": None}))

    async def converse() -> list[str]:
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client,
        ):
            await app.state.runtime.ready()
            answer = await client.post(PATH, json=chat("word " * 400, stream=True, max_tokens=1, logit_bias=NO_END))
            assert answer.status_code == 200
            return answer.text.split("\n\n")

    frames = asyncio.run(converse())
    assert frames.count(": heartbeat") > 1
    chunks = [frame for frame in frames if frame.startswith("data: {")]
    assert json.loads(chunks[-1].removeprefix("data: "))["choices"][0]["finish_reason"] == "length"
    assert frames[-2:] == ["data: [DONE]", ""]


def test_heartbeats_and_the_end_of_a_client() -> None:
    """The watcher of a client, alone: it counts silence, and ends when the client does."""

    async def watch() -> list[str]:
        events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        watcher = asyncio.create_task(supervisor._watch_client(receive, events))
        found = [(await asyncio.wait_for(events.get(), 30))["event"]]
        gone.set()
        await asyncio.wait_for(watcher, 30)
        while not events.empty():
            found.append(events.get_nowait()["event"])
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervisor, "_HEARTBEAT", 0.01)
        found = asyncio.run(watch())
    assert found[0] == "heartbeat"
    assert found[-1] == "gone"
    assert found.count("gone") == 1


def test_small_answers_are_not_held_back(http: httpx.Client) -> None:
    """Headers and body, or one token and the next, go out at once: with Nagle's delay each would wait 40 ms for the
    other side's acknowledgement. The fastest of many, for a machine that is busy."""
    times = []
    for _ in range(30):
        start = time.monotonic()
        assert http.get("/health").status_code == 200
        times.append(time.monotonic() - start)
    assert min(times) < 0.03
