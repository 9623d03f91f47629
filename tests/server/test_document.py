"""The OpenAPI document: from it the page's types are made."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from hatcat.server import schema, schema_own
from tests.server.running import chat


@pytest.fixture(scope="module")
def document(http: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = http.get("/openapi.json").json()
    return found


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(references(value) for value in node.values()))
    return set().union(*(references(value) for value in node)) if isinstance(node, list) else set()


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    assert re.match(r"3\.1\.", document["openapi"])
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    found = references(document)
    assert found <= known
    assert len(found) > 30


def test_the_streamed_frames_are_in_it(document: dict[str, Any]) -> None:
    for path, frame in (("/v1/chat/completions", "ChatChunk"), ("/v1/completions", "Completion")):
        content = document["paths"][path]["post"]["responses"]["200"]["content"]
        assert content["text/event-stream"]["schema"] == {"$ref": f"#/components/schemas/{frame}"}
        assert content["application/json"]["schema"]["$ref"].startswith("#/components/schemas/")
    chunk = document["components"]["schemas"]["ChatChunk"]
    assert set(chunk["properties"]) == set(schema.ChatChunk.model_fields)


def test_all_routes_are_in_it(document: dict[str, Any]) -> None:
    assert set(document["paths"]) == {
        "/health", "/ready", "/ping", "/v1/chat/completions", "/v1/completions", "/v1/models", "/v1/models/{model_id}",
        "/v1/hatcat/info", "/v1/hatcat/packs", "/v1/hatcat/concepts", "/v1/hatcat/concepts/{concept_id}",
        "/v1/hatcat/score",
    }  # fmt: skip


def keeps_to(model: type[BaseModel], found: dict[str, Any]) -> None:
    """An object has fields of its model and no others, all the way down."""
    assert model.model_validate(found).model_dump(exclude_unset=True) == found


def test_answers_keep_to_it(http: httpx.Client) -> None:
    """Whole answers and frames go out without passing through the models; here they do."""
    asked = {"detail": "tokens", "watch": ["deception"]}
    fields: dict[str, Any] = {"max_tokens": 4, "logprobs": True, "top_logprobs": 2, "hatcat": asked}
    keeps_to(schema.ChatCompletion, http.post("/v1/chat/completions", json=chat(**fields)).json())
    keeps_to(schema.ChatCompletion, http.post("/v1/chat/completions", json=chat(n=2, **fields)).json())
    text = {"model": "smollm2", "prompt": "Once", "max_tokens": 4, "logprobs": 2, "hatcat": asked}
    keeps_to(schema.Completion, http.post("/v1/completions", json=text).json())
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    for path, body, model in (
        ("/v1/chat/completions", chat(**fields), schema.ChatChunk), ("/v1/completions", text, schema.Completion),
    ):  # fmt: skip
        frames = [line for line in http.post(path, json={**body, **usage}).text.split("\n\n") if "{" in line]
        assert len(frames) > 4
        for frame in frames:
            keeps_to(model, httpx.Response(200, content=frame.removeprefix("data: ")).json())


def test_own_routes_keep_to_it(http: httpx.Client) -> None:
    info = http.get("/v1/hatcat/info").json()
    assert (info["state"], info["pack"]["state"], info["model"]["id"]) == ("ready", "ready", "smollm2")
    found = http.get("/v1/hatcat/concepts", params={"q": "deception", "limit": 3}).json()
    assert found["concepts"][0]["id"] == "deception"
    assert found["total"] >= 150
    one = http.get("/v1/hatcat/concepts/deception").json()
    assert one == found["concepts"][0]
    assert 0 < one["auroc"] <= 1
    scored = http.post("/v1/hatcat/score", json={"text": "The surgeon washed her hands before the operation."}).json()
    keeps_to(schema_own.ScoreResponse, scored)
    assert [token["index"] for token in scored["tokens"]] == list(range(len(scored["tokens"])))
    assert "".join(token["text"] for token in scored["tokens"]) == "The surgeon washed her hands before the operation."
    assert http.get("/ping").status_code == 200
    assert http.get("/health").json() == {"status": "ok"}
