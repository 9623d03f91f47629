"""One request to the engine, from its description to a stream of plain events.

The worker process and the command line both run generations through here, so that both show the same thing.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from hatcat.engines.base import Engine, Request, Sampling, Step, Token
from hatcat.errors import InvalidRequest
from hatcat.monitor.monitor import Monitor, Options
from hatcat.monitor.watch import Watch


class Job(BaseModel):
    """What crosses to the worker for a generation. Exactly one of ``messages``, ``text``, ``ids`` is the prompt."""

    model_config = ConfigDict(extra="forbid")

    messages: list[dict[str, Any]] | None = None
    text: str | None = None
    ids: list[int] | None = None
    n: int = 1
    max_tokens: int | None = None
    stop: list[str] = []
    logprobs: bool = False
    top_logprobs: int = 0
    sampling: dict[str, Any] = {}
    logit_bias: dict[int, float] = {}
    stream: bool = True
    watch: dict[str, Any] | None = None
    """Options of the monitor; None: the answer is not read."""
    on_alert: str = "report"


@dataclass(slots=True)
class _Answer:
    """One choice while it is being generated."""

    watch: Watch | None
    logprobs: bool
    tokens: dict[int, Token]
    count: int = 0


def run(engine: Engine, monitor: Monitor, job: Job) -> Generator[dict[str, Any], None, None]:
    """Events: ``start`` (prompt_tokens), for each choice ``step`` (text, logprobs, tokens, alerts) and ``finish``
    (reason, completion_tokens, alerts, summary), then ``done``. Closing the iterator stops the engine.

    Raises InvalidRequest for what the engine or the monitor refuses.
    """
    prompt = _prompt(engine, job)
    limit = job.max_tokens or engine.info.context
    if limit > engine.info.context:
        raise InvalidRequest(f"max_tokens is {limit}, but the context holds {engine.info.context}", param="max_tokens")
    _check_bias(engine, job)
    for choice in range(job.n):
        watch = monitor.watch(Options(**job.watch)) if job.watch is not None else None
        sampling = {**job.sampling, "logit_bias": job.logit_bias}
        if choice and sampling.get("seed") is not None:
            sampling["seed"] += choice
        request = Request(
            prompt, limit, Sampling(**sampling), tuple(job.stop), job.logprobs or bool(watch and watch.wants_tokens),
            job.top_logprobs, monitor.layers if watch else (),
        )  # fmt: skip
        try:
            yield from _run_choice(engine, choice, request, _Answer(watch, job.logprobs, {}), job.on_alert == "stop")
        except InvalidRequest as error:
            if error.param in {"prompt", "messages"}:  # the engine does not know which of them it was
                error.param = "prompt" if job.messages is None else "messages"
            raise
    yield {"event": "done"}


def _run_choice(
    engine: Engine, choice: int, request: Request, answer: _Answer, stop_on_alert: bool
) -> Generator[dict[str, Any], None, None]:
    with closing(engine.generate([request])) as steps:
        for step in steps:
            if step.prompt_done:
                whole = step.prompt_done == len(request.prompt) and choice == 0
                yield {"event": "start", "prompt_tokens": step.prompt_done} if whole else {"event": "prefill"}
                continue
            event = _step(engine, answer, step)
            alerted = answer.watch is not None and answer.watch.new_alert()
            if alerted and answer.watch:
                event["alerts"] = answer.watch.alerts()
            if event:
                yield {"event": "step", "choice": choice, **event}
            finish = "content_filter" if alerted and stop_on_alert else step.finish
            if finish:
                yield _finish(choice, answer, finish)
                return


def _prompt(engine: Engine, job: Job) -> list[int]:
    if job.messages is not None:
        return engine.chat(job.messages)
    return engine.tokenize(job.text) if job.text is not None else list(job.ids or [])


def _check_bias(engine: Engine, job: Job) -> None:
    for token_id in job.logit_bias:
        if not 0 <= token_id < engine.info.vocabulary:
            raise InvalidRequest(
                f"logit_bias names token {token_id}; the model has tokens 0 to {engine.info.vocabulary - 1}",
                param="logit_bias",
            )


def _step(engine: Engine, answer: _Answer, step: Step) -> dict[str, Any]:
    """What a step of the engine adds to an answer: text, log-probabilities, readings; empty if nothing."""
    event: dict[str, Any] = {}
    answer.count += len(step.tokens)
    text = "".join(token.text for token in step.tokens)
    if text:
        event["text"] = text
    if answer.logprobs and step.tokens:
        event["logprobs"] = [_logprob(engine, token) for token in step.tokens]
    if answer.watch and (readings := _read(answer.watch, answer.tokens, step)):
        event["tokens"] = readings
    return event


def _read(watch: Watch, given_out: dict[int, Token], step: Step) -> list[dict[str, Any]]:
    """Give a step's states to the watch. ``given_out`` holds the tokens that wait for theirs."""
    watch.count(len(step.tokens))
    readings: list[dict[str, Any]] = []
    if not watch.reads:
        for token in step.tokens:
            readings += watch.unread(token.index, token.text, token.logprob)
        return readings
    given_out.update((token.index, token) for token in step.tokens)
    for index, states in step.states:
        token = given_out.pop(index)
        readings += watch.read(index, states, token.text, token.logprob)
    if step.finish:
        readings += watch.flush()
    return readings


def _finish(choice: int, answer: _Answer, reason: str) -> dict[str, Any]:
    event: dict[str, Any] = {
        "event": "finish", "choice": choice, "reason": reason, "completion_tokens": answer.count,
    }  # fmt: skip
    if answer.watch:
        readings = answer.watch.flush()
        for token in answer.tokens.values():  # given out but never read: an answer cut by an alert or a full context
            readings += answer.watch.unread(token.index, token.text, token.logprob)
        if readings:
            event["tokens"] = readings
        event["alerts"] = answer.watch.alerts()
        event["summary"] = answer.watch.summary()
    return event


def _logprob(engine: Engine, token: Token) -> dict[str, Any]:
    def entry(token_id: int, logprob: float) -> dict[str, Any]:
        data = engine.token_bytes(token_id)
        return {"token": data.decode("utf-8", "replace"), "logprob": round(logprob, 6), "bytes": list(data)}

    assert token.logprob is not None
    return {**entry(token.id, token.logprob), "top_logprobs": [entry(i, p) for i, p in token.top]}
