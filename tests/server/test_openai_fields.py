"""Each field that the installed official client can send is honoured or refused by name. None is ignored.

The fields come from the client's own signatures, so a new version of it shows here what it has new.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest
from openai.resources.chat.completions import Completions as ChatCompletions
from openai.resources.completions import Completions

from hatcat.server.schema import ChatRequest, CompletionRequest
from tests.server.running import MODEL, chat
from tests.server.test_bad_input import check_error

# What the client keeps to itself, or spreads over the request.
TRANSPORT = {"self", "extra_headers", "extra_query", "extra_body", "timeout"}
# A value that asks for something, for each field that the schemas know.
ASKED: dict[str, Any] = {
    "frequency_penalty": 0.5, "logit_bias": {"1000": 5}, "max_completion_tokens": 2, "max_tokens": 2, "n": 2,
    "presence_penalty": 0.5, "seed": 1, "stop": ["x"], "stream": False, "temperature": 0.5, "top_p": 0.5, "user": "me",
    "top_logprobs": 1, "stream_options": {"include_usage": True}, "echo": True, "modalities": ["text"],
    "response_format": {"type": "text"}, "service_tier": "auto", "store": False, "tool_choice": "none", "best_of": 1,
    "suffix": None,
}  # fmt: skip
# And one that asks for what is not there, where a field knows but one value.
REFUSED: dict[str, Any] = {
    "modalities": ["text", "audio"], "response_format": {"type": "json_object"}, "service_tier": "priority",
    "store": True, "tool_choice": "auto", "best_of": 3, "suffix": "The end.",
}  # fmt: skip


def fields(method: Callable[..., Any]) -> list[str]:
    found = sorted(set(inspect.signature(method).parameters) - TRANSPORT)
    assert len(found) > 15
    return found


CHAT, TEXT = fields(ChatCompletions.create), fields(Completions.create)


def refused(http: httpx.Client, path: str, body: dict[str, Any], field: str) -> None:
    error = check_error(http.post(path, json=body), 400)
    assert error["code"] in {"unsupported_parameter", "unknown_parameter"}
    assert error["param"].split(".")[0] == field
    assert field in error["message"]


def check(http: httpx.Client, path: str, body: dict[str, Any], field: str, known: bool) -> None:
    if not known:
        for value in ("x", [], {}, 1, True, None):
            refused(http, path, {**body, field: value}, field)
        return
    needed = {"top_logprobs": {"logprobs": True}, "stream_options": {"stream": True}}.get(field, {})
    if field not in body:
        answer = http.post(path, json={**body, **needed, field: ASKED[field]})
        assert answer.status_code == 200, answer.text
    if field in REFUSED:
        refused(http, path, {**body, field: REFUSED[field]}, field)


@pytest.mark.parametrize("field", CHAT)
def test_a_field_of_chat(http: httpx.Client, field: str) -> None:
    body = chat(logprobs=True) if field == "logprobs" else chat()
    limit = {} if field.startswith("max_") else {"max_tokens": 2}
    check(http, "/v1/chat/completions", {**body, **limit}, field, field in ChatRequest.model_fields)


@pytest.mark.parametrize("field", TEXT)
def test_a_field_of_text_completions(http: httpx.Client, field: str) -> None:
    body = {"model": MODEL, "prompt": "Once", **({"logprobs": 1} if field == "logprobs" else {})}
    limit = {} if field == "max_tokens" else {"max_tokens": 2}
    check(http, "/v1/completions", {**body, **limit}, field, field in CompletionRequest.model_fields)


def test_what_only_others_know_is_refused(client: openai.OpenAI) -> None:
    messages: Any = chat()["messages"]
    with pytest.raises(openai.BadRequestError) as refusal:
        client.chat.completions.create(model=MODEL, messages=messages, extra_body={"guided_json": {}})
    assert (refusal.value.code, refusal.value.param) == ("unknown_parameter", "guided_json")
