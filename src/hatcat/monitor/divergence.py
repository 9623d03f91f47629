"""Divergence, first look: where the activation of a concept is rarer than the words explain.

At every token the largest gap over the watched concepts becomes a p-value against benign tokens. Over an answer the
largest smoothed gap becomes a conversation-level p-value: benign answers' blocks give the distribution of the maximum
over the same concepts, and an answer of several blocks pays for each of them (Bonferroni).
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
    """The watched concept (index) with the largest gap at a token, and how rare such a gap is."""

    concept: int
    activation: float
    text: float
    p: float


@dataclass(frozen=True, slots=True)
class Peak:
    """The largest smoothed gap of an answer so far: concept (index), token where it was reached, p-value."""

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
        self._best = -np.inf
        self._where = (0, 0)

    def token(self, index: int, activation: Array, text: Array) -> TokenGap:
        """One token's percentiles ``[concepts]``. Returns the largest gap over all concepts."""
        gap = gaps(activation, text)
        top = int(gap.argmax())
        self._recent.append(gap[self._watched])
        smooth = np.add.reduce(list(self._recent)) / len(self._recent)
        peak = int(smooth.argmax())
        if smooth[peak] > self._best:
            self._best, self._where = float(smooth[peak]), (int(self._watched[peak]), index)
        self._tokens += 1
        return TokenGap(top, float(activation[top]), float(text[top]), self._token_p(float(gap[top])))

    def peak(self) -> Peak | None:
        """The answer's largest smoothed gap and its p-value, None before the first token."""
        if not self._tokens:
            return None
        blocks = -(-self._tokens // self._calibration.block_tokens)
        concept, token = self._where
        return Peak(concept, token, min(1.0, blocks * tail(self._best, self._null)))

    def _token_p(self, gap: float) -> float:
        percentile = float(np.interp(gap, self._calibration.gaps, GRID))
        return max(1 - percentile / 100, 1 / (self._calibration.tokens + 1))


def tail(value: float, null: Array) -> float:
    """P(maximum ≥ value) under the sorted benign maxima ``null``: the conformal rank (1 + #≥) / (n + 1), and beyond
    the largest 2 % an exponential tail through them (peaks over threshold), so that p can be small where n is not
    large. Never below a tenth of 1/(n + 1): further the tail is not to be trusted."""
    n = len(null)
    above = n - int(np.searchsorted(null, value, side="left"))
    excess = max(n // 50, 4)
    if above >= excess or n < 20:
        return (1 + above) / (n + 1)
    threshold = float(null[-excess - 1])
    scale = max(float(np.mean(null[-excess:])) - threshold, 1e-6)
    p = (1 + excess) / (n + 1) * float(np.exp(-(value - threshold) / scale))
    return max(p, 0.1 / (n + 1))
