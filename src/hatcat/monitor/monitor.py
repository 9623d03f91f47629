"""What reads a model: its lenses, ready for use, and reading a text that is already there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hatcat.concepts.pack import ConceptPack
from hatcat.engines.base import EMBEDDING, Engine
from hatcat.errors import InvalidRequest, NotFound
from hatcat.lenses.pack import LensPack
from hatcat.lenses.percentile import Percentiles
from hatcat.monitor.divergence import Divergence
from hatcat.monitor.watch import BATCH, Watch

# Tokens read at once of a text that is there already.
SCORE_BATCH = 64


@dataclass(frozen=True, slots=True)
class Options:
    """What a request asks of the monitor."""

    detail: str = "summary"
    top: int = 5
    watch: tuple[str, ...] = ()


class Monitor:
    """Reads one model with one lens pack, if it has one, calibrated for one runtime, if it is."""

    def __init__(self, engine_name: str, runtime: str, pack: ConceptPack | None, lenses: LensPack | None) -> None:
        self.engine = engine_name
        self.pack, self.lenses = pack, lenses
        self.calibration = lenses.calibrations.get(runtime) if lenses else None
        names = lenses.concepts if lenses else [c.id for c in pack or ()]
        self.percentiles: Percentiles | None = None
        if self.calibration:  # activation and text in one table: one look-up a token
            both = np.concatenate([self.calibration.activation, self.calibration.text])
            self.percentiles = Percentiles(both, self.calibration.tokens)
        self._index = {concept: i for i, concept in enumerate(names)}

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers whose states a watch needs; none while there are no lenses."""
        return (EMBEDDING, *self.lenses.header.layers) if self.lenses else ()

    def watch(self, options: Options, *, batch: int = BATCH) -> Watch:
        """Start an answer, read up to ``batch`` tokens at a time. Raises NotFound for an unknown concept,
        InvalidRequest for an empty tag."""
        named = self.resolve(options.watch)
        watched = named or self.default_watch()
        return Watch(
            lenses=self.lenses,
            percentiles=self.percentiles,
            divergence=Divergence(self.calibration, watched) if self.calibration else None,
            engine=self.engine,
            wants_tokens=options.detail == "tokens",
            top=options.top,
            named=named,
            batch=batch,
        )

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


def given_ids(engine: Engine, text: str | None, messages: Sequence[Mapping[str, Any]] | None) -> list[int]:
    """Token ids of what is to be read: a conversation under the model's template, or else a bare text."""
    return engine.chat(messages) if messages is not None else engine.tokenize(text or "", bos=False)


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
    watch = monitor.watch(options, batch=SCORE_BATCH)
    watch.count(len(ids))
    states = engine.read([*lead, *ids], monitor.layers)[len(lead) :] if monitor.layers else None
    tokens: list[dict[str, Any]] = []
    for i, piece in enumerate(engine.pieces(ids)):
        if states is None or (i == 0 and not lead):  # the first position of all holds no reading
            tokens += watch.unread(i, piece, None)
        else:
            tokens += watch.read(i, states[i], piece, None)
    tokens += watch.flush()
    return {"tokens": tokens, "alerts": watch.alerts(), "summary": watch.summary()}
