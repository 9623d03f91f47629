"""From a request's body to a job for the engine. What can't be honoured is refused here, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hatcat.errors import InvalidRequest, NotFound
from hatcat.monitor.job import Job
from hatcat.server.schema import ChatRequest, CompletionRequest, Message, Sampled
from hatcat.server.schema_readings import HatcatRequest
from hatcat.settings import Settings

_SAMPLING = (
    "temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repeat_penalty", "seed",
)  # fmt: skip
MAX_STOPS = 16


def plain_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as chat templates want them: one string each; ``developer`` is what models know as ``system``."""
    plain = []
    for i, message in enumerate(messages):
        if message.content is None:
            raise InvalidRequest("a message needs content", param=f"messages.{i}.content")
        if message.name is not None:
            raise InvalidRequest(
                "names of participants are not supported", param=f"messages.{i}.name", code="unsupported_parameter"
            )
        parts = message.content if isinstance(message.content, list) else None
        text = "".join(part.text for part in parts) if parts is not None else str(message.content)
        plain.append({"role": "system" if message.role == "developer" else message.role, "content": text})
    return plain


def chat_job(body: ChatRequest, settings: Settings, model: str) -> Job:
    """The job of a chat request. Raises InvalidRequest or NotFound naming the field."""
    if body.top_logprobs and not body.logprobs:
        raise InvalidRequest("top_logprobs needs logprobs: true", param="top_logprobs")
    if body.max_tokens is not None and body.max_completion_tokens is not None:
        raise InvalidRequest("give max_completion_tokens or max_tokens, not both", param="max_tokens")
    return _job(
        body, settings, model, messages=plain_messages(body.messages),
        max_tokens=body.max_completion_tokens or body.max_tokens,
        logprobs=bool(body.logprobs), top_logprobs=body.top_logprobs or 0,
    )  # fmt: skip


def completion_job(body: CompletionRequest, settings: Settings, model: str) -> Job:
    """The job of a text completion. OpenAI's default of 16 tokens holds."""
    prompt = body.prompt
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], str | list):
        if len(prompt) > 1:
            raise InvalidRequest("only one prompt a request is supported", param="prompt", code="unsupported_parameter")
        prompt = prompt[0]
    if body.echo and body.logprobs is not None:
        raise InvalidRequest(
            "log-probabilities of an echoed prompt are not supported", param="echo", code="unsupported_parameter"
        )
    if body.echo and not isinstance(prompt, str):
        raise InvalidRequest("echo needs the prompt as text", param="echo", code="unsupported_parameter")
    return _job(
        body, settings, model,
        text=prompt if isinstance(prompt, str) else None, ids=prompt if isinstance(prompt, list) else None,
        max_tokens=body.max_tokens or 16, logprobs=body.logprobs is not None, top_logprobs=body.logprobs or 0,
    )  # fmt: skip


def _job(body: Sampled, settings: Settings, model: str, **fields: Any) -> Job:
    if body.model != model:
        raise NotFound(
            f"the model {body.model!r} is not served here; {model!r} is", param="model", code="model_not_found"
        )
    if body.stream_options is not None and not body.stream:
        raise InvalidRequest("stream_options needs stream: true", param="stream_options")
    if body.stream_options is not None and body.stream_options.include_obfuscation:
        raise InvalidRequest(
            "padding of streams is not supported", param="stream_options.include_obfuscation",
            code="unsupported_parameter",
        )  # fmt: skip
    stop = [body.stop] if isinstance(body.stop, str) else body.stop or []
    if len(stop) > MAX_STOPS:
        raise InvalidRequest(f"at most {MAX_STOPS} stop strings", param="stop")
    sampling = {name: value for name in _SAMPLING if (value := getattr(body, name)) is not None}
    watch, on_alert = _watch(body.hatcat, settings)
    return Job(
        n=body.n or 1, stop=stop, sampling=sampling, logit_bias=_bias(body.logit_bias or {}), stream=bool(body.stream),
        watch=watch, on_alert=on_alert, **fields,
    )  # fmt: skip


def _bias(given: dict[str, float]) -> dict[int, float]:
    bias = {}
    for token, value in given.items():
        if not token.isascii() or not token.isdigit() or len(token) > 9:
            raise InvalidRequest(f"logit_bias: {token!r} is not a token id", param="logit_bias")
        if not -100 <= value <= 100:
            raise InvalidRequest("logit_bias: values go from -100 to 100", param="logit_bias")
        bias[int(token)] = value
    return bias


def _watch(asked: HatcatRequest | None, settings: Settings) -> tuple[dict[str, Any] | None, str]:
    """Options of the monitor (None: read nothing) and what an alert does."""
    if asked is None:
        reading = {"detail": "summary", "top": 5, "watch": []} if settings.monitor == "required" else None
        return reading, "report"
    if asked.steer is not None:
        raise InvalidRequest("steering is not supported yet", param="hatcat.steer", code="unsupported_parameter")
    if asked.second_look != "off":
        raise InvalidRequest(
            "the second look is not supported yet; only 'off'", param="hatcat.second_look", code="unsupported_parameter"
        )
    if asked.detail == "off":
        if settings.monitor == "required":
            raise InvalidRequest("this server reads every answer", param="hatcat.detail", code="monitor_required")
        if asked.on_alert == "stop":
            raise InvalidRequest("on_alert: 'stop' needs a detail other than 'off'", param="hatcat.on_alert")
        return None, "report"
    return {"detail": asked.detail, "top": asked.top, "watch": asked.watch}, asked.on_alert
