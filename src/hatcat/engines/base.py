"""The engine seam: what a model that runs can do, whatever runs it.

Between an engine and the lenses passes one plain thing: float32 hidden states. Layer ``i`` is the residual stream
after block ``i``, counted from 0; layer ``EMBEDDING`` (-1) is what enters block 0. The state of a token is the
residual stream at the position whose *input* is that token, in ``read`` and in ``generate`` alike.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

EMBEDDING = -1

States = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. Names and meaning are OpenAI's and llama.cpp's."""

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repeat_penalty: float = 1.0
    seed: int | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One generation: prompt tokens, how to sample, when to stop, and the layers to read (none: plain)."""

    prompt: Sequence[int]
    max_tokens: int
    sampling: Sampling = Sampling()
    stop: tuple[str, ...] = ()
    logprobs: bool = False
    top_logprobs: int = 0
    layers: tuple[int, ...] = ()


@dataclass(slots=True)
class Token:
    """A generated token. ``text`` is what it adds to the answer: empty while a character is incomplete."""

    index: int
    id: int
    text: str
    logprob: float | None = None
    top: list[tuple[int, float]] = field(default_factory=list)


@dataclass(slots=True)
class Step:
    """What one forward pass brought for one request.

    ``states`` holds (token index, float32 ``[layers, d]``) of tokens already given out, one step after their text.
    The step with ``finish`` is the last.
    """

    request: int
    tokens: list[Token] = field(default_factory=list)
    states: list[tuple[int, States]] = field(default_factory=list)
    finish: str | None = None
    prompt_done: int = 0


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """A model's shape and identity. ``source`` names the weights, ``runtime`` what serves them."""

    name: str
    architecture: str
    layers: int
    width: int
    vocabulary: int
    context: int
    bytes: int
    quantisation: str
    capture: str
    source: str
    runtime: str


class Engine(Protocol):
    """What every backend implements."""

    @property
    def info(self) -> EngineInfo: ...

    @property
    def lead(self) -> list[int]:
        """The token(s) to read a bare text behind: BOS, or what the model has in its place."""
        ...

    def tokenize(self, text: str, *, bos: bool = True, special: bool = False) -> list[int]: ...

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """Text of each token, characters that span tokens given to the last of them."""
        ...

    def token_bytes(self, token_id: int) -> bytes: ...

    def render(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """A conversation as the text that the model's chat template makes of it."""
        ...

    def chat(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """Token ids of a conversation under the model's chat template, ready for an answer."""
        ...

    def read(self, token_ids: Sequence[int], layers: Sequence[int]) -> States:
        """Teacher-forced hidden states, float32 ``[tokens, layers, d]``."""
        ...

    def generate(self, requests: Sequence[Request]) -> Generator[Step, None, None]:
        """Steps of all requests until each has finished. Closing the iterator ends them."""
        ...

    def close(self) -> None: ...
