"""The worker dies, the server dies: an error of a request, and nothing broken for the next start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.server.running import NO_END, Server, chat, launch, wait_for

PATH = "/v1/chat/completions"
LONG = chat(max_tokens=2000, stream=True, logit_bias=NO_END)


def stream_until(http: httpx.Client, killer: Any) -> list[dict[str, Any] | str]:
    """What a long stream brings after `killer` ran in its middle."""
    found: list[dict[str, Any] | str] = []
    with http.stream("POST", PATH, json=LONG) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            if not line.startswith("data: "):
                continue
            data = line.removeprefix("data: ")
            found.append(data if data == "[DONE]" else json.loads(data))
            if len(found) == 4:
                killer()
    return found


@pytest.mark.slow
def test_the_life_of_a_server(tmp_path: Path) -> None:
    with launch(tmp_path) as server:
        worker_killed_in_a_stream(server)
        worker_killed_under_a_whole_answer(server)
        last = server_killed_in_a_stream(server)
    wait_for(lambda: not psutil.pid_exists(last), "the worker outlives the server")
    with launch(tmp_path) as again:
        with again.http() as http:
            assert http.post(PATH, json=chat(max_tokens=2)).status_code == 200
        interrupted(again)


def worker_killed_in_a_stream(server: Server) -> None:
    """The stream ends with an error event, the server says what it does, and answers again soon."""
    first = server.worker()
    with server.http() as http:
        found = stream_until(http, first.kill)
    assert isinstance(found[-1], dict)
    assert found[-1]["error"]["code"] == "engine_restarting"
    assert found[-1]["error"]["type"] == "engine_error"
    assert all("choices" in frame for frame in found[:-1])
    assert server.state() == "restarting"
    wait_for(lambda: server.state() == "ready", "not ready again", 30)
    assert server.worker().pid != first.pid
    with server.http() as http:
        assert http.post(PATH, json=chat(max_tokens=2)).status_code == 200


def worker_killed_under_a_whole_answer(server: Server) -> None:
    """An answer that is not streamed ends with 503, as do requests that come before the engine is back."""
    with server.http() as http:
        timer = threading.Timer(0.7, server.worker().kill)
        timer.start()
        answer = http.post(PATH, json={**LONG, "stream": False})
        timer.join()
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "engine_restarting"
        early = http.post(PATH, json=chat(max_tokens=2))
        assert early.status_code == 503
        assert early.json()["error"]["code"] == "engine_restarting"
        assert early.headers["retry-after"]
        assert http.get("/health").status_code == 200
    server.wait_ready()


def server_killed_in_a_stream(server: Server) -> int:
    """The client sees the line break. Returns the worker's process id."""
    worker = server.worker().pid
    with server.http() as http, pytest.raises(httpx.TransportError):
        stream_until(http, server.process.kill)
    assert server.process.wait(30) == -signal.SIGKILL
    return worker


def interrupted(server: Server) -> None:
    """Ctrl-C in a terminal reaches server and worker at once: both go, nothing is printed but words."""
    worker = server.worker().pid
    start = time.monotonic()
    os.killpg(server.process.pid, signal.SIGINT)
    server.process.wait(30)
    assert time.monotonic() - start < 20
    wait_for(lambda: not psutil.pid_exists(worker), "the worker outlives the server")
    assert "Traceback" not in server.printed(), server.printed()


def test_a_taken_port_is_told_with_the_flag(server: Server, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatcat", "serve", "--no-ui", "--port", str(server.port)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 2
    assert str(server.port) in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr
