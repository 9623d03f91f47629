"""Hidden states are right: they agree with an independent computation of the same weights, on both capture ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hatcat.engines.base import EMBEDDING
from hatcat.engines.capture import EvalCallback
from hatcat.engines.llama import PREFILL_ROWS, LlamaEngine
from hatcat.engines.models import find_model
from hatcat.errors import EngineError, InvalidRequest
from hatcat.lenses.train import tap_layers
from tests.engines.oracle import Oracle, cosine

TEXT = "The surgeon washed her hands before the operation, then asked the nurse for a scalpel."


def agreement(engine: LlamaEngine, path: Path) -> np.ndarray:
    """Cosine of every token's state with the oracle's, ``[tokens, layers]``, at all layers that can be read."""
    ids = [*engine.lead, *engine.tokenize(TEXT, bos=False)]
    layers = [EMBEDDING, *range(engine.info.layers - 1)]
    states = engine.read(ids, layers)
    assert states.shape == (len(ids), len(layers), engine.info.width)
    assert states.dtype == np.float32
    expected = Oracle(path).read(ids)[:, : len(layers)]
    # not only the direction: lenses see the length of a state as well
    np.testing.assert_allclose(
        np.linalg.norm(states, axis=-1)[1:], np.linalg.norm(expected, axis=-1)[1:], rtol=0.05, atol=0
    )
    return cosine(states, expected)


def report(name: str, similarity: np.ndarray, layers: tuple[int, ...]) -> None:
    taps = similarity[:, [layer + 1 for layer in layers]]
    for what, values in (("tap layers", taps), ("all layers", similarity)):
        print(f"{name}, {what}: cosine to the oracle mean {values.mean():.5f}, min {values.min():.5f}")  # noqa: T201


@pytest.mark.slow
def test_layer_inputs_agree_with_numpy(engine: LlamaEngine) -> None:
    assert engine.info.capture == "layer-input"
    similarity = agreement(engine, engine._path)
    report("smollm2", similarity, tap_layers(engine.info.layers))
    assert similarity.min() >= 0.995


@pytest.mark.slow
def test_callback_agrees_with_numpy(cache: Path) -> None:
    file = find_model("gemma3-270m", cache)
    engine = LlamaEngine(file.path, name=file.name, source=file.source, context=256)
    try:
        assert engine.info.capture == "callback"
        similarity = agreement(engine, file.path)
        report("gemma3-270m", similarity, tap_layers(engine.info.layers))
        assert similarity.min() >= 0.995
    finally:
        engine.close()


def test_the_two_ways_agree(engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The callback works for every architecture, so it can be held against the other way on the same weights."""
    monkeypatch.setattr("hatcat.engines.llama.LAYER_INPUT_ARCHITECTURES", frozenset())
    ids, layers = engine.tokenize(TEXT), [EMBEDDING, 0, 12, 28]
    other = LlamaEngine(engine._path, name="other", source=engine.info.source, context=128, threads=1)
    try:
        assert other.info.capture == "callback"
        assert cosine(other.read(ids, layers), engine.read(ids, layers)).min() > 0.9999
    finally:
        other.close()


def test_layers_come_in_the_order_asked_for(engine: LlamaEngine) -> None:
    ids = engine.tokenize(TEXT)
    together = engine.read(ids, [20, 3, EMBEDDING])
    for i, layer in enumerate([20, 3, EMBEDDING]):
        np.testing.assert_array_equal(engine.read(ids, [layer])[:, 0], together[:, i])


@pytest.mark.slow
def test_a_text_longer_than_one_batch_keeps_its_rows(engine: LlamaEngine) -> None:
    """The last rows of a text that takes two forward passes are those of its own tokens."""
    ids = (engine.tokenize(TEXT) * 9)[:140]
    whole = engine.read(ids, [2, 4])
    assert len(whole) == 140 > PREFILL_ROWS
    expected = Oracle(engine._path).read(ids, 5)[:, [3, 5]]
    assert cosine(whole, expected).min() >= 0.995


def test_what_was_read_before_leaves_no_trace(engine: LlamaEngine) -> None:
    ids = engine.tokenize(TEXT)
    before = engine.read(ids, [10])
    engine.read(engine.tokenize("Something else entirely."), [2, 29 - 1])
    np.testing.assert_array_equal(engine.read(ids, [10]), before)


@pytest.mark.parametrize("layer", [-2, 29, 30, 10**6])
def test_a_layer_that_cannot_be_read_is_refused(engine: LlamaEngine, layer: int) -> None:
    with pytest.raises(InvalidRequest, match=f"layer {layer} can't be read: choose from 0 to 28"):
        engine.read([1, 2], [layer])


def test_a_graph_without_the_layer_is_an_error_and_not_zeros(engine: LlamaEngine) -> None:
    capture = EvalCallback(engine._lib, engine.info.width)
    capture.choose(None, [7])
    capture.begin(3)
    with pytest.raises(EngineError, match="no output of layer 7"):
        capture.rows()
