"""Divergence, first look: where the activation of a concept is rarer than the words explain.

At every token the largest gap over all concepts becomes a p-value against benign tokens. Over an answer the largest
smoothed gap of the watched concepts in each block of tokens becomes a p-value: benign answers' blocks give the
distribution of the maximum over the same concepts. Since an alert may be raised at any block, block k pays k·(k+1):
the shares 1/(k·(k+1)) of the promised rate sum to 1 over blocks without end (alpha spending), so the rate holds for
answers of any length.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hatcat.lenses.gap import SMOOTH_TOKENS, gaps
from hatcat.lenses.pack import Array, Calibration
from hatcat.lenses.percentile import GRID


@dataclass(frozen=True, slots=True)
class TokenGap:
    """The concept (index) with the largest gap at a token, and how rare such a gap is."""

    concept: int
    activation: float
    text: float
    p: float


@dataclass(frozen=True, slots=True)
class Peak:
    """The rarest smoothed gap of an answer so far: concept (index), token where it was reached, p-value."""

    concept: int
    token: int
    p: float


class Divergence:
    """State of one answer. Feed it percentiles token by token."""

    def __init__(self, calibration: Calibration, watched: Sequence[int]) -> None:
        """``watched``: indices of the concepts that alerts are about."""
        self._calibration = calibration
        self._watched = np.asarray(watched, dtype=np.intp)
        self._null = np.sort(calibration.blocks[:, self._watched].max(axis=1))
        self._recent: deque[Array] = deque(maxlen=SMOOTH_TOKENS)
        self._tokens = 0
        self._best = -np.inf  # of the block at hand
        self._peak: Peak | None = None

    def tokens(self, indexes: Sequence[int], activation: Array, text: Array) -> list[TokenGap]:
        """Percentiles ``[tokens, concepts]`` of the tokens that come next. Returns the largest gap over all concepts
        at each."""
        gap = gaps(activation, text)
        watched = gap[:, self._watched]
        for index, row in zip(indexes, watched, strict=True):
            if self._tokens % self._calibration.block_tokens == 0:  # each block by itself, as in the null
                self._recent.clear()
                self._best = -np.inf
            self._recent.append(row)
            self._tokens += 1
            if len(self._recent) == SMOOTH_TOKENS:
                self._see(index, np.add.reduce(list(self._recent)) / SMOOTH_TOKENS)
        top = gap.argmax(axis=1)
        rows = np.arange(len(top))
        rare = 1 - np.interp(gap[rows, top], self._calibration.gaps, GRID) / 100
        p = np.maximum(rare, 1 / (self._calibration.tokens + 1))
        return [
            TokenGap(int(concept), float(activation[row, concept]), float(text[row, concept]), float(p[row]))
            for row, concept in zip(rows, top, strict=True)
        ]

    def _see(self, index: int, smooth: Array) -> None:
        """Take the smoothed gaps of the watched concepts that end at a token."""
        top = int(smooth.argmax())
        if smooth[top] <= self._best:
            return
        self._best = float(smooth[top])
        block = (self._tokens - 1) // self._calibration.block_tokens + 1
        p = min(1.0, block * (block + 1) * tail(self._best, self._null))
        if self._peak is None or p < self._peak.p:
            self._peak = Peak(int(self._watched[top]), index, p)

    def peak(self) -> Peak | None:
        """The rarest smoothed gap of the answer so far, None before there are four tokens to average."""
        return self._peak


def tail(value: float, null: Array) -> float:
    """P(maximum ≥ value) under the sorted benign maxima ``null``: the conformal rank (1 + #≥) / (n + 1), and beyond
    the largest 2 % an exponential tail through them (peaks over threshold), so that p can be small where n is not
    large. Its scale is estimated from m excesses only, and the predictive distribution that accounts for it is
    (1 + x / (m · scale))^-m, a Lomax tail. Never below a tenth of 1/(n + 1): further the tail is not to be trusted."""
    n = len(null)
    above = n - int(np.searchsorted(null, value, side="left"))
    excess = max(n // 50, 4)
    if above >= excess or n < 20:
        return (1 + above) / (n + 1)
    threshold = float(null[-excess - 1])
    scale = max(float(np.mean(null[-excess:])) - threshold, 1e-6)
    p = (1 + excess) / (n + 1) * (1 + (value - threshold) / (excess * scale)) ** -excess
    return max(float(p), 0.1 / (n + 1))
