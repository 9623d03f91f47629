"""One answer being read: states in, readings out, in the shape of the API's ``hatcat`` object.

Tokens are read a few at a time, because a matrix product for four costs little more than for one: up to ``BATCH``
tokens wait, but none longer than ``MAX_WAIT`` seconds, so that a slow model's tokens are read one by one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from hatcat.engines.base import States
from hatcat.lenses.pack import Array, LensPack
from hatcat.lenses.percentile import Percentiles
from hatcat.lenses.window import Window
from hatcat.monitor.alerts import AlertLog
from hatcat.monitor.divergence import Divergence, TokenGap

BATCH = 4
MAX_WAIT = 0.04

Reading = dict[str, Any]


class Watch:
    """State of one answer and what its request asked for. Made by ``Monitor.watch``."""

    def __init__(
        self,
        *,
        lenses: LensPack | None,
        percentiles: Percentiles | None,
        divergence: Divergence | None,
        engine: str,
        wants_tokens: bool,
        top: int,
        named: Sequence[int],
        batch: int,
    ) -> None:
        """Without ``lenses`` nothing is read; without ``percentiles`` and ``divergence`` nothing is calibrated."""
        self._lenses, self._percentiles, self._divergence = lenses, percentiles, divergence
        self._engine, self._top, self._named, self._batch = engine, top, list(named), batch
        self.wants_tokens = wants_tokens
        self.reads = lenses is not None
        n = len(lenses.concepts) if lenses else 0
        self._sum, self._max = np.zeros(n), np.full(n, -1, dtype=np.float32)
        self._max_token = np.zeros(n, dtype=np.intp)
        self._tokens = self._measured = 0
        self._window = Window(lenses.header.text_window if lenses else 1)
        self._pending: list[tuple[int, States, str, float | None]] = []
        self._waiting_since = 0.0
        self._log = AlertLog()

    def count(self, n: int) -> None:
        """``n`` more tokens were given out, to be read or not."""
        self._tokens += n

    def read(self, index: int, states: States, text: str, logprob: float | None) -> list[Reading]:
        """Take the states ``[layers, d]`` of a token. Returns the readings that are ready by now, maybe of earlier
        tokens; none unless the request wants tokens."""
        now = time.monotonic()
        if not self._pending:
            self._waiting_since = now
        self._pending.append((index, states, text, logprob))
        if len(self._pending) < self._batch and now - self._waiting_since < MAX_WAIT:
            return []
        return self.flush()

    def flush(self) -> list[Reading]:
        """Read what is waiting."""
        pending, self._pending = self._pending, []
        if not pending:
            return []
        if self._lenses is None or self._percentiles is None or self._divergence is None:
            state = "not_measured" if self._lenses is None else "uncalibrated"
            return [_reading(i, text, p, state) for i, _, text, p in pending] if self.wants_tokens else []
        states = np.stack([item[1] for item in pending])
        words = np.stack([self._window.push(row) for row in states[:, 0]])
        scores = np.concatenate([self._lenses.score(states[:, 1:]), self._lenses.score_text(words)], axis=1)
        n = self._lenses.bias.size
        both = self._percentiles(scores)
        activation, said = both[:, :n], both[:, n:]
        self._note([item[0] for item in pending], activation)
        gaps = self._divergence.tokens([item[0] for item in pending], activation, said)
        self._log.update(self._divergence.peak())
        if not self.wants_tokens:
            return []
        return [
            self._measured_reading(item, scores[row, :n], activation[row], said[row], gaps[row])
            for row, item in enumerate(pending)
        ]

    def unread(self, index: int, text: str, logprob: float | None) -> list[Reading]:
        """A token without a reading, said to be so, if the request wants tokens."""
        return [_reading(index, text, logprob, "not_measured")] if self.wants_tokens else []

    def new_alert(self) -> bool:
        """Whether an alert was raised since this was asked last."""
        return self._log.take_news()

    def alerts(self) -> list[dict[str, Any]]:
        """Alerts so far in the API's shape."""
        return [
            {"id": self._id(a.concept), "first_token": a.first_token, "p": round(a.p, 6), "look": "first"}
            for a in self._log.alerts
        ]

    def summary(self) -> dict[str, Any]:
        """What the answer was about, and how well it was read."""
        state, reason = self._state()
        found: dict[str, Any] = {
            "tokens": self._tokens, "measured": self._measured, "monitor": state, "concepts": [],
            "divergence": None, "pack": self._lenses.header.pack if self._lenses else None, "engine": self._engine,
        }  # fmt: skip
        if reason:
            found["reason"] = reason
        if self._measured:
            mean = self._sum / self._measured
            found["concepts"] = [
                {"id": self._id(i), "mean": shown(mean[i]), "max": shown(self._max[i]),
                 "max_token": int(self._max_token[i])}
                for i in np.argsort(-mean)[: self._top]
            ]  # fmt: skip
        if self._divergence and (peak := self._divergence.peak()):
            found["divergence"] = {"p": round(peak.p, 6), "id": self._id(peak.concept), "token": peak.token}
        return found

    def _state(self) -> tuple[str, str | None]:
        if self._lenses is None:
            return "off", "no lenses are trained for this model yet"
        if self._divergence is None:
            return "degraded", "the lenses are not calibrated for this runtime yet"
        if self._measured < self._tokens:
            return "degraded", f"{self._tokens - self._measured} of {self._tokens} tokens were not read"
        return "ok", None

    def _note(self, indexes: list[int], activation: Array) -> None:
        """Keep mean and maximum of every concept for the summary."""
        self._measured += len(indexes)
        self._sum += activation.sum(axis=0)
        place = activation.argmax(axis=0)
        largest = activation[place, np.arange(activation.shape[1])]
        higher = largest > self._max
        self._max[higher] = largest[higher]
        self._max_token[higher] = np.asarray(indexes)[place[higher]]

    def _measured_reading(
        self, item: tuple[int, States, str, float | None], scores: Array, activation: Array, said: Array, gap: TokenGap
    ) -> Reading:
        assert self._lenses is not None
        # The highest percentiles first; among equals (at the calibration's end) the higher score.
        strongest = np.lexsort((-scores, -activation))[: self._top]
        reading = _reading(item[0], item[2], item[3], "measured")
        reading["concepts"] = [
            {"id": self._id(i), "percentile": shown(activation[i]), "text": shown(said[i]),
             "layers": self._lenses.header.layers}
            for i in strongest
        ]  # fmt: skip
        if self._named:
            reading["watched"] = {self._id(i): shown(activation[i]) for i in self._named}
        reading["divergence"] = {
            "id": self._id(gap.concept), "activation": shown(gap.activation), "text": shown(gap.text),
            "p": round(gap.p, 5),
        }  # fmt: skip
        return reading

    def _id(self, i: int) -> str:
        assert self._lenses is not None
        return self._lenses.concepts[int(i)]


def shown(percentile: float) -> float:
    """A percentile as it is shown: one decimal, two above 99."""
    return round(float(percentile), 2 if percentile > 99 else 1)


def _reading(index: int, text: str, logprob: float | None, state: str) -> Reading:
    reading: Reading = {"index": index, "text": text, "state": state, "concepts": []}
    if logprob is not None:
        reading["logprob"] = round(logprob, 5)
    return reading
