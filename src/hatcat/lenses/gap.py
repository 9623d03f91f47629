"""The gap between mind and words: how much rarer a concept's activation is than the text explains.

Both percentiles become normal scores (Φ⁻¹), which stretch the top where it matters; the gap is their difference.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from hatcat.lenses.pack import Array

SMOOTH_TOKENS = 4

# Φ⁻¹ at 0.00, 0.01, … 100.00 (ends clipped to the percentiles that a calibration can show)
_STEPS = np.linspace(0, 100, 10_001)
_NORMAL = np.array([NormalDist().inv_cdf(min(max(p / 100, 5e-5), 1 - 5e-5)) for p in _STEPS], dtype=np.float32)


def gaps(activation: Array, text: Array) -> Array:
    """Normal score of the activation percentile minus that of the text percentile; any shape. The text's is taken
    as at least the median: words that speak against a concept do not make its activation a divergence."""
    a = _NORMAL[np.rint(activation * 100).astype(np.intp)]
    t = _NORMAL[np.rint(np.maximum(text, 50) * 100).astype(np.intp)]
    result: Array = a - t
    return result


def smooth_gaps(values: Array) -> Array:
    """Means over every run of four tokens, ``[max(tokens - 3, 0), concepts]``: one odd token is not a thought."""
    total = np.vstack([np.zeros((1, values.shape[1]), dtype=values.dtype), np.cumsum(values, axis=0)])
    return ((total[SMOOTH_TOKENS:] - total[:-SMOOTH_TOKENS]) / SMOOTH_TOKENS).astype(np.float32)
