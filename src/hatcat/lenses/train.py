"""Training lenses in closed form, and the whole way from a concept pack to a calibrated lens pack.

A lens at one layer is the direction Σ⁻¹(μ_concept − μ_all): the difference of means under a covariance within classes
that all concepts share, shrunk towards the identity (linear discriminant analysis with Ledoit-Wolf style shrinkage;
mean differences under whitening detect as well as anything published: AxBench, arXiv 2501.17148). Scores are
standardised per layer and summed over the tap layers.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hatcat.concepts.pack import ConceptPack
from hatcat.engines.base import EMBEDDING, Engine
from hatcat.lenses import report
from hatcat.lenses.calibrate import Benign, calibrate
from hatcat.lenses.corpus import Corpus, Rows, collect
from hatcat.lenses.pack import FORMAT, Array, Header, LensPack

# Part of the average variance added to every direction. 0.2-0.6 do equally well on held-out texts.
SHRINKAGE = 0.4
# Tokens whose embeddings the text lens averages: about a clause, what a reader has in view.
TEXT_WINDOW = 12


@dataclass(frozen=True)
class Progress:
    """How far a training is: ``done`` of ``total`` units in a stage, and seconds left of all stages if known."""

    stage: str
    done: int
    total: int
    eta_seconds: float | None


def tap_layers(n_layers: int) -> tuple[int, ...]:
    """Layers that lenses read: four, at 0.2, 0.4, 0.6 and 0.8 of the depth, never the last."""
    return tuple(sorted({min(round(n_layers * part / 5), n_layers - 2) for part in (1, 2, 3, 4)}))


def fit_layer(
    means: Array, concept: NDArray[np.intp], positive: NDArray[np.bool_], below: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Lenses of one layer from text means ``[texts, d]``: rows ``[concepts, d]`` and bias ``[concepts]``.

    A concept with kinds below it (``below[a, b]``: b is a kind of a) means what its own examples say and what its
    kinds' do, half and half. Scores of the training texts have mean 0 and deviation 1 for every concept.
    """
    x = means.astype(np.float64)
    centre = x.mean(axis=0)
    own = np.stack([x[positive & (concept == c)].mean(axis=0) for c in range(len(below))])
    within = np.where(positive[:, None], x - own[concept], x - centre)
    covariance = within.T @ within / len(x)
    d = len(covariance)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.trace(covariance) / d * np.eye(d)
    count = below.sum(axis=1, keepdims=True)
    meant = np.where(count > 0, (own + below @ own / np.maximum(count, 1)) / 2, own)
    rows = np.linalg.solve(shrunk, (meant - centre).T).T
    scores = x @ rows.T
    mean, deviation = scores.mean(axis=0), np.maximum(scores.std(axis=0), 1e-9)
    return (rows / deviation[:, None]).astype(np.float32), (-mean / deviation).astype(np.float32)


def fit(means: Array, corpus: Corpus, use: NDArray[np.bool_] | None = None) -> tuple[Array, Array]:
    """Lenses of all layers from ``[texts, layers, d]``: rows ``[layers, concepts, d]``, bias ``[layers, concepts]``.
    ``use`` picks the texts to train on."""
    pick = np.ones(len(means), dtype=bool) if use is None else use
    fitted = [
        fit_layer(means[pick, layer], corpus.concept[pick], corpus.positive[pick], corpus.below)
        for layer in range(means.shape[1])
    ]
    return np.stack([rows for rows, _ in fitted]), np.stack([bias for _, bias in fitted])


def cross_validate(means: Array, corpus: Corpus) -> tuple[Array, Array]:
    """Held-out scores ``[texts, concepts]`` of the lenses and of the text-only control, each text scored by lenses
    that saw neither it nor the rest of its fold. ``means`` ``[texts, layers, d]`` without the embedding layer."""
    classes = len(corpus.below)
    scores = np.empty((len(means), classes), dtype=np.float32)
    control = np.empty_like(scores)
    for k in np.unique(corpus.fold):  # fewer than FOLDS where no concept has so many texts
        use, held = corpus.fold != k, corpus.fold == k
        rows, bias = fit(means, corpus, use)
        scores[held] = np.einsum("tld,lcd->tc", means[held], rows, optimize=True) + bias.sum(axis=0)
        words = report.TextControl(
            [t for t, u in zip(corpus.texts, use, strict=True) if u], corpus.concept[use], corpus.positive[use], classes
        )
        control[held] = [words.score(t) for t, h in zip(corpus.texts, held, strict=True) if h]
    return scores, control


def read_corpus(
    engine: Engine, corpus: Corpus, work: Path, seconds_after: Callable[[float], float] = lambda _: 0.0
) -> Generator[Progress, None, Array]:
    """Mean states ``[texts, layers, d]`` of a corpus at the embedding and the tap layers, yielding progress.

    Kept under ``work`` by weights, runtime and texts: a reading that was killed goes on where it was, and one that
    was finished is not done again. ``seconds_after`` tells from the seconds of a text how long what follows takes.
    """
    layers = (EMBEDDING, *tap_layers(engine.info.layers))
    name = json.dumps([engine.info.source, engine.info.runtime, corpus.key(), layers])
    folder = work / f"states-{hashlib.sha256(name.encode()).hexdigest()[:16]}.f32"
    rows = Rows(folder, len(layers) * engine.info.width)
    total, first, started = len(corpus.texts), rows.count, time.monotonic()
    for done in collect(engine, corpus, layers, rows):
        per_text = (time.monotonic() - started) / (done - first)
        yield Progress("reading texts", done, total, (total - done) * per_text + seconds_after(per_text))
    return rows.load().reshape(-1, len(layers), engine.info.width)


class Training:
    """From a concept pack to a calibrated lens pack, resumable at any moment. ``run`` it, then take ``result``."""

    def __init__(
        self,
        engine: Engine,
        pack: ConceptPack,
        work: Path,
        *,
        benign: Benign,
        limit: int | None = None,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """``work``: folder for checkpoints. ``limit``: at most so many examples and contrasts of each concept.
        ``busy``: whether someone waits for the engine.

        Raises PackError for concepts that can't be trained.
        """
        self._engine, self._pack, self._work = engine, pack, work
        self._benign, self._busy = benign, busy
        self._corpus = Corpus.of(pack, limit=limit)
        self.result: LensPack | None = None

    def run(self) -> Generator[Progress, None, None]:
        """Read the corpus, fit, validate, calibrate; a checkpoint after every text and every answer."""
        started = time.monotonic()
        means = yield from read_corpus(self._engine, self._corpus, self._work, self._benign.estimate)
        yield Progress("fitting", 0, 1, None)
        cards = report.cards(self._corpus, *cross_validate(means[:, 1:], self._corpus))
        rows, bias = fit(means, self._corpus)
        header = Header(
            format=FORMAT, pack=self._pack.header.name, pack_version=self._pack.header.version,
            model=self._engine.info.name, source=self._engine.info.source,
            layers=list(tap_layers(self._engine.info.layers)), text_window=TEXT_WINDOW,
            concepts=[c.id for c in self._pack.concepts], cards=cards, runtimes={},
            trained={"texts": len(means), "runtime": self._engine.info.runtime, "shrinkage": SHRINKAGE},
        )  # fmt: skip
        lenses = LensPack(header, rows[1:], bias[1:].sum(axis=0), rows[0], bias[0], {})
        for done, total, eta in calibrate(self._engine, lenses, self._benign, self._work, self._busy):
            yield Progress("calibrating on benign answers", done, total, eta)
        header.trained |= {"seconds": round(time.monotonic() - started, 1), "peak_bytes": peak_bytes()}
        self.result = lenses


def peak_bytes() -> int:
    """The most memory this process has had resident, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
