"""Who may call: keys, origins, and what never leaks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import openai
import psutil
import pytest

from tests.server.running import KEY, MODEL, Server, chat
from tests.server.test_bad_input import check_error

ALLOWED = "https://chat.example.org"


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer"}, {"authorization": f"Basic {KEY}"},
        {"x-hatcat-key": "wrong"}, {"x-hatcat-key": ""}, {"authorization": f"Bearer {KEY}x"}, {"api-key": KEY},
        {"x-hatcat-key": "wrong", "authorization": f"Bearer {KEY}"}, {"authorization": "Bearer \u00fc"},
    ],
    ids=["none", "wrong", "empty", "basic", "wrong own", "empty own", "longer", "other", "both", "not ascii"],
)  # fmt: skip
def test_without_the_key_nothing_is_told(small: Server, headers: dict[str, str]) -> None:
    sent = {name: value.encode("latin-1") for name, value in headers.items()}
    with small.http() as http:
        for method, path in (
            ("GET", "/v1/models"), ("POST", "/v1/chat/completions"), ("GET", "/v1/hatcat/info"),
            ("POST", "/v1/hatcat/score"), ("GET", "/v1/nope"),
        ):  # fmt: skip
            error = check_error(http.request(method, path, headers=sent), 401)
            assert error["code"] == "invalid_api_key"
            assert KEY not in str(error)


@pytest.mark.parametrize("headers", [{"authorization": f"Bearer {KEY}"}, {"x-hatcat-key": KEY}], ids=["bearer", "own"])
def test_with_the_key_all_is_open(small: Server, headers: dict[str, str]) -> None:
    with small.http(headers=headers) as http:
        assert http.get("/v1/models").json()["data"][0]["id"] == MODEL
        assert http.post("/v1/chat/completions", json=chat(max_tokens=1)).status_code == 200
        check_error(http.get("/v1/nope"), 404)


def test_the_official_client_with_and_without_the_key(small: Server) -> None:
    with small.openai(KEY) as client:
        assert client.models.retrieve(MODEL).id == MODEL
    with small.openai("wrong") as client, pytest.raises(openai.AuthenticationError) as refusal:
        client.models.list()
    assert refusal.value.code == "invalid_api_key"


@pytest.mark.parametrize("path", ["/health", "/ready", "/ping", "/openapi.json"])
def test_health_needs_no_key(small: Server, path: str) -> None:
    with small.http() as http:
        assert http.get(path).status_code == 200


def test_the_key_shows_nowhere(small: Server) -> None:
    with small.http(headers={"authorization": f"Bearer {KEY}"}) as http:
        assert KEY not in http.get("/v1/hatcat/info").text
    for process in (psutil.Process(small.process.pid), small.worker()):
        assert KEY not in " ".join(process.cmdline())
    assert KEY not in small.printed()


def test_one_named_origin_may_call(small: Server) -> None:
    with small.http(headers={"authorization": f"Bearer {KEY}"}) as http:
        answer = http.get("/v1/models", headers={"origin": ALLOWED})
        assert answer.headers["access-control-allow-origin"] == ALLOWED
        assert "access-control-allow-credentials" not in answer.headers
    with small.http() as http:  # a browser's preflight carries no key
        preflight = http.options(
            "/v1/chat/completions",
            headers={
                "origin": ALLOWED, "access-control-request-method": "POST",
                "access-control-request-headers": "authorization, content-type",
            },
        )  # fmt: skip
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == ALLOWED
    assert "access-control-allow-credentials" not in preflight.headers


@pytest.mark.parametrize(
    "origin",
    [
        "http://chat.example.org", "https://chat.example.org:444", "https://evil.example", "null",
        "https://chat.example.org.evil.example", "https://a.chat.example.org", "http://localhost:3000",
    ],
)  # fmt: skip
def test_other_origins_may_not(small: Server, origin: str) -> None:
    ask = {"origin": origin, "access-control-request-method": "POST"}
    with small.http(headers={"authorization": f"Bearer {KEY}"}) as http:
        for answer in (http.get("/v1/models", headers=ask), http.options("/v1/chat/completions", headers=ask)):
            assert "access-control-allow-origin" not in answer.headers


def test_without_named_origins_there_is_no_cors(http: httpx.Client) -> None:
    ask = {"origin": "https://chat.example.org", "access-control-request-method": "POST"}
    answers = [http.get("/v1/models", headers=ask), http.options("/v1/chat/completions", headers=ask)]
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert answers[1].status_code == 405


@pytest.mark.parametrize("origin", ["*", "https://*.example.org", "chat.example.org", "https://a.example/path"])
def test_an_inexact_origin_is_no_setting(tmp_path: Path, origin: str) -> None:
    command = [sys.executable, "-m", "hatcat", "serve", "--no-ui", "--cors-origin", origin]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 2
    assert "not an exact origin" in done.stderr
    assert "Traceback" not in done.stderr
