"""Hidden states by a second, independent computation: a plain numpy forward pass in float32.

Weights are dequantised from the GGUF with the ``gguf`` package, hyper-parameters come from its metadata. Nothing here
is shared with llama.cpp or with hatcat's engines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Oracle:
    """One GGUF of the llama or gemma3 architecture."""

    def __init__(self, path: Path) -> None:
        reader = GGUFReader(path)
        self._tensors = {tensor.name: tensor for tensor in reader.tensors}
        self._fields = reader.fields
        self.architecture = str(self._fields["general.architecture"].contents())
        assert self.architecture in {"llama", "gemma3"}
        self._gemma = self.architecture == "gemma3"
        self.layers = int(self._meta("block_count"))
        self._heads = int(self._meta("attention.head_count"))
        self._kv_heads = int(self._meta("attention.head_count_kv"))
        self._head_dim = int(self._meta("attention.key_length", self._meta("embedding_length") // self._heads))
        self._epsilon = float(self._meta("attention.layer_norm_rms_epsilon"))
        self._rope_base = float(self._meta("rope.freq_base"))
        self._window = int(self._meta("attention.sliding_window", 0))

    def read(self, ids: Sequence[int], layers: int | None = None) -> Array:
        """The residual stream of every token, ``[tokens, 1 + layers, d]``: at 0 what enters block 0, then what each of
        the first ``layers`` blocks (all, unless given) puts out."""
        x = self._embed(ids)
        states = [x]
        for layer in range(layers or self.layers):
            x = self._block(x, layer)
            states.append(x)
        return np.stack(states, axis=1)

    def _block(self, x: Array, layer: int) -> Array:
        def weight(name: str) -> Array:
            return self._weight(f"blk.{layer}.{name}.weight")

        attended = self._attention(self._norm(x, weight("attn_norm")), layer, weight)
        if self._gemma:
            attended = self._norm(attended, weight("post_attention_norm"))
        x = x + attended
        y = self._norm(x, weight("ffn_norm"))
        gate = y @ weight("ffn_gate").T
        y = ((gelu_tanh if self._gemma else silu)(gate) * (y @ weight("ffn_up").T)) @ weight("ffn_down").T
        if self._gemma:
            y = self._norm(y, weight("post_ffw_norm"))
        return x + y

    def _attention(self, x: Array, layer: int, weight: Any) -> Array:
        n, d = len(x), self._head_dim
        q = (x @ weight("attn_q").T).reshape(n, self._heads, d)
        k = (x @ weight("attn_k").T).reshape(n, self._kv_heads, d)
        v = (x @ weight("attn_v").T).reshape(n, self._kv_heads, d)
        # Gemma 3 repeats five layers of local attention (rope base 10,000) and one of global attention.
        local = self._gemma and (layer + 1) % 6 != 0
        base = 10_000.0 if local else self._rope_base
        if self._gemma:
            q, k = self._norm(q, weight("attn_q_norm")), self._norm(k, weight("attn_k_norm"))
            q, k = rope_halves(q, base), rope_halves(k, base)
        else:
            q, k = rope_pairs(q, base), rope_pairs(k, base)
        group = self._heads // self._kv_heads
        k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
        distance = np.arange(n)[:, None] - np.arange(n)[None]
        visible = (distance >= 0) & (distance < self._window if local else True)
        scores = np.einsum("qhd,khd->hqk", q, k) / math.sqrt(d)
        scores = np.where(visible, scores, -np.inf)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed = np.einsum("hqk,khd->qhd", scores, v).reshape(n, self._heads * d)
        return mixed.astype(np.float32) @ weight("attn_output").T

    def _norm(self, x: Array, weight: Array) -> Array:
        return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + self._epsilon) * weight

    def _embed(self, ids: Sequence[int]) -> Array:
        tensor = self._tensors["token_embd.weight"]
        rows = dequantize(np.stack([tensor.data[i] for i in ids]), tensor.tensor_type)
        return rows * np.float32(math.sqrt(rows.shape[1])) if self._gemma else rows

    def _weight(self, name: str) -> Array:
        """A matrix ``[out, in]`` or a vector, dequantised."""
        tensor = self._tensors[name]
        return dequantize(tensor.data, tensor.tensor_type).astype(np.float32)

    def _meta(self, key: str, default: Any = None) -> Any:
        field = self._fields.get(f"{self.architecture}.{key}")
        assert field is not None or default is not None, f"the GGUF lacks {key}"
        return default if field is None else field.contents()


def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


def gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _angles(n: int, pairs: int, base: float) -> tuple[Array, Array]:
    angle = np.arange(n)[:, None] * base ** (-np.arange(pairs) / pairs)
    return np.cos(angle)[:, None].astype(np.float32), np.sin(angle)[:, None].astype(np.float32)


def rope_pairs(x: Array, base: float) -> Array:
    """Rotary positions on neighbouring numbers (0 and 1, 2 and 3, …), for which GGUF permutes llama's q and k."""
    cos, sin = _angles(len(x), x.shape[-1] // 2, base)
    even, odd = x[..., 0::2], x[..., 1::2]
    return np.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1).reshape(x.shape)


def rope_halves(x: Array, base: float) -> Array:
    """Rotary positions on the first and second half of a head (NeoX)."""
    half = x.shape[-1] // 2
    cos, sin = _angles(len(x), half, base)
    first, second = x[..., :half], x[..., half:]
    return np.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)


def cosine(a: Array, b: Array) -> Array:
    """Cosine similarity over the last axis."""
    result: Array = (a * b).sum(axis=-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))
    return result
