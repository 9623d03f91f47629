"""Lens packs: trained readers of one model, as ``lenses.safetensors`` + ``lenses.json``.

A lens is linear: its score is a sum over one or more (layer, row, bias), so all concepts of a layer are one matrix.
Scores are raw and never shown; a calibration table per runtime turns them into percentiles of benign traffic.
The text lens reads the same way from the token embeddings alone (layer -1): what the words say without context.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from hatcat.errors import PackError
from hatcat.lenses.percentile import GRID

FORMAT = 1
# Held-out AUROC against contrasts from which a lens counts as good.
GRADUATED = 0.85
Array = NDArray[np.float32]


class Card(BaseModel):
    """Report card of one lens: held-out AUROC against its contrasts and against unrelated texts."""

    model_config = ConfigDict(extra="forbid")

    auroc: float
    auroc_random: float | None
    text_control: float
    n_positive: int
    n_negative: int


class Header(BaseModel):
    """``lenses.json``."""

    model_config = ConfigDict(extra="forbid")

    format: int
    pack: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")  # becomes the name of a folder
    pack_version: str
    model: str
    source: str = Field(pattern=r"^[0-9A-Za-z]+$")  # likewise
    layers: list[int]
    text_window: int
    concepts: list[str] = Field(min_length=1)
    cards: list[Card]
    runtimes: dict[str, dict[str, Any]]
    trained: dict[str, Any] = Field(default_factory=dict)


@dataclass
class Calibration:
    """What benign traffic of one runtime scores.

    ``activation`` and ``text`` are benign scores at the percentiles ``GRID``, float32 ``[concepts, grid]``.
    ``gaps`` are benign token-level maxima of the gap at the percentiles ``GRID``. ``blocks`` holds the largest gap
    of each concept in each benign block of ``block_tokens`` tokens, float32 ``[blocks, concepts]``.
    """

    activation: Array
    text: Array
    gaps: Array
    blocks: Array
    tokens: int
    block_tokens: int


@dataclass
class LensPack:
    """Lenses in memory. ``rows`` float32 ``[layers, concepts, d]``, ``bias`` ``[concepts]``; a layer that a lens does
    not use is a row of zeros. ``text_rows`` ``[concepts, d]``, ``text_bias`` ``[concepts]``."""

    header: Header
    rows: Array
    bias: Array
    text_rows: Array
    text_bias: Array
    calibrations: dict[str, Calibration]

    @property
    def concepts(self) -> list[str]:
        return self.header.concepts

    def score(self, states: Array) -> Array:
        """Raw scores ``[..., concepts]`` of states ``[..., layers, d]`` taken at ``header.layers``."""
        scores: Array = states.reshape(*states.shape[:-2], -1) @ self._flat + self.bias
        return scores

    @cached_property
    def _flat(self) -> Array:
        """``[layers · d, concepts]``: the sum over layers as one matrix product."""
        return np.ascontiguousarray(self.rows.transpose(0, 2, 1).reshape(-1, self.rows.shape[1]))

    def score_text(self, embeddings: Array) -> Array:
        """Raw text scores ``[..., concepts]`` of windowed embedding means ``[..., d]``."""
        scores: Array = embeddings @ self.text_rows.T + self.text_bias
        return scores

    def save(self, folder: Path) -> None:
        """Write both files, the description last and atomically, so that a pack is whole or absent."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors: dict[str, NDArray[Any]] = {
            "rows": self.rows.astype(np.float16), "bias": self.bias,
            "text_rows": self.text_rows.astype(np.float16), "text_bias": self.text_bias,
        }  # fmt: skip
        for runtime, calibration in self.calibrations.items():
            tensors[f"{runtime}.activation"] = calibration.activation
            tensors[f"{runtime}.text"] = calibration.text
            tensors[f"{runtime}.gaps"] = calibration.gaps
            tensors[f"{runtime}.blocks"] = calibration.blocks.astype(np.float16)
        weights, description = folder / "lenses.safetensors", folder / "lenses.json"
        # safetensors writes memory as it lies: a transposed view would come back scrambled.
        tensors = {key: np.ascontiguousarray(value) for key, value in tensors.items()}
        save_file(tensors, str(weights) + ".part")
        Path(str(weights) + ".part").replace(weights)
        part = Path(str(description) + ".part")
        part.write_text(self.header.model_dump_json(indent=1) + "\n")
        part.replace(description)

    @classmethod
    def load(cls, folder: Path, *, source: str | None = None) -> LensPack:
        """Read and check a pack; with ``source`` also that it was made for those weights.

        Raises PackError naming the file and the key that is wrong.
        """
        header = _load_header(folder / "lenses.json")
        if source is not None and header.source != source:
            raise PackError(
                f"{folder}: these lenses were trained for {header.model} (weights {header.source[:12]}…), not for the "
                f"model that is loaded (weights {source[:12]}…). Train them: `hatcat train --pack {header.pack}`",
                code="pack_for_another_model",
            )
        path = folder / "lenses.safetensors"
        tensors = _load_tensors(path)
        n, layers = len(header.concepts), len(header.layers)
        width = tensors["rows"].shape[-1] if "rows" in tensors and tensors["rows"].ndim == 3 else 0
        shapes: dict[str, tuple[int | None, ...]] = {
            "rows": (layers, n, width), "bias": (n,), "text_rows": (n, width), "text_bias": (n,),
        }  # fmt: skip
        for runtime in header.runtimes:
            shapes |= {
                f"{runtime}.activation": (n, len(GRID)), f"{runtime}.text": (n, len(GRID)),
                f"{runtime}.gaps": (len(GRID),), f"{runtime}.blocks": (None, n),
            }  # fmt: skip
        arrays = {key: _checked(tensors, key, shape, path) for key, shape in shapes.items()}
        calibrations = {
            runtime: Calibration(
                arrays[f"{runtime}.activation"], arrays[f"{runtime}.text"], arrays[f"{runtime}.gaps"],
                arrays[f"{runtime}.blocks"], int(facts["tokens"]), int(facts["block_tokens"]),
            )
            for runtime, facts in header.runtimes.items()
        }  # fmt: skip
        return cls(header, arrays["rows"], arrays["bias"], arrays["text_rows"], arrays["text_bias"], calibrations)


def _load_header(path: Path) -> Header:
    try:
        header = Header.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise PackError(f"{path}: no such file", code="unknown_pack") from error
    except OSError as error:
        raise PackError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        raise PackError(f"{path}: {'.'.join(map(str, detail['loc']))}: {detail['msg']}") from error
    if header.format != FORMAT:
        raise PackError(f"{path}: format {header.format}, but this version of hatcat reads format {FORMAT}")
    if len(header.cards) != len(header.concepts):
        raise PackError(f"{path}: cards: {len(header.cards)} for {len(header.concepts)} concepts")
    for runtime, facts in header.runtimes.items():
        if not all(isinstance(n := facts.get(key), int) and n > 0 for key in ("tokens", "block_tokens")):
            raise PackError(f"{path}: runtimes.{runtime}: needs tokens and block_tokens, each a positive number")
    return header


def _load_tensors(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file:
            magic = file.read(16)
        if magic[8:9] != b"{":  # eight bytes of length, then JSON; a pickle's first byte may be a length, too
            kind = "a pickle or zip archive" if magic[:1] == b"\x80" or magic[:2] == b"PK" else "something else"
            raise PackError(f"{path}: {kind}, not safetensors; it was not opened")
        tensors: dict[str, NDArray[Any]] = load_file(path)
    except FileNotFoundError as error:
        raise PackError(f"{path}: no such file") from error
    except (SafetensorError, ValueError, OSError, AttributeError, TypeError) as error:  # last two: no such dtype
        raise PackError(f"{path}: broken or cut off: {error}") from error
    return tensors


def _checked(tensors: dict[str, NDArray[Any]], key: str, shape: tuple[int | None, ...], path: Path) -> Array:
    if key not in tensors:
        raise PackError(f"{path}: the key {key!r} is missing")
    array = tensors[key]
    if array.ndim != len(shape) or any(s is not None and s != a for s, a in zip(shape, array.shape, strict=True)):
        raise PackError(f"{path}: {key} has the shape {list(array.shape)}, not {list(shape)}")
    result = array.astype(np.float32)
    if not np.isfinite(result).all():
        raise PackError(f"{path}: {key} holds values that are not finite numbers")
    return result


def describe(folder: Path) -> dict[str, Any]:
    """The description of a pack as JSON, without its weights."""
    return _load_header(folder / "lenses.json").model_dump()
