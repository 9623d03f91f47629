"""The text lens's window: the mean of the latest tokens, whole or token by token."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from hatcat.lenses.window import Window, running_mean


@given(
    arrays(np.float32, st.tuples(st.integers(1, 30), st.just(3)), elements=st.floats(-100, 100, width=32)),
    st.integers(1, 40),
)
def test_equals_a_naive_loop(embeddings: NDArray[np.float32], size: int) -> None:
    expected = [
        embeddings[max(0, i + 1 - size) : i + 1].astype(np.float64).mean(axis=0) for i in range(len(embeddings))
    ]
    means = running_mean(embeddings, size)
    assert means.dtype == np.float32
    np.testing.assert_allclose(means, expected, rtol=1e-4, atol=1e-4)
    window = Window(size)
    np.testing.assert_array_equal([window.push(row) for row in embeddings], means)


def test_what_left_the_window_leaves_no_trace() -> None:
    """A running sum would keep the rounding error of a large number for ever."""
    embeddings = np.ones((50, 2), np.float32)
    embeddings[3] = 1e8
    np.testing.assert_array_equal(running_mean(embeddings, 4)[10:], 1)
