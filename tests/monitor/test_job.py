"""A request from its description to its events, on the real model with its real lenses."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from hatcat.engines.llama import LlamaEngine
from hatcat.errors import InvalidRequest, NotFound
from hatcat.monitor.alerts import AlertLog
from hatcat.monitor.job import Job, run
from hatcat.monitor.monitor import Monitor, Options
from hatcat.monitor.watch import BATCH, Watch

MESSAGES = [{"role": "user", "content": "Name three animals that live in the sea."}]
TOKENS = {"detail": "tokens", "top": 3, "watch": ["deception"]}


class Jumpy(Monitor):
    """A monitor to which every divergence is an alert."""

    def watch(self, options: Options, *, batch: int = BATCH) -> Watch:
        watch = super().watch(options, batch=batch)
        watch._log = AlertLog(threshold=1.0)
        return watch


@pytest.fixture(scope="module")
def jumpy(monitor: Monitor, engine: LlamaEngine) -> Monitor:
    return Jumpy(monitor.engine, engine.info.runtime, monitor.pack, monitor.lenses)


def job(**fields: Any) -> Job:
    return Job(**{"messages": MESSAGES, "max_tokens": 6, "sampling": {"temperature": 0}, **fields})


def events(engine: LlamaEngine, monitor: Monitor, **fields: Any) -> list[dict[str, Any]]:
    return [event for event in run(engine, monitor, job(**fields)) if event["event"] != "prefill"]


def text_of(found: list[dict[str, Any]], choice: int = 0) -> str:
    return "".join(event.get("text", "") for event in found if event.get("choice") == choice)


def tokens_of(found: list[dict[str, Any]], choice: int = 0) -> list[dict[str, Any]]:
    return [token for event in found if event.get("choice") == choice for token in event.get("tokens", [])]


def test_the_order_of_events(engine: LlamaEngine, monitor: Monitor) -> None:
    found = events(engine, monitor)
    kinds = [event["event"] for event in found]
    assert kinds == ["start", *["step"] * (len(kinds) - 3), "finish", "done"]
    assert found[0] == {"event": "start", "prompt_tokens": len(engine.chat(MESSAGES))}
    assert found[-2] == {"event": "finish", "choice": 0, "reason": "length", "completion_tokens": 6}
    assert not any(key in event for event in found for key in ("tokens", "alerts", "summary", "logprobs"))


@pytest.mark.slow
def test_two_choices_one_after_the_other(engine: LlamaEngine, monitor: Monitor) -> None:
    fields: dict[str, Any] = {"n": 2, "sampling": {"temperature": 1.5, "seed": 5}, "watch": TOKENS}
    found = events(engine, monitor, **fields)
    assert [event["event"] for event in found].count("start") == 1
    finishes = [event for event in found if event["event"] == "finish"]
    assert [event["choice"] for event in finishes] == [0, 1]
    assert text_of(found, 0) != text_of(found, 1)
    for choice in (0, 1):
        read = tokens_of(found, choice)
        assert [token["index"] for token in read] == list(range(6))
        assert "".join(token["text"] for token in read) == text_of(found, choice)
        assert finishes[choice]["summary"]["tokens"] == finishes[choice]["summary"]["measured"] == 6
    again = events(engine, monitor, **fields)
    assert [text_of(again, choice) for choice in (0, 1)] == [text_of(found, choice) for choice in (0, 1)]
    other = events(engine, monitor, n=1, sampling={"temperature": 1.5, "seed": 6})
    assert text_of(other) == text_of(found, 1)


def test_an_alert_stops_the_answer(engine: LlamaEngine, jumpy: Monitor) -> None:
    found = events(engine, jumpy, max_tokens=64, watch=TOKENS, on_alert="stop")
    finish = found[-2]
    assert (finish["event"], finish["reason"]) == ("finish", "content_filter")
    assert finish["completion_tokens"] < 10
    assert [alert["id"] for alert in finish["alerts"]] == ["deception"]
    assert finish["alerts"][0]["look"] == "first"
    assert 0 < finish["alerts"][0]["p"] <= 1
    raised = [event for event in found if event["event"] == "step" and event.get("alerts")]
    assert len(raised) == 1
    # Words that went out after the last reading are said to be unread, and the summary says so too.
    states = [token["state"] for token in tokens_of(found)]
    assert [token["index"] for token in tokens_of(found)] == list(range(finish["completion_tokens"]))
    assert states[0] == "measured"
    assert finish["summary"]["measured"] == states.count("measured")
    assert finish["summary"]["monitor"] == ("degraded" if "not_measured" in states else "ok")
    assert "".join(token["text"] for token in tokens_of(found)) == text_of(found)


def test_an_alert_stops_each_choice_by_itself(engine: LlamaEngine, jumpy: Monitor) -> None:
    found = events(engine, jumpy, n=2, max_tokens=64, watch={**TOKENS, "detail": "summary"}, on_alert="stop")
    assert [event["reason"] for event in found if event["event"] == "finish"] == ["content_filter"] * 2
    assert not tokens_of(found)


def test_an_alert_is_reported(engine: LlamaEngine, jumpy: Monitor) -> None:
    finish = events(engine, jumpy, watch=TOKENS)[-2]
    assert finish["reason"] == "length"
    assert [alert["id"] for alert in finish["alerts"]] == ["deception"]


def test_without_lenses_tokens_are_said_to_be_unread(engine: LlamaEngine, monitor: Monitor) -> None:
    blind = Monitor("llama.cpp", engine.info.runtime, monitor.pack, None)
    found = events(engine, blind, watch=TOKENS)
    assert [token["state"] for token in tokens_of(found)] == ["not_measured"] * 6
    assert all(token["concepts"] == [] for token in tokens_of(found))
    summary = found[-2]["summary"]
    assert (summary["monitor"], summary["measured"], summary["concepts"]) == ("off", 0, [])
    assert summary["reason"]
    with pytest.raises(NotFound):
        events(engine, blind, watch={"watch": ["nonsense"]})


def test_another_runtime_gives_no_percentiles(engine: LlamaEngine, monitor: Monitor) -> None:
    other = Monitor("llama.cpp", "another runtime", monitor.pack, monitor.lenses)
    found = events(engine, other, watch=TOKENS)
    assert [token["state"] for token in tokens_of(found)] == ["uncalibrated"] * 6
    assert all(token["concepts"] == [] for token in tokens_of(found))
    assert found[-2]["summary"]["monitor"] == "degraded"
    assert found[-2]["summary"]["divergence"] is None


def test_closing_leaves_the_engine_fit_for_the_next(engine: LlamaEngine, monitor: Monitor) -> None:
    whole = text_of(events(engine, monitor))
    with closing(run(engine, monitor, job(max_tokens=200, watch=TOKENS))) as running:
        for event in running:
            if event["event"] == "step":
                break
    assert text_of(events(engine, monitor)) == whole


def test_a_bias_survives_the_crossing(engine: LlamaEngine, monitor: Monitor) -> None:
    """JSON turns a dictionary's numbers into strings; the job turns them back."""
    crossed = Job.model_validate_json(job(logit_bias={1000: 100.0}).model_dump_json())
    assert crossed.logit_bias == {1000: 100.0}
    found = list(run(engine, monitor, crossed))
    assert text_of(found) == engine.token_bytes(1000).decode() * 6


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": 1025}, "max_tokens"),
        ({"logit_bias": {10**6: 1.0}}, "logit_bias"),
        ({"logit_bias": {-1: 1.0}}, "logit_bias"),
        ({"messages": None, "text": ""}, "prompt"),
        ({"messages": None, "ids": [10**6]}, "prompt"),
        ({"messages": None, "text": "word " * 2000}, "prompt"),
        ({"messages": [{"role": "user", "content": "word " * 2000}]}, "messages"),
        ({"watch": {"watch": ["tag:nonsense"]}}, "hatcat.watch"),
    ],
    ids=["limit", "bias", "negative", "empty", "ids", "long text", "long messages", "tag"],
)
def test_what_can_not_be_names_its_field(
    engine: LlamaEngine, monitor: Monitor, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        events(engine, monitor, **fields)
    assert refusal.value.param == param
