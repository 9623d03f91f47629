"""Report cards: how well a lens tells held-out examples from contrasts, and what the words alone would tell."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hatcat.lenses.corpus import Corpus
from hatcat.lenses.pack import Array, Card

_WORD = re.compile(r"\w+")


def auroc(positive: NDArray[np.floating], negative: NDArray[np.floating]) -> float:
    """Probability that a positive scores above a negative, ties counted half (Mann-Whitney U / n·m).

    NaN when either side is empty.
    """
    if not len(positive) or not len(negative):
        return math.nan
    order = np.sort(negative)
    below = np.searchsorted(order, positive, side="left")
    upto = np.searchsorted(order, positive, side="right")
    return float((below + upto).sum() / (2 * len(positive) * len(negative)))


def bootstrap_mean(values: Sequence[float], *, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % percentile-bootstrap interval of a mean."""
    data = np.asarray(values, dtype=np.float64)
    picks = np.random.default_rng(seed).integers(0, len(data), (draws, len(data)))
    low, high = np.quantile(data[picks].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


class TextControl:
    """The text-only control: TF-IDF over words and word pairs, nearest class mean (Rocchio), all classes at once."""

    def __init__(self, texts: Sequence[str], concept: NDArray[np.intp], positive: NDArray[np.bool_], classes: int):
        """Fit on texts; ``concept[i]`` counts as a positive of its class where ``positive[i]``."""
        bags = [self._bag(text) for text in texts]
        seen = Counter(term for bag in bags for term in bag)
        self._column = {term: i for i, term in enumerate(seen)}
        self._idf = np.array([math.log((1 + len(texts)) / (1 + n)) + 1 for n in seen.values()], dtype=np.float32)
        total = np.zeros(len(seen), dtype=np.float32)
        means = np.zeros((classes, len(seen)), dtype=np.float32)
        counts = np.bincount(concept[positive], minlength=classes).clip(1)
        for bag, label, is_positive in zip(bags, concept, positive, strict=True):
            columns, weights = self._vector(bag)
            total[columns] += weights
            if is_positive:
                means[label, columns] += weights / counts[label]
        self._direction = means - total / max(len(texts), 1)

    def score(self, text: str) -> Array:
        """Scores ``[classes]`` of one text."""
        columns, weights = self._vector(self._bag(text))
        return (self._direction[:, columns] @ weights).astype(np.float32)

    @staticmethod
    def _bag(text: str) -> Counter[str]:
        words = _WORD.findall(text.lower())
        return Counter(words) + Counter(f"{a} {b}" for a, b in pairwise(words))

    def _vector(self, bag: Counter[str]) -> tuple[NDArray[np.intp], Array]:
        known = [(self._column[term], count) for term, count in bag.items() if term in self._column]
        columns = np.array([column for column, _ in known], dtype=np.intp)
        weights = np.array([1 + math.log(count) for _, count in known], dtype=np.float32) * self._idf[columns]
        norm = float(np.linalg.norm(weights))
        return columns, weights / norm if norm else weights


def cards(corpus: Corpus, scores: Array, control: Array) -> list[Card]:
    """One card per concept from held-out scores ``[texts, concepts]`` of the lenses and of the text control."""
    result, related = [], corpus.related
    for c in range(scores.shape[1]):
        own = corpus.concept == c
        positive, negative = own & corpus.positive, own & ~corpus.positive
        unrelated = corpus.positive & ~related[c][corpus.concept]
        result.append(Card(
            auroc=round(auroc(scores[positive, c], scores[negative, c]), 4),
            auroc_random=round(auroc(scores[positive, c], scores[unrelated, c]), 4) if unrelated.any() else None,
            text_control=round(auroc(control[positive, c], control[negative, c]), 4),
            n_positive=int(positive.sum()), n_negative=int(negative.sum()),
        ))  # fmt: skip
    return result
