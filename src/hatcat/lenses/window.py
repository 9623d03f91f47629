"""The window of words that the text lens looks at: a running mean over the latest tokens' embeddings."""

from __future__ import annotations

from collections import deque

import numpy as np

from hatcat.lenses.percentile import Array


class Window:
    """Mean embedding of up to ``size`` latest tokens, kept up token by token."""

    def __init__(self, size: int) -> None:
        self._rows: deque[Array] = deque(maxlen=size)

    def push(self, embedding: Array) -> Array:
        """Take the next token's embedding ``[d]``; returns the mean ``[d]``."""
        self._rows.append(embedding)
        total = np.add.reduce(list(self._rows))
        result: Array = total / np.float32(len(self._rows))
        return result


def running_mean(embeddings: Array, size: int) -> Array:
    """The window's means at every token of a text, ``[tokens, d]``."""
    window = Window(size)
    return np.stack([window.push(row) for row in embeddings])
