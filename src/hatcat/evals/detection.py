"""How well the lenses of a pack tell held-out examples from held-out contrasts, beside what the words alone tell.

Five-fold cross-validation over the pack's own texts: lenses and the text-only control are fitted on four folds and
tested on the fifth. The lenses that ship are fitted on all texts in the same way.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

from hatcat.concepts.pack import ConceptPack
from hatcat.engines.base import Engine
from hatcat.evals.machine import machine
from hatcat.lenses import report
from hatcat.lenses.corpus import Corpus
from hatcat.lenses.pack import GRADUATED, Card
from hatcat.lenses.train import SHRINKAGE, Progress, cross_validate, read_corpus, tap_layers


def detection(engine: Engine, pack: ConceptPack, work: Path) -> Generator[Progress | dict[str, Any], None, None]:
    """Yields progress, then the report as a dictionary."""
    corpus = Corpus.of(pack)
    means = yield from read_corpus(engine, corpus, work)
    cards = report.cards(corpus, *cross_validate(means[:, 1:], corpus))
    yield summarise(pack, cards) | {
        "texts": len(corpus.texts), "folds": Corpus.FOLDS, "layers": list(tap_layers(engine.info.layers)),
        "shrinkage": SHRINKAGE, "model": engine.info.name, "quantisation": engine.info.quantisation,
        "machine": machine(),
    }  # fmt: skip


def summarise(pack: ConceptPack, cards: list[Card]) -> dict[str, Any]:
    """Means over concepts with 95 % bootstrap intervals, and every concept's own figures."""
    lens, text = [card.auroc for card in cards], [card.text_control for card in cards]
    unrelated = [card.auroc_random for card in cards if card.auroc_random is not None]
    gain = [a - b for a, b in zip(lens, text, strict=True)]
    return {
        "pack": pack.header.name, "concepts": len(cards),
        "mean_auroc": _mean(lens), "mean_auroc_interval": _interval(lens),
        "mean_auroc_random": _mean(unrelated) if unrelated else None,
        "text_control": _mean(text), "text_control_interval": _interval(text),
        "gain": _mean(gain), "gain_interval": _interval(gain),
        "graduated": sum(a >= GRADUATED for a in lens), "bar": GRADUATED,
        "by_concept": {c.id: card.model_dump() for c, card in zip(pack.concepts, cards, strict=True)},
    }  # fmt: skip


def _mean(values: list[float]) -> float:
    return round(float(np.mean(values)), 4)


def _interval(values: list[float]) -> list[float]:
    return [round(x, 4) for x in report.bootstrap_mean(values)]
