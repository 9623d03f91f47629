"""One watched generation: states in, readings out.

A ``Monitor`` holds the lenses of a model; a ``Watch`` is the state of one answer and what its request asked for. What
comes out are plain dictionaries in the shape of the API's ``hatcat`` object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hatcat.concepts.pack import ConceptPack
from hatcat.engines.base import EMBEDDING, Engine, States
from hatcat.errors import InvalidRequest, NotFound
from hatcat.lenses.pack import Array, LensPack
from hatcat.lenses.percentile import Percentiles
from hatcat.lenses.window import Window
from hatcat.monitor.alerts import AlertLog
from hatcat.monitor.divergence import Divergence


@dataclass(frozen=True, slots=True)
class Options:
    """What a request asks of the monitor."""

    detail: str = "summary"
    top: int = 5
    watch: tuple[str, ...] = ()


class Monitor:
    """Reads one model with one lens pack. ``reason`` says why readings are not calibrated, if they are not."""

    def __init__(self, engine_name: str, runtime: str, pack: ConceptPack | None, lenses: LensPack | None) -> None:
        self.engine = engine_name
        self.pack, self.lenses = pack, lenses
        self.calibration = lenses.calibrations.get(runtime) if lenses else None
        names = lenses.concepts if lenses else [c.id for c in pack or ()]
        if self.calibration:  # activation and text in one table: one look-up a token
            both = np.concatenate([self.calibration.activation, self.calibration.text])
            self.percentiles = Percentiles(both, self.calibration.tokens)
        self._index = {concept: i for i, concept in enumerate(names)}

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers whose states a watch needs; none while there are no lenses."""
        return (EMBEDDING, *self.lenses.header.layers) if self.lenses else ()

    def watch(self, options: Options) -> Watch:
        """Start an answer. Raises NotFound for an unknown concept, InvalidRequest for an empty tag."""
        return Watch(self, options, self.resolve(options.watch))

    def resolve(self, names: Sequence[str]) -> list[int]:
        """Indices of concepts given by id or ``tag:NAME``."""
        chosen: dict[int, None] = {}
        for name in names:
            if name.startswith("tag:"):
                tag = name.removeprefix("tag:")
                tagged = [c.id for c in self.pack or () if tag in c.tags and c.id in self._index]
                if not tagged:
                    raise InvalidRequest(f"no concept has the tag {tag!r}", param="hatcat.watch", code="unknown_tag")
                chosen.update((self._index[concept], None) for concept in tagged)
            elif name in self._index:
                chosen[self._index[name]] = None
            else:
                near = f"; near it: {', '.join(c.id for c in self.pack.search(name, limit=3))}" if self.pack else ""
                raise NotFound(
                    f"there is no lens for a concept {name!r}{near}",
                    param="hatcat.watch",
                    code="unknown_concept",
                )
        return list(chosen) if self.lenses else []

    def default_watch(self) -> list[int]:
        """What alerts are about unless a request says: the concepts tagged ``safety``, or all where none is."""
        safety = [self._index[c.id] for c in self.pack or () if "safety" in c.tags and c.id in self._index]
        return safety or list(range(len(self._index)))


class Watch:
    """One answer being read."""

    def __init__(self, monitor: Monitor, options: Options, named: list[int]) -> None:
        self._monitor, self._options, self._named = monitor, options, named
        self._lenses = monitor.lenses
        n = len(self._lenses.concepts) if self._lenses else 0
        self._sum, self._max = np.zeros(n), np.full(n, -1, dtype=np.float32)
        self._max_token = np.zeros(n, dtype=np.intp)
        self._tokens = self._measured = 0
        self._window = Window(self._lenses.header.text_window) if self._lenses else None
        calibration = monitor.calibration
        self._divergence = Divergence(calibration, named or monitor.default_watch()) if calibration else None
        self._log = AlertLog()

    @property
    def layers(self) -> tuple[int, ...]:
        return self._monitor.layers

    @property
    def wants_tokens(self) -> bool:
        return self._options.detail == "tokens"

    def count(self, n: int) -> None:
        """``n`` more tokens were given out, to be read or not."""
        self._tokens += n

    def read(self, index: int, states: States, text: str, logprob: float | None) -> tuple[dict[str, Any] | None, bool]:
        """Take the states ``[layers, d]`` of a token. Returns its reading (None unless ``detail`` is tokens) and
        whether it raised a new alert."""
        if self._lenses is None or self._window is None:
            return self.unread(index, text, logprob), False
        if self._divergence is None:
            return self._uncalibrated(index, text, logprob), False
        words = self._window.push(states[0])
        scores = np.concatenate([self._lenses.score(states[1:]), self._lenses.score_text(words)])
        activation, said = np.split(self._monitor.percentiles(scores), 2)
        self._measured += 1
        self._sum += activation
        higher = activation > self._max
        self._max[higher] = activation[higher]
        self._max_token[higher] = index
        gap = self._divergence.token(index, activation, said)
        alerted = self._log.update(self._divergence.peak())
        if not self.wants_tokens:
            return None, alerted
        reading = self._reading(index, text, logprob, "measured")
        reading["concepts"] = [
            {"id": self._id(i), "percentile": shown(activation[i]), "text": shown(said[i]),
             "layers": self._lenses.header.layers}
            for i in self._strongest(activation, scores)
        ]  # fmt: skip
        if self._named:
            reading["watched"] = {self._id(i): shown(activation[i]) for i in self._named}
        reading["divergence"] = {
            "id": self._id(gap.concept), "activation": shown(gap.activation), "text": shown(gap.text),
            "p": round(gap.p, 5),
        }  # fmt: skip
        return reading, alerted

    def unread(self, index: int, text: str, logprob: float | None) -> dict[str, Any]:
        """A token without a reading, said to be so."""
        return self._reading(index, text, logprob, "not_measured")

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
            "divergence": None, "pack": self._lenses.header.pack if self._lenses else None,
            "engine": self._monitor.engine,
        }  # fmt: skip
        if reason:
            found["reason"] = reason
        if self._measured:
            mean = self._sum / self._measured
            top = np.argsort(-mean)[: self._options.top]
            found["concepts"] = [
                {"id": self._id(i), "mean": shown(mean[i]), "max": shown(self._max[i]),
                 "max_token": int(self._max_token[i])}
                for i in top
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

    def _uncalibrated(self, index: int, text: str, logprob: float | None) -> dict[str, Any] | None:
        """Without a calibration there is no percentile to show: the token is marked, and nothing is made up."""
        return self._reading(index, text, logprob, "uncalibrated") if self.wants_tokens else None

    def _strongest(self, activation: Array, scores: Array) -> list[int]:
        """The concepts with the highest percentiles; among equals (at the calibration's end) the higher score."""
        return [int(i) for i in np.lexsort((-scores[: len(activation)], -activation))[: self._options.top]]

    def _reading(self, index: int, text: str, logprob: float | None, state: str) -> dict[str, Any]:
        reading: dict[str, Any] = {"index": index, "text": text, "state": state, "concepts": []}
        if logprob is not None:
            reading["logprob"] = round(logprob, 5)
        return reading

    def _id(self, i: int) -> str:
        assert self._lenses is not None
        return self._lenses.concepts[int(i)]


def shown(percentile: float) -> float:
    """A percentile as it is shown: one decimal, two above 99."""
    return round(float(percentile), 2 if percentile > 99 else 1)


def score(engine: Engine, monitor: Monitor, token_ids: Sequence[int], options: Options) -> dict[str, Any]:
    """Read tokens that are already there without generating any. The answer's keys are the API's.

    Raises InvalidRequest when there are none or more than the context holds.
    """
    ids = list(token_ids)
    if not ids:
        raise InvalidRequest("there is no text to read", param="text")
    lead = [] if ids[:1] == engine.lead else engine.lead
    if len(ids) + len(lead) > engine.info.context:
        raise InvalidRequest(
            f"the text has {len(ids)} tokens, but the context holds {engine.info.context - len(lead)}",
            param="text",
            code="context_length_exceeded",
        )
    watch = monitor.watch(options)
    watch.count(len(ids))
    states = engine.read([*lead, *ids], monitor.layers)[len(lead) :] if monitor.layers else None
    tokens = []
    for i, piece in enumerate(engine.pieces(ids)):
        sink = i == 0 and not lead  # the first position of all holds no reading
        if states is None or sink:
            tokens.append(watch.unread(i, piece, None))
        elif (reading := watch.read(i, states[i], piece, None)[0]) is not None:
            tokens.append(reading)
    return {"tokens": tokens if watch.wants_tokens else [], "alerts": watch.alerts(), "summary": watch.summary()}
