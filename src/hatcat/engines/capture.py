"""Two ways to get hidden states out of an unmodified llama.cpp.

``LayerInputs``: llama.cpp copies the input of chosen layers out of the graph by itself. It costs nothing that can
be measured, and exists for part of the architectures; asked for on another one, the library aborts the process,
hence the list. ``EvalCallback``: a callback between graph nodes, for every architecture; each node costs a call
into Python, so it is used where nothing else works.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from hatcat.engines.base import EMBEDDING, States
from hatcat.engines.llama_api import ffi
from hatcat.errors import EngineError

# Architectures whose graph sets `t_layer_inp` for every layer (src/models/*.cpp of llama.cpp b11549). Those that
# fill it in differently (deepseek4, hyper-connections) are left to the callback.
LAYER_INPUT_ARCHITECTURES = frozenset({"llama", "qwen3", "qwen3moe"})

# What enters block 0 is named "embd" by this build ("inp_embd" by others), scaled embeddings (gemma) also "inp_scaled";
# where both are seen the later one counts.
_INPUT_NAMES = frozenset({"embd", "inp_embd", "inp_scaled"})


class Capture(Protocol):
    name: str

    def choose(self, ctx: Any, layers: Sequence[int]) -> None:
        """Read these layers from the next decode on."""
        ...

    def begin(self, n_tokens: int) -> None:
        """A decode of ``n_tokens`` rows follows."""
        ...

    def rows(self) -> States:
        """States of the decode just done, float32 ``[n_tokens, layers, d]``, a copy."""
        ...


class LayerInputs:
    """The input of layer i+1 is the residual stream after block i."""

    name = "layer-input"

    def __init__(self, lib: Any, width: int) -> None:
        self._set = lib._Z30llama_set_embeddings_layer_inpP13llama_contextjb
        self._get = lib._Z30llama_get_embeddings_layer_inpP13llama_contextj
        self._sync = lib.llama_synchronize
        self._width = width
        self._ctx: Any = None
        self._layers: tuple[int, ...] = ()
        self._n = 0

    def choose(self, ctx: Any, layers: Sequence[int]) -> None:
        wanted = tuple(layers)
        if ctx == self._ctx and wanted == self._layers:
            return  # switching makes llama.cpp plan its graph anew
        if ctx == self._ctx:
            for layer in set(self._layers) - set(wanted):
                self._set(ctx, layer + 1, False)
        for layer in wanted:
            self._set(ctx, layer + 1, True)
        self._ctx, self._layers = ctx, wanted

    def begin(self, n_tokens: int) -> None:
        self._n = n_tokens

    def rows(self) -> States:
        out = np.empty((len(self._layers), self._n, self._width), dtype=np.float32)
        self._sync(self._ctx)
        for i, layer in enumerate(self._layers):
            ffi.memmove(ffi.from_buffer(out[i]), self._get(self._ctx, layer + 1), out[i].nbytes)
        return out.transpose(1, 0, 2)


class EvalCallback:
    """Asks llama.cpp for the tensors named ``l_out-<layer>``. ``callback`` goes into the context's parameters."""

    name = "callback"

    def __init__(self, lib: Any, width: int) -> None:
        self._lib = lib
        self._width = width
        self._layers: tuple[int, ...] = ()
        self._slots: dict[bytes, int] = {}
        self._rows = np.empty((0, 0, width), dtype=np.float32)
        self._seen: set[int] = set()
        name_of, string = lib.ggml_get_name, ffi.string

        def on_node(tensor: Any, ask: bool, _user_data: Any) -> bool:
            name = name_of(tensor)
            if name[0] not in b"lie" or (slot := self._slots.get(string(name))) is None:  # cheap refusal first
                return not ask
            if ask:
                return True
            self._copy(tensor, slot)
            return True

        self.callback = ffi.callback("eval_callback", on_node, error=False)

    def _copy(self, tensor: Any, slot: int) -> None:
        out = np.empty((self._rows.shape[0], self._width), dtype=np.float32)
        if self._lib.ggml_nbytes(tensor) == out.nbytes:
            self._lib.ggml_backend_tensor_get(tensor, ffi.cast("void *", out.ctypes.data), 0, out.nbytes)
            self._rows[:, slot] = out
            self._seen.add(slot)

    def choose(self, ctx: Any, layers: Sequence[int]) -> None:
        self._layers = tuple(layers)
        self._slots = {}
        for slot, layer in enumerate(self._layers):
            if layer == EMBEDDING:
                self._slots.update({name.encode(): slot for name in _INPUT_NAMES})
            else:
                self._slots[b"l_out-%d" % layer] = slot

    def begin(self, n_tokens: int) -> None:
        self._rows = np.empty((n_tokens, len(self._layers), self._width), dtype=np.float32)
        self._seen.clear()

    def rows(self) -> States:
        missing = [layer for slot, layer in enumerate(self._layers) if slot not in self._seen]
        if missing:
            raise EngineError(f"the model's graph shows no output of layer {missing[0]}: hidden states can't be read")
        return self._rows
