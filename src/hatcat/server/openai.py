"""OpenAI's routes: chat and text completions, streamed and whole, and the list of models."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from hatcat.errors import NotFound, Unavailable
from hatcat.monitor.job import Job
from hatcat.runtime.supervisor import Runtime
from hatcat.server.prompt import chat_job, completion_job
from hatcat.server.schema import (
    ChatCompletion,
    ChatRequest,
    Completion,
    CompletionRequest,
    ErrorResponse,
    Model,
    ModelList,
)
from hatcat.server.sse import event_stream

router = APIRouter(prefix="/v1", tags=["openai"], responses={400: {"model": ErrorResponse}})

Event = dict[str, Any]


def _streamed(frame: str) -> dict[int | str, dict[str, Any]]:
    """What the document says of an answer that may come as events, each with one `frame` as its data."""
    schema = {"$ref": f"#/components/schemas/{frame}"}
    content = {"text/event-stream": {"schema": schema}}
    return {200: {"description": "Whole, or as events with `stream`.", "content": content}}


@router.post(
    "/chat/completions",
    response_model=ChatCompletion,
    responses=_streamed("ChatChunk"),
)
async def chat(request: Request, body: ChatRequest) -> Response:
    """Answer a conversation, and read the answer while it is written if the request asks for it."""
    runtime, model = _runtime(request)
    job = chat_job(body, request.app.state.settings, model)
    return await _respond(request, runtime, job, _ChatShape(model, runtime), body.stream, _usage_wanted(body))


@router.post(
    "/completions",
    response_model=Completion,
    responses=_streamed("Completion"),
)
async def completions(request: Request, body: CompletionRequest) -> Response:
    """Continue a text."""
    runtime, model = _runtime(request)
    job = completion_job(body, request.app.state.settings, model)
    shape = _TextShape(model, runtime, prefix=(job.text or "") if body.echo else "")
    return await _respond(request, runtime, job, shape, body.stream, _usage_wanted(body))


@router.get("/models")
async def models(request: Request) -> ModelList:
    """The model that is served."""
    runtime: Runtime = request.app.state.runtime
    data = [Model(id=runtime.model["name"], created=_STARTED)] if runtime.model else []
    return ModelList(data=data)


@router.get("/models/{model_id:path}")
async def one_model(request: Request, model_id: str) -> Model:
    """One model by its id."""
    for model in (await models(request)).data:
        if model.id == model_id:
            return model
    raise NotFound(f"the model {model_id!r} is not served here", param="model", code="model_not_found")


_STARTED = int(time.time())


def _runtime(request: Request) -> tuple[Runtime, str]:
    runtime: Runtime = request.app.state.runtime
    if runtime.model is None:
        raise Unavailable(runtime.reason or "the model is still loading", code=f"engine_{runtime.state}")
    return runtime, runtime.model["name"]


def _usage_wanted(body: ChatRequest | CompletionRequest) -> bool:
    return body.stream_options is not None and body.stream_options.include_usage


class _Shape:
    """How events of the engine become OpenAI objects."""

    chunk_object = whole_object = ""

    def __init__(self, model: str, runtime: Runtime, kind: str) -> None:
        assert runtime.model is not None
        self._head = {
            "id": f"{kind}-{uuid.uuid4().hex}", "created": int(time.time()), "model": model,
            "system_fingerprint": f"hatcat-{runtime.model['runtime']}",
        }  # fmt: skip
        self._usage = {"prompt_tokens": 0, "completion_tokens": 0}

    def note(self, event: Event) -> None:
        """Keep count for the usage."""
        self._usage["prompt_tokens"] = event.get("prompt_tokens", self._usage["prompt_tokens"])
        self._usage["completion_tokens"] += event.get("completion_tokens", 0)

    @property
    def usage(self) -> Event:
        return {**self._usage, "total_tokens": sum(self._usage.values())}

    def chunk(self, event: Event) -> Event:
        extra = hatcat_part(event)
        body = {**self._head, "object": self.chunk_object, "choices": [self.chunk_choice(event)]}
        return {**body, "hatcat": {"choice": event["choice"], **extra}} if extra else body

    def usage_chunk(self) -> Event:
        """OpenAI sends the usage on a chunk without choices; every chunk of ours has one, so that no client trips."""
        choice = self.chunk_choice({"event": "step", "choice": 0})
        return {**self._head, "object": self.chunk_object, "choices": [choice], "usage": self.usage}

    def whole(self, finishes: list[Event]) -> Event:
        body = {
            **self._head, "object": self.whole_object, "choices": [self.whole_choice(event) for event in finishes],
            "usage": self.usage,
        }  # fmt: skip
        parts = [{"choice": e["choice"], **part} for e in finishes if (part := hatcat_part(e))]
        if parts:
            body["hatcat"] = parts if len(finishes) > 1 else parts[0]
        return body

    def opening(self, choice: int) -> Event | None:
        """A chunk that precedes a choice's text, if the format has one."""
        return None

    def chunk_choice(self, event: Event) -> Event:
        raise NotImplementedError

    def whole_choice(self, event: Event) -> Event:
        raise NotImplementedError


class _ChatShape(_Shape):
    chunk_object, whole_object = "chat.completion.chunk", "chat.completion"

    def __init__(self, model: str, runtime: Runtime) -> None:
        super().__init__(model, runtime, "chatcmpl")

    def opening(self, choice: int) -> Event:
        first = {"index": choice, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
        return {**self._head, "object": self.chunk_object, "choices": [first]}

    def chunk_choice(self, event: Event) -> Event:
        delta = {"content": event["text"]} if event.get("text") else {}
        choice = {"index": event["choice"], "delta": delta, "finish_reason": event.get("reason")}
        return {**choice, "logprobs": _chat_logprobs(event)} if event.get("logprobs") else choice

    def whole_choice(self, event: Event) -> Event:
        return {
            "index": event["choice"], "finish_reason": event["reason"], "logprobs": _chat_logprobs(event),
            "message": {"role": "assistant", "content": event.get("text", ""), "refusal": None},
        }  # fmt: skip


class _TextShape(_Shape):
    chunk_object = whole_object = "text_completion"

    def __init__(self, model: str, runtime: Runtime, prefix: str) -> None:
        super().__init__(model, runtime, "cmpl")
        self._prefix = prefix
        self._offsets: dict[int, int] = {}

    def opening(self, choice: int) -> Event | None:
        if not self._prefix:
            return None
        first = {"index": choice, "text": self._prefix, "logprobs": None, "finish_reason": None}
        return {**self._head, "object": self.chunk_object, "choices": [first]}

    def chunk_choice(self, event: Event) -> Event:
        return {
            "index": event["choice"], "text": event.get("text", ""), "logprobs": self._logprobs(event),
            "finish_reason": event.get("reason"),
        }  # fmt: skip

    def whole_choice(self, event: Event) -> Event:
        choice = self.chunk_choice(event)
        return {**choice, "text": self._prefix + choice["text"]}

    def _logprobs(self, event: Event) -> Event | None:
        entries = event.get("logprobs")
        if not entries:
            return None
        offsets, at = [], self._offsets.get(event["choice"], len(self._prefix))
        for entry in entries:
            offsets.append(at)
            at += len(entry["token"])
        self._offsets[event["choice"]] = at
        return {
            "tokens": [e["token"] for e in entries], "token_logprobs": [e["logprob"] for e in entries],
            "top_logprobs": [{t["token"]: t["logprob"] for t in e["top_logprobs"]} for e in entries],
            "text_offset": offsets,
        }  # fmt: skip


def hatcat_part(event: Event) -> Event:
    """The ``hatcat`` object of an event: readings, alerts, summary; empty where there is nothing to say."""
    return {key: event[key] for key in ("tokens", "alerts", "summary") if event.get(key) is not None}


def _chat_logprobs(event: Event) -> Event | None:
    return {"content": event["logprobs"], "refusal": None} if event.get("logprobs") else None


async def _respond(
    request: Request, runtime: Runtime, job: Job, shape: _Shape, stream: bool | None, usage: bool
) -> Response:
    events = runtime.generate(job, request.receive)
    first = await anext(events, None)  # what is wrong with a request shows before a stream's 200
    if stream:
        return event_stream(_chunks(first, events, shape, usage))
    finishes: list[Event] = []
    async with aclosing(events):
        async for event in events:
            shape.note(event)
            if event["event"] == "finish":
                finishes.append(event)
    if first is None or len(finishes) < job.n:
        return Response(status_code=499)  # the client went away: nobody reads this
    shape.note(first)
    return JSONResponse(shape.whole(finishes))


async def _chunks(
    first: Event | None, events: AsyncGenerator[Event, None], shape: _Shape, usage: bool
) -> AsyncIterator[Event | None]:
    """Chunks of a stream; None stands for a heartbeat."""
    shape.note(first or {})
    opened: set[int] = set()
    async with aclosing(events):
        async for event in events:
            shape.note(event)
            if event["event"] in {"heartbeat", "start"}:
                yield None
                continue
            if event["choice"] not in opened:
                opened.add(event["choice"])
                if (start := shape.opening(event["choice"])) is not None:
                    yield start
            yield shape.chunk(event)
    if usage:
        yield shape.usage_chunk()
