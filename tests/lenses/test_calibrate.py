"""Calibration: tables of benign scores, and benign answers that are generated once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hatcat.engines.llama import LlamaEngine
from hatcat.errors import PackError
from hatcat.lenses.calibrate import Benign, answers, calibrate, tables
from hatcat.lenses.gap import gaps, smooth_gaps
from hatcat.lenses.pack import Array, LensPack
from hatcat.lenses.percentile import GRID, Percentiles
from tests.lenses.synthetic import lens_pack

BLOCK_TOKENS = 48
FEW = Benign(count=2, answer_tokens=4)


def scores(seed: int, lengths: list[int], concepts: int = 4) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, concepts)).astype(np.float32) for n in lengths]


# --- tables ---------------------------------------------------------------------------------------------------------


def test_tables_are_quantiles() -> None:
    activation, text = scores(0, [48] * 50), scores(1, [48] * 50)
    made = tables(activation, text, BLOCK_TOKENS)
    for array, given in ((made.activation, activation), (made.text, text)):
        together = np.sort(np.concatenate(given)[:, 2])
        for at in (0, 10, len(GRID) - 1):
            rank = GRID[at] / 100 * (len(together) - 1)
            low, high = together[int(np.floor(rank))], together[int(np.ceil(rank))]
            assert low - 1e-6 <= array[2, at] <= high + 1e-6
    assert made.tokens == 50 * 48
    assert made.block_tokens == BLOCK_TOKENS


def test_blocks_hold_the_largest_smoothed_gap_of_each_concept() -> None:
    lengths = [48, 10, 48]  # the short answer's maximum is smaller for its length alone: it is left out
    activation, text = scores(0, lengths), scores(1, lengths)
    made = tables(activation, text, BLOCK_TOKENS)
    assert made.blocks.shape == (2, 4)
    a, t = Percentiles(made.activation, made.tokens), Percentiles(made.text, made.tokens)
    for block, i in ((0, 0), (1, 2)):
        smooth = smooth_gaps(gaps(a(activation[i]), t(text[i])))
        np.testing.assert_array_equal(made.blocks[block], smooth.max(axis=0))


def test_short_answers_serve_where_there_are_no_others() -> None:
    lengths = [10, 12, 3]
    made = tables(scores(0, lengths), scores(1, lengths), BLOCK_TOKENS)
    assert made.blocks.shape == (2, 4)  # three tokens hold no mean of four
    with pytest.raises(PackError, match="too short"):
        tables(scores(0, [3, 2]), scores(1, [3, 2]), BLOCK_TOKENS)


def test_gaps_are_quantiles_of_each_tokens_largest() -> None:
    activation, text = scores(0, [48] * 40), scores(1, [48] * 40)
    made = tables(activation, text, BLOCK_TOKENS)
    a, t = Percentiles(made.activation, made.tokens), Percentiles(made.text, made.tokens)
    largest = np.concatenate([gaps(a(x), t(y)).max(axis=1) for x, y in zip(activation, text, strict=True)])
    for level in (50.0, 95.0):
        at = int(np.searchsorted(GRID, level))
        assert (largest <= made.gaps[at]).mean() * 100 == pytest.approx(level, abs=1)


# --- benign prompts -------------------------------------------------------------------------------------------------


def test_the_benign_prompts_are_whole_conversations() -> None:
    conversations = Benign().conversations
    assert len(conversations) >= 300
    for messages in conversations:
        assert messages[-1]["role"] == "user"
        assert {m["role"] for m in messages} <= {"system", "user", "assistant"}
        assert all(m["content"].strip() for m in messages)
    with_context = sum(len(m) > 1 for m in conversations) / len(conversations)
    assert 0.3 < with_context < 0.7  # about half carry a harmless context
    assert len({json.dumps(m) for m in conversations}) == len(conversations)


def test_a_count_spreads_over_all_of_them() -> None:
    every = Benign().conversations
    few = Benign(count=8).conversations
    assert len(few) == 8
    places = [every.index(m) for m in few]
    assert places == sorted(set(places))
    assert places[-1] > len(every) * 0.8
    assert len(Benign(count=10**6).conversations) == len(every)


def test_the_key_names_prompts_and_length() -> None:
    keys = {Benign().key(), Benign(count=8).key(), Benign(count=8, answer_tokens=9).key()}
    assert len(keys) == 3
    assert Benign(count=8).key() == Benign(count=8).key()
    assert Benign().estimate(0.2) > Benign(count=8).estimate(0.2) > 0


# --- on the real model ----------------------------------------------------------------------------------------------


@pytest.fixture
def uncalibrated(engine: LlamaEngine) -> Callable[[], LensPack]:
    def make() -> LensPack:
        pack = lens_pack(layers=(6, 18), width=576, source=engine.info.source)
        pack.calibrations.clear()
        pack.header.runtimes.clear()
        return pack

    return make


def run(answering: Iterator[Any]) -> list[Any]:
    return list(answering)


def test_answers_are_generated_once_and_kept(engine: LlamaEngine, tmp_path: Path) -> None:
    first = run(answers(engine, FEW, tmp_path, lambda: False))
    assert len(first) == 2
    assert all(0 < len(answer) <= 4 for _, answer in first)
    assert [prompt for prompt, _ in first] == [engine.chat(m) for m in FEW.conversations]
    (kept,) = tmp_path.iterdir()
    lines = kept.read_text().splitlines(keepends=True)
    kept.write_text("[9, 9, 9]\n" + lines[1][:3])  # what is kept is taken as it is, what was cut off is made anew
    again = run(answers(engine, FEW, tmp_path, lambda: False))
    assert again == [(first[0][0], [9, 9, 9]), first[1]]
    assert kept.read_text() == "[9, 9, 9]\n" + lines[1]


@pytest.mark.slow
def test_whoever_waits_goes_first_and_changes_nothing(
    engine: LlamaEngine, tmp_path: Path, uncalibrated: Callable[[], LensPack]
) -> None:
    quiet, disturbed = uncalibrated(), uncalibrated()
    quiet_steps = list(calibrate(engine, quiet, FEW, tmp_path / "a"))
    calls = iter(range(10**6))
    steps = list(calibrate(engine, disturbed, FEW, tmp_path / "b", lambda: next(calls) in {2, 5}))
    assert [done for done, _, _ in quiet_steps] == [1, 2]
    assert len(steps) == 2 + 2
    assert [done for done, _, _ in steps] == sorted(done for done, _, _ in steps)
    assert steps[-1][:2] == (2, 2)
    a, b = quiet.calibrations[engine.info.runtime], disturbed.calibrations[engine.info.runtime]
    for name in ("activation", "text", "gaps", "blocks"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_a_calibration_is_for_the_runtime_that_serves(
    engine: LlamaEngine, tmp_path: Path, uncalibrated: Callable[[], LensPack]
) -> None:
    pack = uncalibrated()
    list(calibrate(engine, pack, Benign(count=1, answer_tokens=4), tmp_path))
    assert pack.calibrations.keys() == pack.header.runtimes.keys() == {engine.info.runtime}
    facts = pack.header.runtimes[engine.info.runtime]
    assert facts["tokens"] == pack.calibrations[engine.info.runtime].tokens <= 4
    assert facts["quantisation"] == "Q4_1"
    pack.save(tmp_path / "pack")
    assert LensPack.load(tmp_path / "pack").header == pack.header
