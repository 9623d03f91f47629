"""The window of words that the text lens looks at: a running mean over the latest tokens' embeddings."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from hatcat.lenses.percentile import Array


class Window:
    """Mean embedding of up to ``size`` latest tokens, kept up token by token."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rows: deque[Array] = deque()
        self._total: NDArray[np.float64] | None = None

    def push(self, embedding: Array) -> Array:
        """Take the next token's embedding ``[d]``; returns the mean ``[d]``."""
        self._rows.append(embedding)
        self._total = embedding.astype(np.float64) if self._total is None else self._total + embedding
        if len(self._rows) > self._size:
            self._total -= self._rows.popleft()
        return (self._total / len(self._rows)).astype(np.float32)


def running_mean(embeddings: Array, size: int) -> Array:
    """The window's means at every token of a text, ``[tokens, d]``."""
    window = Window(size)
    return np.stack([window.push(row) for row in embeddings])
