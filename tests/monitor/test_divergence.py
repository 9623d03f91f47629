"""The first look keeps what it promises: its p-values hold on benign answers that the calibration never saw."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hatcat.lenses.calibrate import tables
from hatcat.lenses.gap import SMOOTH_TOKENS, gaps
from hatcat.lenses.pack import Array, Calibration
from hatcat.lenses.percentile import Percentiles
from hatcat.monitor.divergence import Divergence, Peak, tail

CONCEPTS = 8
BLOCK_TOKENS = 48
Answer = tuple[Array, Array]


def benign(rng: np.random.Generator, tokens: int = BLOCK_TOKENS, push: float = 0) -> Answer:
    """Raw scores of an answer: a topic that lasts, seen by both, and noise of each. ``push`` is added to the
    activation of concept 2 from the middle on, and not to its text."""
    steps = rng.standard_normal((tokens, CONCEPTS))
    topic = np.empty_like(steps)
    topic[0] = steps[0]
    for t in range(1, tokens):
        topic[t] = 0.9 * topic[t - 1] + np.sqrt(1 - 0.81) * steps[t]
    activation = topic + rng.standard_normal(topic.shape)
    text = topic + rng.standard_normal(topic.shape)
    activation[tokens // 2 :, 2] += push
    return activation.astype(np.float32), text.astype(np.float32)


class Benign:
    """A calibration on 400 benign answers, and what it takes to read another."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(7)
        self.answers = [benign(self.rng) for _ in range(400)]
        self.calibration: Calibration = tables([a for a, _ in self.answers], [t for _, t in self.answers], BLOCK_TOKENS)
        self.activation = Percentiles(self.calibration.activation, self.calibration.tokens)
        self.text = Percentiles(self.calibration.text, self.calibration.tokens)

    def peak(self, answer: Answer, watched: range = range(CONCEPTS)) -> Peak:
        divergence = Divergence(self.calibration, watched)
        a, t = self.activation(answer[0]), self.text(answer[1])
        for i in range(len(a)):
            divergence.tokens([i], a[i : i + 1], t[i : i + 1])
        peak = divergence.peak()
        assert peak is not None
        return peak


@pytest.fixture(scope="module")
def world() -> Benign:
    return Benign()


def test_held_out_benign_answers_alarm_as_often_as_promised(world: Benign) -> None:
    p = np.array([world.peak(benign(world.rng)).p for _ in range(600)])
    for promised in (0.02, 0.05, 0.1, 0.3):
        rate = (p <= 2 * promised).mean()  # an answer of one block spends half of what is promised
        # three standard deviations of the held-out count and of the 400 answers behind the threshold
        slack = 3 * np.sqrt(promised * (1 - promised) * (1 / 600 + 1 / 400))
        assert abs(rate - promised) <= slack + 0.005, (promised, rate)


def test_a_long_answer_pays_for_its_length(world: Benign) -> None:
    p = np.array([world.peak(benign(world.rng, 4 * BLOCK_TOKENS)).p for _ in range(120)])
    for promised in (0.05, 0.1):
        assert (p <= promised).mean() <= promised + 3 * np.sqrt(promised * (1 - promised) / 120)


def test_the_price_of_a_block_is_its_share_of_the_p_value(world: Benign) -> None:
    """The same burst in the first, second and third block pays 2, 6 and 12; quiet tokens after it change nothing."""
    quiet, loud = np.full(CONCEPTS, 10, np.float32), np.full(CONCEPTS, 99.99, np.float32)
    p = []
    for block in range(3):
        divergence = Divergence(world.calibration, range(CONCEPTS))
        for i in range(4 * BLOCK_TOKENS):
            activation = loud if 20 <= i - block * BLOCK_TOKENS < 26 else quiet
            divergence.tokens([i], activation[None], quiet[None])
        peak = divergence.peak()
        assert peak is not None and peak.token // BLOCK_TOKENS == block
        p.append(peak.p)
    assert 0 < p[0] < 0.1
    assert p[1:] == pytest.approx([3 * p[0], 6 * p[0]])


def test_a_mind_that_leaves_the_words_is_seen_and_named(world: Benign) -> None:
    peaks = [world.peak(benign(world.rng, push=6)) for _ in range(40)]
    assert np.mean([peak.p <= 0.01 for peak in peaks]) > 0.9
    assert np.mean([peak.concept == 2 and peak.token >= BLOCK_TOKENS // 2 for peak in peaks]) > 0.9


def test_only_watched_concepts_raise_the_peak(world: Benign) -> None:
    for _ in range(10):
        peak = world.peak(benign(world.rng, push=8), range(3, 6))
        assert peak.concept in range(3, 6)
    p = [world.peak(benign(world.rng, push=8), range(3, 6)).p for _ in range(60)]
    assert np.mean(np.array(p) <= 0.1) < 0.3


def test_the_peak_is_the_one_the_calibration_would_have_kept(world: Benign) -> None:
    """Token by token equals the whole answer at once."""
    null = np.sort(world.calibration.blocks.max(axis=1))
    for i in range(0, 400, 37):
        block = world.calibration.blocks[i]
        peak = world.peak(world.answers[i])
        assert peak.p == 1 or peak.concept == int(block.argmax())  # at p = 1 the first to reach it stands
        assert peak.p == pytest.approx(min(1, 2 * tail(float(block.max()), null)), abs=6 / 401)


def test_a_peak_never_becomes_less_likely_benign_within_a_block(world: Benign) -> None:
    divergence = Divergence(world.calibration, range(CONCEPTS))
    assert divergence.peak() is None
    a, t = (look_up(x) for look_up, x in zip((world.activation, world.text), benign(world.rng), strict=True))
    last = 1.0
    for i in range(BLOCK_TOKENS):
        divergence.tokens([i], a[i : i + 1], t[i : i + 1])
        peak = divergence.peak()
        assert (peak is None) == (i < SMOOTH_TOKENS - 1)
        if peak is not None:
            assert 0 < peak.p <= last and peak.token <= i
            last = peak.p


def test_a_tokens_gap_is_its_largest_with_an_honest_p(world: Benign) -> None:
    rows = []
    for _ in range(60):
        a, t = (look_up(x) for look_up, x in zip((world.activation, world.text), benign(world.rng), strict=True))
        divergence = Divergence(world.calibration, [0])
        for i in range(len(a)):
            (found,) = divergence.tokens([i], a[i : i + 1], t[i : i + 1])
            gap = gaps(a[i], t[i])
            assert found.concept == int(gap.argmax())
            assert (found.activation, found.text) == (a[i, found.concept], t[i, found.concept])
            rows.append(found.p)
    p = np.array(rows)
    assert ((p > 0) & (p <= 1)).all()
    for promised in (0.05, 0.2, 0.5):
        assert (p <= promised).mean() == pytest.approx(promised, abs=0.03)


# --- the tail -------------------------------------------------------------------------------------------------------

floats = st.floats(-10, 10, width=32)


@given(st.lists(floats, min_size=1, max_size=300), st.lists(floats, min_size=2, max_size=30))
def test_a_larger_value_is_never_more_likely(null: list[float], values: list[float]) -> None:
    ordered = np.sort(np.array(null, np.float32))
    p = [tail(value, ordered) for value in sorted(values)]
    assert all(a >= b for a, b in pairwise(p))
    assert all(0 < x <= 1 for x in p)


def test_within_the_null_it_is_the_conformal_rank() -> None:
    null = np.arange(100, dtype=np.float32)
    assert tail(-1, null) == 1
    assert tail(50, null) == 51 / 101  # 50 of them are as large or larger
    assert tail(50.5, null) == 50 / 101


def test_beyond_the_null_it_is_calibrated_on_exponential_data() -> None:
    """A new value falls below p as often as p says, over nulls as small as they come."""
    rng = np.random.default_rng(0)
    p = np.array([tail(v, draw(rng, 400)) for v in rng.exponential(size=20_000)])
    for promised in (0.01, 0.005, 0.002):
        slack = 3 * np.sqrt(promised / len(p))
        assert (p <= promised).mean() == pytest.approx(promised, abs=slack), promised


def draw(rng: np.random.Generator, n: int) -> NDArray[np.float32]:
    return np.sort(rng.exponential(size=n)).astype(np.float32)


def test_it_does_not_promise_what_the_null_cannot_show() -> None:
    null = draw(np.random.default_rng(0), 500)
    assert tail(1e9, null) == pytest.approx(0.1 / 501)
    assert tail(1e9, null[:10]) == pytest.approx(1 / 11)  # too few for a tail: the rank


def test_a_null_of_equal_values_is_no_trouble() -> None:
    null = np.full(200, 3, np.float32)
    assert tail(3, null) == 1
    assert 0 < tail(3.1, null) <= 1 / 201 + 4 / 200
