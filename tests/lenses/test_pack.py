"""Lens packs: written and read back alike, and every fault of one is named."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from hatcat.engines.llama import LlamaEngine
from hatcat.errors import PackError
from hatcat.lenses.pack import LensPack, describe
from hatcat.lenses.train import tap_layers
from tests.lenses.synthetic import RUNTIME, SOURCE, lens_pack, normal

Tensors = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lens_pack().save(tmp_path / "pack")
    return tmp_path / "pack"


def refusal(folder: Path, **options: Any) -> PackError:
    with pytest.raises(PackError) as caught:
        LensPack.load(folder, **options)
    return caught.value


def test_saved_and_loaded_it_is_the_same(folder: Path) -> None:
    before, after = lens_pack(), LensPack.load(folder, source=SOURCE)
    assert after.header == before.header
    for name in ("rows", "bias", "text_rows", "text_bias"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
        assert getattr(after, name).dtype == np.float32
    assert after.calibrations.keys() == before.calibrations.keys()
    kept, made = after.calibrations[RUNTIME], before.calibrations[RUNTIME]
    for name in ("activation", "text", "gaps"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(made, name))
    np.testing.assert_allclose(kept.blocks, made.blocks, rtol=1e-3)
    assert (kept.tokens, kept.block_tokens) == (made.tokens, made.block_tokens)


def test_a_pack_is_saved_over_an_older_one(folder: Path) -> None:
    lens_pack(("x",), seed=1).save(folder)
    assert LensPack.load(folder).concepts == ["x"]
    assert sorted(p.name for p in folder.iterdir()) == ["lenses.json", "lenses.safetensors"]


def test_describe_gives_the_header_without_weights(folder: Path) -> None:
    (folder / "lenses.safetensors").unlink()
    assert describe(folder)["concepts"] == ["a", "b", "c"]


def test_any_length_of_the_weights_header_loads(tmp_path: Path) -> None:
    """A safetensors file begins with that length: whatever it is, it may not be taken for a pickle's first byte."""
    first = set()
    for n in range(1, 80):
        lens_pack(("a",), runtime="r" * n).save(tmp_path / "pack")
        first.add((tmp_path / "pack" / "lenses.safetensors").read_bytes()[0])
        assert LensPack.load(tmp_path / "pack").calibrations.keys() == {"r" * n}
    assert {0x80, ord("P")} <= first


def test_scores_are_the_sum_over_layers() -> None:
    pack = lens_pack()
    states = normal(np.random.default_rng(1), 6, 2, 8)
    expected = np.empty((6, 3))
    for t in range(6):
        for c in range(3):
            expected[t, c] = sum(pack.rows[i, c] @ states[t, i] for i in range(2)) + pack.bias[c]
    np.testing.assert_allclose(pack.score(states), expected, rtol=1e-4, atol=1e-5)
    embeddings = states[:, 0]
    expected = embeddings @ pack.text_rows.T + pack.text_bias
    np.testing.assert_allclose(pack.score_text(embeddings), expected, rtol=1e-4, atol=1e-5)


# --- faults ---------------------------------------------------------------------------------------------------------


def put(name: str, value: Any) -> Callable[[Tensors], None]:
    return lambda tensors: tensors.update({name: value})


def with_nan(name: str, value: float = np.nan) -> Callable[[Tensors], None]:
    def change(tensors: Tensors) -> None:
        array = tensors[name].copy()
        array.flat[-1] = value
        tensors[name] = array

    return change


WEIGHTS: dict[str, tuple[Callable[[Tensors], Any], str]] = {
    "no rows": (lambda t: t.pop("rows"), "the key 'rows' is missing"),
    "no text bias": (lambda t: t.pop("text_bias"), "the key 'text_bias' is missing"),
    "no blocks": (lambda t: t.pop(f"{RUNTIME}.blocks"), f"the key '{RUNTIME}.blocks' is missing"),
    "a layer short": (put("rows", np.zeros((1, 3, 8), np.float16)), r"rows has the shape \[1, 3, 8\], not \[2, 3, 8\]"),
    "a flat array": (put("rows", np.zeros((2, 24), np.float16)), r"rows has the shape \[2, 24\], not \[2, 3, 0\]"),
    "another width": (
        put("text_rows", np.zeros((3, 9), np.float16)),
        r"text_rows has the shape \[3, 9\], not \[3, 8\]",
    ),
    "a bias too many": (put("bias", np.zeros(4, np.float32)), r"bias has the shape \[4\], not \[3\]"),
    "another grid": (put(f"{RUNTIME}.gaps", np.zeros(5, np.float32)), r"gaps has the shape \[5\]"),
    "blocks of others": (put(f"{RUNTIME}.blocks", np.zeros((9, 2), np.float16)), r"blocks has the shape \[9, 2\]"),
    "NaN in rows": (with_nan("rows"), "rows holds values that are not finite"),
    "infinity in bias": (with_nan("bias", np.inf), "bias holds values that are not finite"),
    "NaN in a table": (with_nan(f"{RUNTIME}.activation"), "activation holds values that are not finite"),
}


@pytest.mark.parametrize("fault", WEIGHTS)
def test_a_fault_of_the_weights_is_named(folder: Path, fault: str) -> None:
    change, message = WEIGHTS[fault]
    path = folder / "lenses.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    error = refusal(folder)
    assert error.message.startswith(f"{path}: ")
    with pytest.raises(PackError, match=message):
        raise error


HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "another format": ({"format": 2}, "format 2, but this version of hatcat reads format 1"),
    "a card missing": ({"cards": []}, "cards: 0 for 3 concepts"),
    "no concepts": ({"concepts": [], "cards": []}, "concepts: "),
    "layers that are none": ({"layers": ["x"]}, r"layers\.0: "),
    "an unknown key": ({"surprise": 1}, "surprise: "),
    "a key missing": ({"source": None}, "source: "),
    "a pack that is a path": ({"pack": "../../x"}, "pack: "),
    "a pack that is a folder up": ({"pack": ".."}, "pack: "),
    "a source that is a path": ({"source": "../../../../x"}, "source: "),
    "a runtime without facts": ({"runtimes": {RUNTIME: {}}}, f"runtimes.{RUNTIME}: needs tokens and block_tokens"),
    "facts that are no numbers": ({"runtimes": {RUNTIME: {"tokens": "x", "block_tokens": 48}}}, "needs tokens"),
    "blocks of no tokens": ({"runtimes": {RUNTIME: {"tokens": 10, "block_tokens": 0}}}, "needs tokens and"),
    "a runtime without tables": (
        {"runtimes": {"other": {"tokens": 10, "block_tokens": 48}}}, "the key 'other.activation' is missing",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", HEADERS)
def test_a_fault_of_the_description_is_named(folder: Path, fault: str) -> None:
    change, message = HEADERS[fault]
    path = folder / "lenses.json"
    header = json.loads(path.read_text())
    path.write_text(json.dumps(header | change))
    with pytest.raises(PackError, match=message) as caught:
        LensPack.load(folder)
    assert caught.value.message.startswith(str(folder))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}', "\ud800".encode("utf-8", "surrogatepass")])
def test_a_description_that_is_none_is_refused(folder: Path, text: str | bytes) -> None:
    path = folder / "lenses.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert refusal(folder).message.startswith(f"{path}: ")


@pytest.mark.parametrize("size", [0, 1, 7, 8, 100, -1])
def test_cut_off_weights_are_named(folder: Path, size: int) -> None:
    path = folder / "lenses.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    assert refusal(folder).message.startswith(f"{path}: ")


def test_a_pickle_in_the_clothes_of_weights_is_not_opened(folder: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "exploded",))

    path = folder / "lenses.safetensors"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps({"rows": Bomb()}, protocol))
        assert "it was not opened" in refusal(folder).message
    with zipfile.ZipFile(path, "w") as archive:  # as torch.save writes it
        archive.writestr("data.pkl", pickle.dumps(Bomb()))
    assert "pickle or zip archive, not safetensors; it was not opened" in refusal(folder).message
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "NOPE"])
def test_numbers_of_a_kind_that_numpy_lacks_are_refused(folder: Path, dtype: str) -> None:
    size = {"BF16": 2, "F8_E4M3": 1, "NOPE": 2}[dtype] * 48
    description = json.dumps({"rows": {"dtype": dtype, "shape": [2, 3, 8], "data_offsets": [0, size]}}).encode()
    path = folder / "lenses.safetensors"
    path.write_bytes(len(description).to_bytes(8, "little") + description + bytes(size))
    assert refusal(folder).message.startswith(f"{path}: ")


def test_lenses_of_other_weights_are_refused(folder: Path) -> None:
    error = refusal(folder, source="cd" * 32)
    assert error.code == "pack_for_another_model"
    assert "were trained for made-up (weights abababababab…), not for" in error.message
    assert "(weights cdcdcdcdcdcd…)" in error.message
    assert "hatcat train --pack tiny" in error.message


@pytest.mark.parametrize("name", ["lenses.json", "lenses.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert refusal(folder).message == f"{folder / name}: no such file"
    (folder / name).mkdir()
    assert refusal(folder).message.startswith(f"{folder / name}: ")


# --- the pack that ships --------------------------------------------------------------------------------------------


def test_the_shipped_pack_fits_the_embedded_model(lenses: LensPack, engine: LlamaEngine) -> None:
    assert lenses.header.source == engine.info.source
    assert tuple(lenses.header.layers) == tap_layers(engine.info.layers)
    assert lenses.rows.shape[2] == engine.info.width
    assert engine.info.runtime in lenses.calibrations, "it must be calibrated for the runtime that is installed"
    calibration = lenses.calibrations[engine.info.runtime]
    assert (np.diff(calibration.activation, axis=1) >= 0).all()
    assert (np.diff(calibration.text, axis=1) >= 0).all()
    assert (np.diff(calibration.gaps) >= 0).all()


def test_the_shipped_pack_is_as_good_as_asked(lenses: LensPack) -> None:
    assert len(lenses.concepts) >= 150
    mean = float(np.mean([card.auroc for card in lenses.header.cards]))
    control = float(np.mean([card.text_control for card in lenses.header.cards]))
    assert mean >= 0.85
    assert mean > control
