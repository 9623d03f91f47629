"""Real servers in processes of their own, and what tests ask them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil

MODEL = "smollm2"
KEY = "hatcat-test-key-7b1f"
# Ends nothing early: the model's end-of-turn and end-of-text tokens never come.
NO_END = {"0": -100, "2": -100}
# The machine may be busy with other things; what is waited for takes a tenth of this when it is not.
PATIENCE = 60.0


@dataclass
class Server:
    """A running server. ``log`` holds all it and its worker printed."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    environment: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def http(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=PATIENCE, **options)

    def openai(self, key: str = "none") -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=PATIENCE)

    def worker(self) -> psutil.Process:
        """The child process that owns the model."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        (worker,) = [child for child in children if "hatcat.runtime.worker" in child.cmdline()]
        return worker

    def state(self) -> str:
        """What /ready says; `unreachable` if nothing answers."""
        try:
            answer = httpx.get(f"{self.url}/ready", timeout=PATIENCE)
        except httpx.TransportError:
            return "unreachable"
        state = answer.json()["state"]
        assert answer.status_code == (200 if state == "ready" else 503)
        return str(state)

    def wait_ready(self) -> None:
        wait_for(lambda: self.state() == "ready" or self.process.poll() is not None, f"no model\n{self.printed()}")
        assert self.process.poll() is None, f"the server ended\n{self.printed()}"

    def printed(self) -> str:
        return self.log.read_text(errors="replace")


def wait_for(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> float:
    """Wait until a condition holds; the seconds that it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, f"after {seconds} s still: {what}"
        time.sleep(0.05)
    return time.monotonic() - start


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def chat(prompt: str = "Tell me a story.", **fields: Any) -> dict[str, Any]:
    """The body of a chat request."""
    return {"model": MODEL, "messages": [{"role": "user", "content": prompt}], **fields}


@contextmanager
def launch(folder: Path, **environment: str) -> Iterator[Server]:
    """A server with its cache in ``folder`` and settings from the environment, ready to answer; killed at the end."""
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HATCAT_")}
    # One thread: with more, each step waits for whatever else keeps a processor of this machine busy.
    full = {**clean, "HATCAT_CACHE": str(folder / "cache"), "HATCAT_THREADS": "1", **environment}
    log = folder / f"server-{port}.log"
    command = [sys.executable, "-m", "hatcat", "serve", "--port", str(port), "--no-ui"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=full, cwd=folder, stdout=out, stderr=out, start_new_session=True)
    server = Server(process, port, log, full)
    try:
        server.wait_ready()
        yield server
    finally:
        process.kill()
        process.wait()
