"""What watching costs: the same generations plain and watched, alternating in one run, compared pair by pair.

Absolute times drift on a shared machine; ratios within a round hardly do. So every round runs each mode once, and a
figure is the median over rounds of a ratio within the round.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import orjson
import psutil

from hatcat.engines.base import Engine, Request, Sampling
from hatcat.evals.machine import machine
from hatcat.monitor.job import Job, run
from hatcat.monitor.load import Loaded
from hatcat.monitor.monitor import Options, score

_PROMPT = [{"role": "user", "content": "Tell me a long story about a lighthouse keeper and a storm, in detail."}]
_MODES: dict[str, dict[str, Any] | None] = {
    "plain": None,
    "summary": {"detail": "summary", "top": 5},
    "tokens": {"detail": "tokens", "top": 5},
}


@dataclass
class Samples:
    """Raw samples, one a round: seconds per token of each mode, and the rest."""

    decode: dict[str, list[float]] = field(default_factory=lambda: {mode: [] for mode in _MODES})
    first: dict[str, list[float]] = field(default_factory=lambda: {mode: [] for mode in _MODES})
    prefill: dict[str, list[float]] = field(default_factory=lambda: {"plain": [], "watched": []})


def bench(loaded: Loaded, *, rounds: int, tokens: int, prompt_tokens: int) -> Iterator[int | dict[str, Any]]:
    """Yields rounds done, then the report as a dictionary."""
    samples = Samples()
    text = loaded.engine.tokenize("The keeper climbed the stairs and lit the lamp before the storm came in. " * 80)
    prompt = text[:prompt_tokens]
    _round(loaded, samples, 8, prompt[:32])  # warm up, thrown away
    samples = Samples()
    for done in range(rounds):
        _round(loaded, samples, tokens, prompt, reverse=bool(done % 2))
        yield done + 1
    yield _report(loaded, samples, rounds, tokens, len(prompt))


def _round(loaded: Loaded, samples: Samples, tokens: int, prompt: list[int], *, reverse: bool = False) -> None:
    for mode in reversed(_MODES) if reverse else _MODES:
        first, per_token = _decode(loaded, _MODES[mode], tokens)
        samples.first[mode].append(first)
        samples.decode[mode].append(per_token)
    samples.prefill["plain"].append(_prefill_plain(loaded.engine, prompt))
    start = time.perf_counter()
    score(loaded.engine, loaded.monitor, prompt, Options("summary"))
    samples.prefill["watched"].append((time.perf_counter() - start) / len(prompt))


def _decode(loaded: Loaded, watch: dict[str, Any] | None, tokens: int) -> tuple[float, float]:
    """Seconds to the first text, and per token after it, as the worker would send them (JSON included)."""
    job = Job(messages=_PROMPT, max_tokens=tokens, sampling={"temperature": 0}, watch=watch)
    start = time.perf_counter()
    first, count = 0.0, 0
    with closing(run(loaded.engine, loaded.monitor, job)) as events:
        for event in events:
            orjson.dumps(event)
            if event["event"] == "step" and not first:
                first = time.perf_counter()
            count = event.get("completion_tokens", count)
    return first - start, (time.perf_counter() - first) / max(count - 1, 1)


def _prefill_plain(engine: Engine, prompt: list[int]) -> float:
    """Seconds per token of a prompt that nobody reads."""
    start = time.perf_counter()
    with closing(engine.generate([Request(prompt, 1, Sampling(temperature=0))])) as steps:
        for step in steps:
            if step.prompt_done == len(prompt):
                break
    return (time.perf_counter() - start) / len(prompt)


def _report(loaded: Loaded, samples: Samples, rounds: int, tokens: int, prompt_tokens: int) -> dict[str, Any]:
    info = loaded.engine.info
    decode, prefill = samples.decode, samples.prefill
    return {
        "watched_over_plain": _ratio(decode["plain"], decode["summary"]),
        "watched_over_plain_tokens": _ratio(decode["plain"], decode["tokens"]),
        "prefill_watched_over_plain": _ratio(prefill["plain"], prefill["watched"]),
        "first_token_watched_over_plain": _ratio(samples.first["tokens"], samples.first["plain"]),
        "decode_tokens_per_second": {mode: _rate(values) for mode, values in decode.items()},
        "prefill_tokens_per_second": {mode: _rate(values) for mode, values in prefill.items()},
        "first_token_seconds": {mode: round(statistics.median(v), 4) for mode, v in samples.first.items()},
        "rss_bytes": psutil.Process().memory_info().rss,
        "model": info.name, "quantisation": info.quantisation, "capture": info.capture,
        "concepts": len(loaded.lenses.concepts) if loaded.lenses else 0,
        "layers": loaded.lenses.header.layers if loaded.lenses else [],
        "rounds": rounds, "answer_tokens": tokens, "prompt_tokens": prompt_tokens, "machine": machine(),
        "raw_seconds_per_token": {
            "decode": _rounded(decode), "prefill": _rounded(prefill), "first_token": _rounded(samples.first),
        },
    }  # fmt: skip


def _ratio(plain: list[float], watched: list[float]) -> float:
    """Median over rounds of speed watched / speed plain."""
    return round(statistics.median(p / w for p, w in zip(plain, watched, strict=True)), 4)


def _rate(seconds: list[float]) -> float:
    return round(1 / statistics.median(seconds), 1)


def _rounded(samples: dict[str, list[float]]) -> dict[str, list[float]]:
    return {mode: [round(value, 6) for value in values] for mode, values in samples.items()}
