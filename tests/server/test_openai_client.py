"""The official client, unchanged, gets what OpenAI's API promises, and readings when it asks for them."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.server.running import MODEL, NO_END

MESSAGES: Any = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "Name three animals that live in the sea."},
]
TOKENS = {"hatcat": {"detail": "tokens", "top": 5}}
READING = {"index", "text", "logprob", "state", "concepts", "divergence"}


def ask(client: openai.OpenAI, **fields: Any) -> Any:
    """A chat request; short, and the same answer each time unless the fields say otherwise."""
    return client.chat.completions.create(
        model=MODEL, messages=MESSAGES, **{"max_tokens": 12, "temperature": 0, **fields}
    )


def complete(client: openai.OpenAI, **fields: Any) -> Any:
    asked: dict[str, Any] = {"prompt": "Once upon a time", "max_tokens": 8, "temperature": 0, **fields}
    return client.completions.create(model=MODEL, **asked)


def text_of(chunks: list[Any], choice: int = 0) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices[0].index == choice)


def parts(chunks: list[Any]) -> list[dict[str, Any]]:
    """The ``hatcat`` objects of a stream."""
    return [chunk.model_extra["hatcat"] for chunk in chunks if "hatcat" in chunk.model_extra]


# --- chat -----------------------------------------------------------------------------------------------------


def test_a_whole_answer(client: openai.OpenAI) -> None:
    answer = ask(client)
    (choice,) = answer.choices
    assert answer.object == "chat.completion"
    assert answer.model == MODEL
    assert answer.system_fingerprint.startswith("hatcat-")
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason == "length"
    assert choice.logprobs is None
    assert answer.usage.completion_tokens == 12
    assert answer.usage.prompt_tokens > 15
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 12
    assert "hatcat" not in answer.model_dump()


def test_a_stream_is_the_same_answer_in_pieces(client: openai.OpenAI) -> None:
    chunks = list(ask(client, stream=True))
    assert text_of(chunks) == ask(client).choices[0].message.content
    assert {c.object for c in chunks} == {"chat.completion.chunk"}
    assert len({c.id for c in chunks}) == 1
    assert all(len(c.choices) == 1 for c in chunks)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks] == [None] * (len(chunks) - 1) + ["length"]
    assert len(chunks) >= 12
    assert not parts(chunks)
    assert all(chunk.usage is None for chunk in chunks)


def test_the_stream_helper_of_the_client(client: openai.OpenAI) -> None:
    """It takes an answer that reached its limit for an error, so this one stops before."""
    with client.chat.completions.stream(model=MODEL, messages=MESSAGES, temperature=0, stop=" sea") as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        final = stream.get_final_completion()
    assert text == final.choices[0].message.content
    assert text == ask(client, stop=" sea", max_tokens=200).choices[0].message.content


@pytest.mark.parametrize("stream", [False, True])
def test_two_choices(client: openai.OpenAI, stream: bool) -> None:
    answer = ask(client, n=2, temperature=1.5, seed=3, stream=stream, extra_body=TOKENS)
    if stream:
        chunks = list(answer)
        texts = [text_of(chunks, choice) for choice in (0, 1)]
        finishes = [c.choices[0].index for c in chunks if c.choices[0].finish_reason]
        readings = parts(chunks)
    else:
        texts = [choice.message.content for choice in answer.choices]
        finishes = [choice.index for choice in answer.choices]
        readings = answer.model_extra["hatcat"]
        assert answer.usage.completion_tokens == 24
    assert finishes == [0, 1]
    assert texts[0] != texts[1]
    for choice, text in enumerate(texts):
        tokens = [t for part in readings if part["choice"] == choice for t in part.get("tokens", [])]
        assert "".join(t["text"] for t in sorted(tokens, key=lambda t: t["index"])) == text
        assert [part["summary"]["tokens"] for part in readings if part["choice"] == choice and "summary" in part] == [
            12
        ]


@pytest.mark.parametrize("stream", [False, True])
def test_log_probabilities(client: openai.OpenAI, stream: bool) -> None:
    answer = ask(client, logprobs=True, top_logprobs=3, stream=stream)
    if stream:
        chunks = list(answer)
        content, entries = text_of(chunks), []
        for chunk in chunks:
            if chunk.choices[0].logprobs:
                entries += chunk.choices[0].logprobs.content
    else:
        content, entries = answer.choices[0].message.content, answer.choices[0].logprobs.content
    assert len(entries) == 12
    assert "".join(entry.token for entry in entries) == content
    for entry in entries:
        assert bytes(entry.bytes).decode() == entry.token
        assert len(entry.top_logprobs) == 3
        best = [top.logprob for top in entry.top_logprobs]
        assert best == sorted(best, reverse=True)
        assert entry.logprob == best[0] <= 0  # greedy: the likeliest is taken
        assert entry.token == entry.top_logprobs[0].token


def test_log_probabilities_without_alternatives(client: openai.OpenAI) -> None:
    entries = ask(client, logprobs=True).choices[0].logprobs.content
    assert len(entries) == 12
    assert all(entry.top_logprobs == [] for entry in entries)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("as_list", [False, True])
def test_a_stop_string_ends_the_answer_before_it(client: openai.OpenAI, stream: bool, as_list: bool) -> None:
    whole = ask(client).choices[0].message.content
    stop = whole[len(whole) // 2 :][:5]  # across tokens, in the middle
    answer = ask(client, stop=["never said", stop] if as_list else stop, stream=stream, extra_body=TOKENS)
    if stream:
        chunks = list(answer)
        text, finish, readings = text_of(chunks), chunks[-1].choices[0].finish_reason, parts(chunks)
    else:
        text, finish = answer.choices[0].message.content, answer.choices[0].finish_reason
        readings = [answer.model_extra["hatcat"]]
    assert text == whole[: whole.index(stop)]
    assert finish == "stop"
    tokens = sorted((t for part in readings for t in part.get("tokens", [])), key=lambda t: t["index"])
    assert "".join(token["text"] for token in tokens) == text


def test_a_seed_fixes_the_answer(client: openai.OpenAI) -> None:
    def sample(seed: int | None) -> str:
        return str(ask(client, seed=seed, temperature=1.9, top_p=1, max_tokens=6).choices[0].message.content)

    assert sample(7) == sample(7)
    assert len({sample(seed) for seed in (1, 2)}) == 2
    assert len({sample(None) for _ in range(2)}) == 2


def test_logit_bias_forces_and_forbids(client: openai.OpenAI) -> None:
    def tokens(bias: dict[str, int]) -> set[str]:
        return set(complete(client, logit_bias=bias, logprobs=0, max_tokens=3).choices[0].logprobs.tokens)

    forced = tokens({"1000": 100})
    assert len(forced) == 1
    assert forced == tokens({"1000": 70, "1001": -100})
    assert forced != tokens({"1000": -100, "1001": 70})


def test_both_names_of_the_limit(client: openai.OpenAI) -> None:
    assert ask(client, max_tokens=3).usage.completion_tokens == 3
    limited = client.chat.completions.create(model=MODEL, messages=MESSAGES, temperature=0, max_completion_tokens=4)
    assert limited.usage is not None
    assert limited.usage.completion_tokens == 4


@pytest.mark.parametrize("request_kind", [ask, complete], ids=["chat", "text"])
def test_usage_at_the_end_of_a_stream(client: openai.OpenAI, request_kind: Any) -> None:
    chunks = list(request_kind(client, stream=True, stream_options={"include_usage": True}))
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    assert usages == [chunks[-1].usage]
    assert usages[0] == request_kind(client).usage
    assert all(chunk.choices for chunk in chunks)


def test_what_means_the_default_is_accepted(client: openai.OpenAI) -> None:
    """Fields whose values ask for nothing that is not done anyway."""
    answer = ask(
        client, tool_choice="none", response_format={"type": "text"}, modalities=["text"], service_tier="auto",
        store=False, user="someone", presence_penalty=0.5, frequency_penalty=0.5, top_p=0.9, logprobs=False,
        extra_body={"top_k": 40, "min_p": 0.05, "repeat_penalty": 1.1},
    )  # fmt: skip
    assert answer.choices[0].message.content


def test_messages_in_parts_and_of_developers(client: openai.OpenAI) -> None:
    pieces = [[{"type": "text", "text": text} for text in texts] for texts in (("You are a ", "helpful assistant."),)]
    same: Any = [{"role": "developer", "content": pieces[0]}, MESSAGES[1]]
    answer = client.chat.completions.create(model=MODEL, messages=same, max_tokens=12, temperature=0)
    assert answer.choices[0].message.content == ask(client).choices[0].message.content


# --- text completions -----------------------------------------------------------------------------------------


def test_a_text_is_continued(client: openai.OpenAI) -> None:
    whole = complete(client)
    assert whole.object == "text_completion"
    assert whole.choices[0].text
    assert whole.choices[0].finish_reason == "length"
    assert whole.usage.completion_tokens == 8
    assert "hatcat" not in whole.model_dump()
    chunks = list(complete(client, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert chunks[-1].choices[0].finish_reason == "length"


def test_sixteen_tokens_are_the_default(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=MODEL, prompt="Once upon a time", logit_bias=NO_END, temperature=0)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 16


@pytest.mark.parametrize("stream", [False, True])
def test_the_prompt_comes_back_with_echo(client: openai.OpenAI, stream: bool) -> None:
    answer = complete(client, echo=True, stream=stream)
    text = "".join(chunk.choices[0].text for chunk in answer) if stream else answer.choices[0].text
    assert text == "Once upon a time" + complete(client).choices[0].text


@pytest.mark.parametrize("stream", [False, True])
def test_log_probabilities_of_a_text(client: openai.OpenAI, stream: bool) -> None:
    answer = complete(client, logprobs=2, stream=stream)
    choices = [chunk.choices[0] for chunk in answer] if stream else answer.choices
    text = "".join(choice.text for choice in choices)
    found = [choice.logprobs for choice in choices if choice.logprobs]
    tokens = [token for logprobs in found for token in logprobs.tokens]
    assert "".join(tokens) == text
    assert len(tokens) == 8
    offsets = [offset for logprobs in found for offset in logprobs.text_offset]
    assert [text[at:].startswith(token) for at, token in zip(offsets, tokens, strict=True)] == [True] * 8
    for logprobs in found:
        for token, logprob, top in zip(logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs, strict=True):
            assert len(top) == 2
            assert top[token] == logprob == max(top.values())


def test_prompts_as_ids_and_as_a_list_of_one(client: openai.OpenAI) -> None:
    ids = [10576, 3714, 253, 655]
    assert complete(client, prompt=ids).choices[0].text == complete(client, prompt=[ids]).choices[0].text
    assert complete(client, prompt=["Once upon a time"]).choices[0].text == complete(client).choices[0].text
    assert complete(client, prompt=ids).usage.prompt_tokens == 4


def test_text_completions_are_read_too(client: openai.OpenAI) -> None:
    answer = complete(client, extra_body=TOKENS)
    part = answer.model_extra["hatcat"]
    assert "".join(token["text"] for token in part["tokens"]) == answer.choices[0].text
    assert part["summary"]["monitor"] == "ok"


# --- models ---------------------------------------------------------------------------------------------------


def test_models(client: openai.OpenAI) -> None:
    (model,) = client.models.list().data
    assert model.id == MODEL
    assert client.models.retrieve(MODEL) == model


# --- readings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_every_token_is_read_once(client: openai.OpenAI, stream: bool) -> None:
    answer = ask(client, max_tokens=24, stream=stream, extra_body=TOKENS)
    if stream:
        chunks = list(answer)
        content = text_of(chunks)
        tokens = [token for part in parts(chunks) for token in part.get("tokens", [])]
        assert all(len(chunk.choices) == 1 for chunk in chunks)
        summaries = [c for c in chunks if "summary" in (c.model_extra.get("hatcat") or {})]
        assert summaries == [chunks[-1]]
        assert chunks[-1].choices[0].finish_reason == "length"
        last = chunks[-1].model_extra["hatcat"]
    else:
        content = answer.choices[0].message.content
        last = answer.model_extra["hatcat"]
        tokens = last["tokens"]
    assert sorted(token["index"] for token in tokens) == list(range(24))
    assert "".join(token["text"] for token in sorted(tokens, key=lambda t: t["index"])) == content
    for token in tokens:
        assert set(token) == READING
        assert token["state"] == "measured"
        assert token["logprob"] <= 0
        assert len({concept["id"] for concept in token["concepts"]}) == 5
        percentiles = [concept["percentile"] for concept in token["concepts"]]
        assert percentiles == sorted(percentiles, reverse=True)
        assert all(0 <= p <= 100 for p in percentiles)
        assert all(0 <= concept["text"] <= 100 and concept["layers"] for concept in token["concepts"])
        assert 0 < token["divergence"]["p"] <= 1
    summary = last["summary"]
    assert (summary["tokens"], summary["measured"], summary["monitor"]) == (24, 24, "ok")
    assert (summary["pack"], summary["engine"]) == ("core", "llama.cpp/Q4_1")
    assert len(summary["concepts"]) == 5
    assert isinstance(last["alerts"], list)


def test_readings_do_not_change_the_answer(client: openai.OpenAI) -> None:
    plain = ask(client, max_tokens=24).choices[0].message.content
    assert ask(client, max_tokens=24, extra_body=TOKENS).choices[0].message.content == plain


@pytest.mark.parametrize("top", [1, 50])
def test_as_many_concepts_as_asked(client: openai.OpenAI, top: int) -> None:
    part = ask(client, max_tokens=2, extra_body={"hatcat": {"detail": "tokens", "top": top}}).model_extra["hatcat"]
    assert [len(token["concepts"]) for token in part["tokens"]] == [top, top]


def test_watched_concepts_are_always_shown(client: openai.OpenAI) -> None:
    asked = {"detail": "tokens", "top": 1, "watch": ["deception", "tag:safety"]}
    part = ask(client, max_tokens=4, extra_body={"hatcat": asked}).model_extra["hatcat"]
    for token in part["tokens"]:
        assert "deception" in token["watched"]
        assert len(token["watched"]) >= 20
        assert all(0 <= percentile <= 100 for percentile in token["watched"].values())
    assert part["summary"]["divergence"]["id"] in part["tokens"][0]["watched"]


@pytest.mark.parametrize("asked", [{"detail": "summary"}, {}])
@pytest.mark.parametrize("stream", [False, True])
def test_a_summary_brings_no_tokens(client: openai.OpenAI, asked: dict[str, Any], stream: bool) -> None:
    answer = ask(client, stream=stream, extra_body={"hatcat": asked})
    found = parts(list(answer)) if stream else [answer.model_extra["hatcat"]]
    assert len(found) == 1
    assert set(found[0]) == {"choice", "alerts", "summary"}
    assert found[0]["summary"]["measured"] == 12


@pytest.mark.parametrize("stream", [False, True])
def test_detail_off_brings_nothing(client: openai.OpenAI, stream: bool) -> None:
    answer = ask(client, stream=stream, extra_body={"hatcat": {"detail": "off"}})
    dumped = [chunk.model_dump() for chunk in answer] if stream else [answer.model_dump()]
    assert all("hatcat" not in one for one in dumped)
