"""Percentiles: monotone, bounded, and uniform on what they were calibrated on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from hatcat.lenses.percentile import GRID, Percentiles

finite = st.floats(-50, 50, width=32)
benign = arrays(np.float32, st.integers(30, 200), elements=finite)


def table(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores at the grid, ``[lenses, grid]``, of samples ``[n, lenses]``."""
    return np.quantile(samples, GRID / 100, axis=0).T.astype(np.float32)


@given(benign, arrays(np.float32, 50, elements=st.floats(-100, 100, width=32)))
def test_monotone_and_bounded(samples: NDArray[np.float32], scores: NDArray[np.float32]) -> None:
    """Also for benign scores with ties, constant ones among them."""
    n = len(samples)
    result = Percentiles(table(samples[:, None]), n)(np.sort(scores)[:, None])[:, 0]
    assert result.dtype == np.float32
    assert (result >= 0).all()
    assert (result <= 100 * n / (n + 1) + 1e-4).all()
    assert (np.diff(result) >= -1e-3).all()
    assert (result[np.sort(scores) < samples.min()] == 0).all()


@given(benign)
def test_a_grid_point_has_its_own_percentile(samples: NDArray[np.float32]) -> None:
    rows = table(samples[:, None])
    result = Percentiles(rows, 10**7)(rows.T)[:, 0]
    first = np.searchsorted(rows[0], rows[0], side="right") - 1  # of equal scores the highest percentile counts
    np.testing.assert_allclose(result, GRID[first], atol=1e-3)


def test_uniform_on_the_calibration_data_itself() -> None:
    samples = np.random.default_rng(0).standard_normal((20_000, 3)).astype(np.float32)
    samples[:, 1] = np.exp(samples[:, 1])
    result = Percentiles(table(samples), len(samples))(samples)
    for level in (1, 10, 50, 77, 90, 95, 99, 99.5, 99.9):
        above = (result >= level).mean(axis=0) * 100
        np.testing.assert_allclose(above, 100 - level, atol=max(0.3 * (100 - level) / 10, 0.02))


def test_equal_readings_are_equally_rare_for_every_lens() -> None:
    """Scale and place of a lens's scores do not matter."""
    rng = np.random.default_rng(1)
    samples = rng.standard_normal((5000, 1)).astype(np.float32)
    many = np.hstack([samples, samples * 40 - 7, samples * 0.01 + 3])
    scores = rng.standard_normal((200, 1)).astype(np.float32) * 2
    result = Percentiles(table(many), 5000)(np.hstack([scores, scores * 40 - 7, scores * 0.01 + 3]))
    np.testing.assert_allclose(result[:, 1], result[:, 0], atol=0.05)
    np.testing.assert_allclose(result[:, 2], result[:, 0], atol=0.05)


def test_the_tail_continues_an_exponential_one() -> None:
    """Calibrated on exponential scores, the rate beyond the last grid point is the distribution's own."""
    samples = np.random.default_rng(2).exponential(size=(200_000, 1)).astype(np.float32)
    scores = -np.log(np.array([1e-3, 5e-4, 2e-4, 1e-4], np.float32))[:, None]
    rarity = 100 - Percentiles(table(samples), len(samples))(scores)[:, 0].astype(np.float64)
    np.testing.assert_allclose(rarity, [0.1, 0.05, 0.02, 0.01], rtol=0.3)


@pytest.mark.parametrize("n", [9, 999, 99_999])
def test_few_benign_tokens_cannot_show_a_rare_reading(n: int) -> None:
    rows = table(np.random.default_rng(3).standard_normal((500, 1)).astype(np.float32))
    assert Percentiles(rows, n)(np.array([1e6], np.float32))[0] == pytest.approx(100 * n / (n + 1), abs=1e-4)


def test_any_shape_of_scores() -> None:
    samples = np.random.default_rng(4).standard_normal((500, 3)).astype(np.float32)
    look_up = Percentiles(table(samples), 500)
    many = look_up(samples[:6].reshape(2, 3, 3))
    assert many.shape == (2, 3, 3)
    np.testing.assert_array_equal(many[1, 2], look_up(samples[5]))
