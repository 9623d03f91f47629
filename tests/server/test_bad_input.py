"""Everything wrong that a client can send gets OpenAI's error object, which names the field, and harms nobody."""

from __future__ import annotations

import gzip
import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.server.running import MODEL, Server, chat

CHAT, TEXT, SCORE = "/v1/chat/completions", "/v1/completions", "/v1/hatcat/score"
JSON = {"content-type": "application/json"}
BILLION = 10**9


def text(prompt: Any = "Once", **fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "prompt": prompt, **fields}


def said(role: Any = "user", content: Any = "Hi", **fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": role, "content": content, **fields}]}


def check_error(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The answer is OpenAI's error object, and tells nothing of the server's insides."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["type"] in {"invalid_request_error", "unavailable_error", "engine_error"}
    assert not re.search(
        r"Traceback|\.py\b|File \"|/home/|/root/|/tmp/|site-packages|0x[0-9a-f]{6}|Error\(", answer.text
    )
    return error


@pytest.fixture(autouse=True)
def still_serving(http: httpx.Client) -> Iterator[None]:
    """After each test the server is alive and ready, and the worker is the same."""
    yield
    assert http.get("/ready").status_code == 200


WRONG: list[tuple[str, str, dict[str, Any], str | None]] = [
    ("no messages", CHAT, chat(messages=[]), "messages"),
    ("messages missing", CHAT, {"model": MODEL}, "messages"),
    ("messages null", CHAT, chat(messages=None), "messages"),
    ("messages a string", CHAT, chat(messages="hi"), "messages"),
    ("message a string", CHAT, chat(messages=["hi"]), "messages.0"),
    ("unknown role", CHAT, said("wizard"), "messages.0.role"),
    ("role missing", CHAT, chat(messages=[{"content": "hi"}]), "messages.0.role"),
    ("tool role", CHAT, said("tool"), "messages.0.role"),
    ("content missing", CHAT, chat(messages=[{"role": "user"}]), "messages.0.content"),
    ("content a number", CHAT, said(content=5), "messages.0.content"),
    ("a field of a message", CHAT, said(mood="good"), "messages.0.mood"),
    ("model missing", CHAT, {"messages": chat()["messages"]}, "model"),
    ("model a number", CHAT, chat(model=5), "model"),
    ("temperature 3", CHAT, chat(temperature=3), "temperature"),
    ("temperature below", CHAT, chat(temperature=-0.1), "temperature"),
    ("temperature text", CHAT, chat(temperature="hot"), "temperature"),
    ("temperature NaN", CHAT, chat(temperature=float("nan")), "temperature"),
    ("temperature infinite", CHAT, chat(temperature=float("inf")), "temperature"),
    ("top_p NaN", CHAT, chat(top_p=float("nan")), "top_p"),
    ("min_p NaN", CHAT, chat(min_p=float("nan")), "min_p"),
    ("penalty NaN", CHAT, chat(frequency_penalty=float("nan")), "frequency_penalty"),
    ("bias NaN", CHAT, chat(logit_bias={"1": float("nan")}), "logit_bias"),
    ("bias too large", CHAT, chat(logit_bias={"1": 101}), "logit_bias"),
    ("bias of a word", CHAT, chat(logit_bias={"hello": 1}), "logit_bias"),
    ("bias of no token", CHAT, chat(logit_bias={"99999999": 1}), "logit_bias"),
    ("bias of a negative", CHAT, chat(logit_bias={"-1": 1}), "logit_bias"),
    ("top_p 0", CHAT, chat(top_p=0), "top_p"),
    ("seed beyond 64 bits", CHAT, chat(seed=2**64), "seed"),
    ("stop a number", CHAT, chat(stop=5), "stop"),
    ("stop empty", CHAT, chat(stop=""), "stop"),
    ("too many stops", CHAT, chat(stop=["x"] * 17), "stop"),
    ("user too long", CHAT, chat(user="x" * 257), "user"),
    ("both limits", CHAT, chat(max_tokens=5, max_completion_tokens=5), "max_tokens"),
    ("top_logprobs alone", CHAT, chat(top_logprobs=2), "top_logprobs"),
    ("stream_options alone", CHAT, chat(stream_options={"include_usage": True}), "stream_options"),
    ("prompt missing", TEXT, {"model": MODEL}, "prompt"),
    ("prompt a number", TEXT, text(5), "prompt"),
    ("prompt empty", TEXT, text(""), "prompt"),
    ("prompt without ids", TEXT, text([]), "prompt"),
    ("prompt without ids, nested", TEXT, text([[]]), "prompt"),
    ("id beyond the vocabulary", TEXT, text([BILLION]), "prompt"),
    ("id far beyond", TEXT, text([10**30]), "prompt.0"),
    ("id below 0", TEXT, text([-1]), "prompt.0"),
    ("score of nothing", SCORE, {}, "text"),
    ("score of both", SCORE, {"text": "x", "messages": chat()["messages"]}, "text"),
    ("score of an empty text", SCORE, {"text": ""}, "text"),
    ("score, unknown field", SCORE, {"text": "x", "verbose": True}, "verbose"),
    ("hatcat a string", CHAT, chat(hatcat="tokens"), "hatcat"),
    ("hatcat unknown field", CHAT, chat(hatcat={"colour": 1}), "hatcat.colour"),
    ("detail unknown", CHAT, chat(hatcat={"detail": "everything"}), "hatcat.detail"),
    ("on_alert unknown", CHAT, chat(hatcat={"on_alert": "panic"}), "hatcat.on_alert"),
    ("stop without reading", CHAT, chat(hatcat={"detail": "off", "on_alert": "stop"}), "hatcat.on_alert"),
    ("unknown tag", CHAT, chat(hatcat={"watch": ["tag:nonsense"]}), "hatcat.watch"),
    ("watch too long", CHAT, chat(hatcat={"watch": ["deception"] * 257}), "hatcat.watch"),
    ("score, unknown tag", SCORE, {"text": "x", "watch": ["tag:nonsense"]}, "hatcat.watch"),
    *[(f"n {n}", path, body(n=n), "n") for path, body in ((CHAT, chat), (TEXT, text)) for n in (-1, 0, 9, BILLION)],
    *[(f"max_tokens {n}", CHAT, chat(max_tokens=n), "max_tokens") for n in (-1, 0, 4097, BILLION, 10**30)],
    *[
        (f"max_completion_tokens {n}", CHAT, chat(max_completion_tokens=n), "max_completion_tokens")
        for n in (-1, 0, 10**30)
    ],
    *[(f"max_tokens {n}, text", TEXT, text(max_tokens=n), "max_tokens") for n in (-1, 0, BILLION)],
    *[
        (f"top_logprobs {n}", CHAT, chat(logprobs=True, top_logprobs=n), "top_logprobs")
        for n in (-1, 21, BILLION)
    ],
    *[(f"logprobs {n}, text", TEXT, text(logprobs=n), "logprobs") for n in (-1, 21, BILLION)],
    *[(f"top {n}", CHAT, chat(hatcat={"top": n}), "hatcat.top") for n in (-1, 0, 51, BILLION)],
    *[(f"score, top {n}", SCORE, {"text": "x", "top": n}, "top") for n in (-1, 0, BILLION)],
]  # fmt: skip


CASES = [
    pytest.param(path, {**body, **how}, param, id=f"{name}{', streamed' if how else ''}")
    for name, path, body, param in WRONG
    for how in ({}, {"stream": True})
    if not how or (path != SCORE and "stream_options" not in body)
]


@pytest.mark.parametrize(("path", "body", "param"), CASES)
def test_a_wrong_field_is_named(http: httpx.Client, path: str, body: dict[str, Any], param: str | None) -> None:
    error = check_error(http.post(path, content=json.dumps(body).encode(), headers=JSON), 400)
    assert error["param"] == param


UNSUPPORTED: list[tuple[str, dict[str, Any], str]] = [
    (CHAT, chat(hatcat={"steer": [{"concept": "deception", "strength": 0.8}]}), "hatcat.steer"),
    (CHAT, chat(hatcat={"steer": []}), "hatcat.steer"),
    *[(CHAT, chat(hatcat={"second_look": when}), "hatcat.second_look") for when in ("always", "triggered", "end")],
    (CHAT, said(name="Ann"), "messages.0.name"),
    (CHAT, said("assistant", tool_calls=[]), "messages.0.tool_calls"),
    (CHAT, said("assistant", function_call={}), "messages.0.function_call"),
    (CHAT, chat(stream=True, stream_options={"include_obfuscation": True}), "stream_options.include_obfuscation"),
    (CHAT, chat(tools=[]), "tools"),
    (CHAT, chat(tool_choice="auto"), "tool_choice"),
    (CHAT, chat(response_format={"type": "json_object"}), "response_format.type"),
    (TEXT, text(["a", "b"]), "prompt"),
    (TEXT, text(best_of=2), "best_of"),
    (TEXT, text(suffix="end"), "suffix"),
    (TEXT, text(echo=True, logprobs=1), "echo"),
]


@pytest.mark.parametrize(("path", "body", "param"), UNSUPPORTED, ids=[case[2] for case in UNSUPPORTED])
def test_what_is_not_supported_says_so(http: httpx.Client, path: str, body: dict[str, Any], param: str) -> None:
    error = check_error(http.post(path, json=body), 400)
    assert (error["param"], error["code"]) == (param, "unsupported_parameter")


def test_a_picture_in_a_message_is_refused(http: httpx.Client) -> None:
    body = said(content=[{"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}])
    error = check_error(http.post(CHAT, json=body), 400)
    assert error["param"].startswith("messages.0.content")


@pytest.mark.parametrize(("path", "body"), [(CHAT, chat()), (TEXT, text())], ids=["chat", "text"])
def test_an_unknown_model(http: httpx.Client, path: str, body: dict[str, Any]) -> None:
    error = check_error(http.post(path, json={**body, "model": "gpt-9"}), 404)
    assert (error["param"], error["code"]) == ("model", "model_not_found")
    assert "gpt-9" in error["message"]
    assert MODEL in error["message"]


@pytest.mark.parametrize(
    ("path", "body"), [(CHAT, chat(hatcat={"watch": ["nonsense"]})), (SCORE, {"text": "x", "watch": ["nonsense"]})],
    ids=["chat", "score"],
)  # fmt: skip
def test_an_unknown_concept(http: httpx.Client, path: str, body: dict[str, Any]) -> None:
    error = check_error(http.post(path, json=body), 404)
    assert (error["param"], error["code"]) == ("hatcat.watch", "unknown_concept")
    assert "nonsense" in error["message"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (CHAT, chat("hello " * 6000), "messages"),
        (CHAT, chat("hello " * 6000, stream=True), "messages"),
        (TEXT, text("hello " * 6000), "prompt"),
        (TEXT, text([100] * 4096), "prompt"),
        (SCORE, {"text": "hello " * 6000}, "text"),
    ],
    ids=["chat", "stream", "text", "ids", "score"],
)
def test_a_prompt_over_the_context_is_told_both_counts(
    http: httpx.Client, path: str, body: dict[str, Any], param: str
) -> None:
    error = check_error(http.post(path, json=body), 400)
    assert (error["param"], error["code"]) == (param, "context_length_exceeded")
    counts = [int(found) for found in re.findall(r"\d+", error["message"])]
    assert len(counts) == 2
    assert 4095 <= counts[1] <= 4096 <= counts[0] < 7000


SURROGATES = [
    (CHAT, said(content="a\ud800b"), "messages.0.content"),
    (CHAT, said(content=[{"type": "text", "text": "\udfff"}]), "messages.0.content.0.text"),
    (CHAT, said("\ud800"), "messages.0.role"),
    (CHAT, chat(stop="\ud800"), "stop"),
    (CHAT, chat(stop=["ok", "\ud800"]), "stop.1"),
    (CHAT, chat(user="\ud800"), "user"),
    (CHAT, chat(hatcat={"watch": ["\ud800"]}), "hatcat.watch.0"),
    (CHAT, chat(logit_bias={"\ud800": 1}), "logit_bias"),
    (TEXT, text("\ud800"), "prompt"),
    (TEXT, text(["\ud800"]), "prompt.0"),
    (SCORE, {"text": "\ud800"}, "text"),
]


@pytest.mark.parametrize(("path", "body", "param"), SURROGATES, ids=[f"{c[0]} {c[2]}" for c in SURROGATES])
def test_a_lone_surrogate_is_refused_where_it_stands(
    http: httpx.Client, path: str, body: dict[str, Any], param: str
) -> None:
    content = json.dumps(body)
    assert "\\ud" in content
    assert check_error(http.post(path, content=content.encode(), headers=JSON), 400)["param"] == param


def test_a_lone_surrogate_as_a_name_or_a_model(http: httpx.Client) -> None:
    check_error(http.post(CHAT, content=json.dumps(chat(**{"\ud800": 1})).encode(), headers=JSON), 400)
    check_error(http.post(CHAT, content=json.dumps(chat(model="\ud800")).encode(), headers=JSON), 404)


VALID = json.dumps(chat(max_tokens=1)).encode()
NO_JSON: list[tuple[str, bytes, dict[str, str], str]] = [
    ("cut", b'{"model": "smollm2"', JSON, "not valid JSON"),
    ("empty", b"", JSON, "JSON object"),
    ("null", b"null", JSON, "JSON object"),
    ("a list", b"[]", JSON, "JSON object"),
    ("deep lists", b"[" * 100_000, JSON, "nested too deeply"),
    ("deep objects", b'{"a":' * 100_000, JSON, "nested too deeply"),
    ("deep within a field", b'{"model":"smollm2","tools":' + b"[" * 100_000 + b"]" * 100_000 + b"}", JSON, "deep"),
    ("a number of 5,000 digits", b'{"max_tokens":' + b"9" * 5000 + b"}", JSON, "not valid JSON"),
    ("not UTF-8", VALID.replace(b"story", b"\xff\xfe"), JSON, "not UTF-8"),
    ("cut UTF-8", VALID.replace(b"story", b"\xe2\x82"), JSON, "not UTF-8"),
    ("compressed", gzip.compress(VALID), {**JSON, "content-encoding": "gzip"}, "not UTF-8"),
    ("as text", VALID, {"content-type": "text/plain"}, "Content-Type: application/json"),
    ("as a form", b"model=smollm2", {"content-type": "application/x-www-form-urlencoded"}, "Content-Type"),
    ("without a type", VALID, {}, "Content-Type"),
]


@pytest.mark.parametrize(
    ("content", "headers", "reason"), [case[1:] for case in NO_JSON], ids=[case[0] for case in NO_JSON]
)
def test_a_body_that_is_no_json_object(
    http: httpx.Client, content: bytes, headers: dict[str, str], reason: str
) -> None:
    error = check_error(http.post(CHAT, content=content, headers=headers), 400)
    assert reason in error["message"]
    assert error["code"] == "invalid_json"


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "in pieces"])
def test_a_body_of_17_mb(server: Server, chunked: bool) -> None:
    body = b" " * (17 << 20)
    pieces = iter([body[i : i + (1 << 16)] for i in range(0, len(body), 1 << 16)])
    with server.http() as http:
        try:
            answer = http.post(CHAT, content=pieces if chunked else body, headers=JSON)
        except httpx.WriteError:  # answered and closed before all of it was sent: no harm either
            return
    assert check_error(answer, 413)["code"] == "body_too_large"


def test_a_body_whose_length_is_a_lie(server: Server) -> None:
    """The client says 17 MB and sends nothing: refused at once, nothing is waited for or allocated."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        sock.sendall(head.encode() + b"Content-Length: 99999999999\r\n\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "192.168.1.5:80"])
@pytest.mark.parametrize("path", ["/v1/models", "/health", "/openapi.json"])
def test_a_foreign_host_is_refused(http: httpx.Client, host: str, path: str) -> None:
    error = check_error(http.get(path, headers={"host": host}), 403)
    assert error["code"] == "foreign_host"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9", "[::1]:8000"])
def test_names_of_this_machine_are_served(http: httpx.Client, host: str) -> None:
    assert http.get("/health", headers={"host": host}).status_code == 200


def test_unknown_routes_and_wrong_methods(http: httpx.Client) -> None:
    for path in ("/v1/nope", "/nope", "/v1/chat", "/v1/hatcat/", "/docs"):
        assert check_error(http.get(path), 404)["code"] == "not_found"
    assert check_error(http.get("/v1/models/gpt-9"), 404)["code"] == "model_not_found"
    assert check_error(http.get("/v1/hatcat/concepts/nonsense"), 404)["code"] == "unknown_concept"
    for method, path in (("GET", CHAT), ("DELETE", "/v1/models"), ("PUT", CHAT), ("GET", SCORE)):
        answer = http.request(method, path)
        assert check_error(answer, 405)["code"] == "method_not_allowed"
        assert answer.headers["allow"]


def test_a_query_out_of_range(http: httpx.Client) -> None:
    assert check_error(http.get("/v1/hatcat/concepts?limit=-1"), 400)["param"] == "limit"
    assert check_error(http.get(f"/v1/hatcat/concepts?q={'x' * 201}"), 400)["param"] == "q"


def test_the_official_client_raises_its_own_classes(client: openai.OpenAI) -> None:
    messages: Any = chat()["messages"]
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model=MODEL, messages=[])
    assert bad.value.param == "messages"
    assert bad.value.code == "invalid_value"
    assert bad.value.type == "invalid_request_error"
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="gpt-9", messages=messages)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")
    with pytest.raises(openai.BadRequestError) as long:
        client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "hello " * 6000}], stream=True
        )
    assert long.value.code == "context_length_exceeded"
