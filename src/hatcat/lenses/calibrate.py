"""Calibration: what benign traffic of the served model scores, so that a reading means the same for every concept.

The model answers authored harmless prompts, half of them with a harmless context (a persona, a domain assistant, a
document, earlier turns). The answers' tokens give the percentiles of every lens; their largest gaps between
activation and text give the null distribution of the divergence.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from hatcat.engines.base import EMBEDDING, Engine, Request, Sampling
from hatcat.errors import PackError
from hatcat.lenses.gap import gaps, smooth_gaps
from hatcat.lenses.pack import Array, Calibration, LensPack
from hatcat.lenses.percentile import GRID, Percentiles
from hatcat.lenses.window import running_mean

ANSWER_TOKENS = 48


@dataclass(frozen=True)
class Benign:
    """The harmless prompts to answer. ``count`` of them, spread over the kinds."""

    count: int | None = None
    answer_tokens: int = ANSWER_TOKENS

    @cached_property
    def conversations(self) -> list[Sequence[Mapping[str, Any]]]:
        lines = files("hatcat").joinpath("data", "benign.jsonl").read_text(encoding="utf-8").splitlines()
        every = [json.loads(line)["messages"] for line in lines]
        if self.count is None or self.count >= len(every):
            return every
        return [every[i * len(every) // self.count] for i in range(self.count)]

    def key(self) -> str:
        content = json.dumps([self.conversations, self.answer_tokens])
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def estimate(self, seconds_per_text: float) -> float:
        """Seconds that answering them will take, from the seconds that reading a training text takes.

        A text has about 22 tokens, a prompt 40; a generated token costs about two read ones.
        """
        per_token = seconds_per_text / 22
        return len(self.conversations) * (40 + 2 * self.answer_tokens) * per_token


def answers(
    engine: Engine, benign: Benign, work: Path, busy: Callable[[], bool]
) -> Iterator[tuple[list[int], list[int]] | None]:
    """(prompt ids, answer ids) of every benign conversation, generated once per runtime and kept in ``work``.

    When ``busy`` says that someone waits for the engine, the answer at hand is given up, None is yielded, and the
    same answer is begun anew afterwards.
    """
    path = work / f"benign-{engine.info.runtime}-{benign.key()}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = _kept_answers(path)
    for i, messages in enumerate(benign.conversations):
        prompt = engine.chat(messages)
        if i < len(kept):
            yield prompt, kept[i]
            continue
        request = Request(prompt, benign.answer_tokens, Sampling(seed=i))
        while (answer := _answer(engine, request, busy)) is None:
            yield None
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(answer) + "\n")
        yield prompt, answer


def _answer(engine: Engine, request: Request, busy: Callable[[], bool]) -> list[int] | None:
    answer: list[int] = []
    with closing(engine.generate([request])) as steps:
        for step in steps:
            if busy():
                return None
            answer += [token.id for token in step.tokens]
    return answer


def _kept_answers(path: Path) -> list[list[int]]:
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines[-1]:  # a line that a kill cut off
        path.write_text("".join(line + "\n" for line in lines[:-1]), encoding="utf-8")
    return [json.loads(line) for line in lines[:-1]]


def calibrate(
    engine: Engine, lenses: LensPack, benign: Benign, work: Path, busy: Callable[[], bool] = lambda: False
) -> Iterator[tuple[int, int, float | None]]:
    """Put a calibration for the engine's runtime into ``lenses``; yields (answers done, of, seconds left).

    ``busy`` tells that someone waits for the engine: see ``answers``.
    """
    started = time.monotonic()
    layers = (EMBEDDING, *lenses.header.layers)
    activation: list[Array] = []
    text: list[Array] = []
    total = len(benign.conversations)
    done = 0
    for pair in answers(engine, benign, work, busy):
        if pair is not None:
            prompt, answer = pair
            done += 1
            if answer:
                states = engine.read([*prompt, *answer], layers)[len(prompt) :]
                activation.append(lenses.score(states[:, 1:]))
                text.append(lenses.score_text(running_mean(states[:, 0], lenses.header.text_window)))
        yield done, total, (time.monotonic() - started) / done * (total - done) if done else None
    lenses.calibrations[engine.info.runtime] = tables(activation, text, benign.answer_tokens)
    lenses.header.runtimes[engine.info.runtime] = {
        "tokens": sum(len(a) for a in activation), "answers": len(activation), "block_tokens": benign.answer_tokens,
        "quantisation": engine.info.quantisation, "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip


def tables(activation: Sequence[Array], text: Sequence[Array], block_tokens: int) -> Calibration:
    """Quantile tables and the divergence's null distribution from raw scores ``[tokens, concepts]`` of each answer.

    An answer is a block. Answers that ended before ``block_tokens`` have smaller maxima and would make whole blocks
    look rare: they are left out of the null, unless no answer is whole. Raises PackError without any answer of four
    tokens.
    """
    tokens = sum(len(a) for a in activation)
    activation_table = _table(activation)
    text_table = _table(text)
    activation_percentile, text_percentile = Percentiles(activation_table, tokens), Percentiles(text_table, tokens)
    maxima: list[Array] = []
    blocks: list[Array] = []
    whole: list[bool] = []
    for a, t in zip(activation, text, strict=True):
        g = gaps(activation_percentile(a), text_percentile(t))
        maxima.append(g.max(axis=1))
        smooth = smooth_gaps(g)
        if len(smooth):
            blocks.append(smooth.max(axis=0))
            whole.append(len(a) >= block_tokens)
    if not blocks:
        raise PackError("the model's answers to harmless prompts are too short to calibrate on")
    null = [block for block, is_whole in zip(blocks, whole, strict=True) if is_whole] or blocks
    gap_table = np.quantile(np.concatenate(maxima), GRID / 100).astype(np.float32)
    return Calibration(activation_table, text_table, gap_table, np.stack(null), tokens, block_tokens)


def _table(scores: Sequence[Array]) -> Array:
    """Scores at the grid's percentiles, ``[concepts, grid]``."""
    return np.ascontiguousarray(np.quantile(np.concatenate(scores), GRID / 100, axis=0).T, dtype=np.float32)
