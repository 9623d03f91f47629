"""From raw scores to percentiles of benign traffic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

# Percentiles at which calibration tables hold the benign score: coarse below, fine where alarms are decided.
GRID = np.concatenate([np.arange(0, 90, 5), np.arange(90, 99, 1), np.arange(99, 99.95, 0.1)]).astype(np.float32)

# Scores have a deviation of about one: grid points closer than this are one point.
_FLAT = 1e-9


class Percentiles:
    """Tables of many lenses, ready for look-up.

    Between grid points percentiles are linear. Beyond the last one the tail falls off exponentially at the table's
    own rate (peaks over threshold with an exponential tail), up to 100·n/(n+1): the most that ``n`` benign tokens
    can show.
    """

    def __init__(self, table: Array, n: int) -> None:
        """``table``: benign scores ``[lenses, grid]`` at the percentiles ``GRID``; ``n``: benign tokens behind it."""
        steps = np.diff(table, axis=1)
        rises = steps > _FLAT
        slope = np.where(rises, np.diff(GRID) / np.where(rises, steps, 1), 0)
        ends = np.zeros((len(table), 1))
        self._table = table
        # Row ``place`` belongs to scores that reach ``place`` grid points: percentile = base + slope · (score - knot).
        self._slope = np.hstack([ends, slope, ends]).astype(np.float32).ravel()
        self._knot = np.hstack([table[:, :1], table]).astype(np.float32).ravel()
        self._base = np.concatenate([[0], GRID]).astype(np.float32)
        self._first = np.arange(len(table), dtype=np.intp) * (len(GRID) + 1)
        span = np.maximum(table[:, -1] - table[:, -10], 1e-6)
        self._tail_rate = (np.log((100 - GRID[-10]) / (100 - GRID[-1])) / span).astype(np.float32)
        self._last = np.ascontiguousarray(table[:, -1])
        self._most = np.float32(100 * n / (n + 1))

    def __call__(self, scores: Array) -> Array:
        """Percentiles 0-100 of scores ``[..., lenses]``."""
        place = (scores[..., None] >= self._table).sum(axis=-1)
        at = self._first + place
        result: Array = self._base[place] + self._slope[at] * (scores - self._knot[at])
        beyond = place == len(GRID)
        if beyond.any():
            excess = (scores - self._last) * self._tail_rate
            tail = 100 - (100 - GRID[-1]) * np.exp(-np.where(beyond, excess, 0))
            result = np.where(beyond, tail, result)
        return np.minimum(result, self._most)
