"""`hf:` models through huggingface_hub's own client, against a local server that speaks the hub's protocol."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

MODEL = b"GGUF" + bytes(range(256)) * 40
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FETCH = """
import json, sys
from pathlib import Path
from hatcat.engines.models import find_model
from hatcat.errors import HatcatError
try:
    found = find_model(sys.argv[1], Path(sys.argv[2]))
    print(json.dumps({"path": str(found.path), "source": found.source}))
except HatcatError as error:
    print(json.dumps({"error": error.message, "kind": type(error).__name__}))
"""


class Hub(BaseHTTPRequestHandler):
    """One repository with one file."""

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        there = self.path == "/lab/tiny/resolve/main/model.gguf"
        self.send_response(200 if there else 404)
        if there:
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(MODEL).hexdigest()}"')
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        body = MODEL if there else b""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def fetch(model: str, folder: Path, endpoint: str) -> dict[str, str]:
    env = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FETCH, model, str(folder / "cache")],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_model_is_fetched_once_checked_and_kept(hub: str, tmp_path: Path) -> None:
    found = fetch("hf:lab/tiny/model.gguf", tmp_path, hub)
    assert found["source"] == hashlib.sha256(MODEL).hexdigest()
    assert Path(found["path"]).read_bytes() == MODEL
    again = fetch("hf:lab/tiny/model.gguf", tmp_path, "http://127.0.0.1:9")  # nobody there: the kept file serves
    assert again == found


def test_what_the_hub_lacks_is_said_so(hub: str, tmp_path: Path) -> None:
    found = fetch("hf:lab/tiny/other.gguf", tmp_path, hub)
    assert found["kind"] == "EngineError"
    assert "hf:lab/tiny/other.gguf could not be fetched" in found["error"]
    assert "form hf:OWNER/REPO/FILE" in fetch("hf:lab", tmp_path, hub)["error"]
