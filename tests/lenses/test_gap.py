"""The gap between mind and words, token by token and smoothed."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from hatcat.lenses.gap import SMOOTH_TOKENS, gaps, smooth_gaps

percentile = st.floats(0, 100, width=32)


@given(percentile, percentile)
def test_a_gap_is_a_difference_of_normal_scores(activation: float, text: float) -> None:
    result = float(gaps(np.float32([activation]), np.float32([text]))[0])
    normal = [NormalDist().inv_cdf(min(max(round(p, 2) / 100, 5e-5), 1 - 5e-5)) for p in (activation, max(text, 50))]
    assert result == pytest.approx(normal[0] - normal[1], abs=0.35 if max(activation, text) > 99.9 else 0.02)


@given(arrays(np.float32, 20, elements=percentile), percentile)
def test_more_activation_is_more_gap_and_more_text_less(values: NDArray[np.float32], other: float) -> None:
    ordered, fixed = np.sort(values), np.full(20, other, np.float32)
    assert (np.diff(gaps(ordered, fixed)) >= 0).all()
    assert (np.diff(gaps(fixed, ordered)) <= 0).all()


def test_words_that_speak_against_a_concept_make_no_gap() -> None:
    low = gaps(np.float32([60, 60, 60]), np.float32([0, 20, 50]))
    assert low[0] == low[1] == low[2] == pytest.approx(NormalDist().inv_cdf(0.6), abs=1e-3)


def test_any_shape_and_both_ends() -> None:
    ends = gaps(np.float32([[0, 100]]), np.float32([[100, 0]]))
    assert ends.shape == (1, 2)
    assert np.isfinite(ends).all()
    assert ends[0, 0] == pytest.approx(-2 * ends[0, 1], rel=1e-3)


@given(arrays(np.float32, st.tuples(st.integers(1, 20), st.just(2)), elements=st.floats(-8, 8, width=32)))
def test_smoothing_equals_a_naive_loop(values: NDArray[np.float32]) -> None:
    expected = [values[i : i + SMOOTH_TOKENS].mean(axis=0) for i in range(len(values) - SMOOTH_TOKENS + 1)]
    found = smooth_gaps(values)
    assert len(found) == len(expected)
    np.testing.assert_allclose(found, np.reshape(expected, found.shape), atol=1e-4)
