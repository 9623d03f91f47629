"""The page's files and the API on one port, while the model is still loading: nothing is started here."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from hatcat.server import app as app_module
from hatcat.server.app import create_app
from hatcat.settings import load_settings
from tests.server.running import chat
from tests.server.test_bad_input import check_error


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One request to an application with a page, whose engine was never started."""
    (tmp_path / "index.html").write_text("<h1>page</h1>")
    monkeypatch.setattr(app_module, "page_folder", lambda: tmp_path)
    app = create_app(load_settings(cache=tmp_path / "cache", ui_port=3000))

    def ask(method: str, path: str, **options: object) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost:3000") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    return ask


def test_the_page_is_served_and_can_load_nothing_foreign(ask) -> None:
    answer = ask("GET", "/")
    assert (answer.status_code, answer.text) == (200, "<h1>page</h1>")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_no_file_outside_the_page(ask, tmp_path: Path) -> None:
    (tmp_path.parent / "secret").write_text("secret")
    for path in ("/../secret", "/%2e%2e/secret", "/..%2fsecret", "//etc/passwd", "/%00"):
        assert ask("GET", path).status_code in {404, 400}, path


def test_the_api_keeps_its_own_errors_beside_the_page(ask) -> None:
    assert check_error(ask("GET", "/v1/nope"), 404)["code"] == "not_found"
    assert check_error(ask("POST", "/v1/nope", json={}), 404)["code"] == "not_found"
    wrong = ask("GET", "/v1/chat/completions")
    assert check_error(wrong, 405)["code"] == "method_not_allowed"
    assert wrong.headers["allow"] == "POST"


def test_before_the_model_is_there(ask) -> None:
    assert ask("GET", "/health").status_code == 200
    ready = ask("GET", "/ready")
    assert (ready.status_code, ready.json()["state"]) == (503, "starting")
    assert ask("GET", "/ping").status_code == 204
    refused = ask("POST", "/v1/chat/completions", json=chat())
    assert check_error(refused, 503)["code"] == "engine_starting"
    assert refused.headers["retry-after"]
    assert ask("GET", "/v1/models").json()["data"] == []
    assert ask("GET", "/v1/hatcat/info").json()["state"] == "starting"
