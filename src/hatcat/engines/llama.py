"""llama.cpp in this process: decoding, sampling, and the hidden states of chosen layers at every token."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hatcat.engines import llama_api
from hatcat.engines.base import EMBEDDING, EngineInfo, Request, Sampling, States, Step, Token
from hatcat.engines.capture import LAYER_INPUT_ARCHITECTURES, Capture, EvalCallback, LayerInputs
from hatcat.engines.chat import ChatTemplate
from hatcat.engines.llama_api import ffi
from hatcat.engines.text import TextStream
from hatcat.engines.threads import Threads
from hatcat.errors import EngineError, InvalidRequest

# Rows a forward pass takes at most. Small enough that a client that goes away during a long prompt frees its
# place within a third of a second; the price is about a tenth of the speed of 512 (1,024 tokens, two cores, 7 pairs).
PREFILL_ROWS = 128


class LlamaEngine:
    """One model and one context. Not thread-safe: one worker owns it."""

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        source: str,
        context: int = 4096,
        threads: int | None = None,
        gpu_layers: int = -1,
    ) -> None:
        """Load a GGUF. ``context`` in tokens; ``gpu_layers`` -1 means all that a GPU build can take.

        Raises EngineError when the file is no usable model.
        """
        self._lib = llama_api.load()
        self._path = path
        # A number that the user gave stands; otherwise it follows what else the machine is doing.
        self._threads = threads or default_threads()
        self._choice = Threads(self._threads) if threads is None else None
        params = self._lib.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        self._model = self._lib.llama_model_load_from_file(os.fsencode(path), params)
        if not self._model:
            raise EngineError(f"{path} does not load as a model: {llama_api.last_log() or 'no reason given'}")
        if not self._lib.llama_model_has_decoder(self._model) or self._lib.llama_model_has_encoder(self._model):
            raise EngineError(f"{path} is not a decoder-only language model")
        self._vocab = self._lib.llama_model_get_vocab(self._model)
        self._n_vocab = self._lib.llama_vocab_n_tokens(self._vocab)
        self._width = self._lib.llama_model_n_embd(self._model)
        self._n_layer = self._lib.llama_model_n_layer(self._model)
        architecture = self._meta("general.architecture")
        self._capture: Capture
        if architecture in LAYER_INPUT_ARCHITECTURES:
            self._capture = LayerInputs(self._lib, self._width)
        else:
            self._capture = EvalCallback(self._lib, self._width)
        trained = self._lib.llama_model_n_ctx_train(self._model)
        self._n_ctx = min(context, trained) if trained > 0 else context
        self._ctx: Any = None
        self._ctx_reads = False
        self._open_context(reads=False)
        self._chat = ChatTemplate(self._chat_template(), self._special_text("bos"), self._special_text("eos"))
        quantisation = _description(self._lib, self._model)
        self.info = EngineInfo(
            name=name,
            architecture=architecture,
            layers=self._n_layer,
            width=self._width,
            vocabulary=self._n_vocab,
            context=self._n_ctx,
            bytes=self._lib.llama_model_size(self._model),
            quantisation=quantisation,
            capture=self._capture.name,
            source=source,
            runtime=hashlib.sha256(f"llama.cpp {llama_api.BUILD} {source} {quantisation}".encode()).hexdigest()[:16],
        )

    # --- text ---------------------------------------------------------------------------------------------------

    @property
    def lead(self) -> list[int]:
        """BOS, or the end-of-text token where a model has no BOS: what a text of its own begins behind."""
        bos = self._lib.llama_vocab_bos(self._vocab)
        token = bos if bos >= 0 else self._lib.llama_vocab_eos(self._vocab)
        return [token] if token >= 0 else []

    def tokenize(self, text: str, *, bos: bool = True, special: bool = False) -> list[int]:
        """Token ids of a text. With ``special`` the model's control tokens are recognised in it.

        With ``bos`` a leading BOS is added where the model asks for one. Raises InvalidRequest for text that is not
        Unicode.
        """
        try:
            data = text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidRequest(f"the text holds a lone surrogate at character {error.start}") from error
        capacity = len(data) + 2
        buffer = ffi.new("llama_token[]", capacity)
        n = self._lib.llama_tokenize(self._vocab, data, len(data), buffer, capacity, bos, special)
        if n < 0:
            raise EngineError(f"the tokenizer failed on a text of {len(data)} bytes")
        ids: list[int] = ffi.unpack(buffer, n)
        if len(ids) > 1 and ids[0] == ids[1] == self._lib.llama_vocab_bos(self._vocab):  # the template wrote one too
            del ids[0]
        return ids

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes a token adds to a text; none for control tokens."""
        buffer = ffi.new("char[]", 256)
        n = self._lib.llama_token_to_piece(self._vocab, token_id, buffer, 256, 0, False)
        return bytes(ffi.buffer(buffer, n)) if n > 0 else b""

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """Text of each token; a character spread over tokens is given to the last of them."""
        stream = TextStream(())
        texts = []
        for token_id in token_ids:
            texts += [t.text for t in stream.push(Token(0, token_id, ""), self.token_bytes(token_id))]
        return texts

    def render(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """A conversation as the text that the model's chat template makes of it."""
        return self._chat.render(messages)

    def chat(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """Token ids of a conversation under the model's chat template, ready for an answer."""
        return self.tokenize(self.render(messages), special=True)

    # --- reading and generating ---------------------------------------------------------------------------------

    def read(self, token_ids: Sequence[int], layers: Sequence[int]) -> States:
        """Teacher-forced hidden states, float32 ``[tokens, layers, d]``, of one text read from its beginning.

        Raises InvalidRequest for an empty or too long text, an unknown token or a layer out of range.
        """
        self._check_prompt(token_ids, room=0)
        self._begin(layers)
        parts = []
        for start in range(0, len(token_ids), PREFILL_ROWS):
            part = token_ids[start : start + PREFILL_ROWS]
            self._decode(part, start, output=False)
            parts.append(self._states())
        return np.concatenate(parts)

    def generate(self, requests: Sequence[Request]) -> Generator[Step, None, None]:
        """Run the requests one after the other, each from an empty context."""
        for request in requests:
            self._check_prompt(request.prompt, room=1)
        for number, request in enumerate(requests):
            yield from self._generate_one(number, request)

    def _generate_one(self, number: int, request: Request) -> Iterator[Step]:
        self._begin(request.layers)
        reading = bool(request.layers)
        sampler = self._sampler(request.sampling)
        try:
            prompt, position = list(request.prompt), 0
            while position < len(prompt):
                part = prompt[position : position + PREFILL_ROWS]
                self._decode(part, position, output=position + len(part) == len(prompt))
                position += len(part)
                yield Step(number, prompt_done=position)
            stream = TextStream(request.stop)
            waiting: dict[int, States] = {}  # states of tokens not given out yet
            released = -1
            finish: str | None = None
            fed = -1  # index of the last token that has been an input
            index = 0
            while finish is None:
                token_id = self._lib.llama_sampler_sample(sampler, self._ctx, -1)
                if self._lib.llama_vocab_is_eog(self._vocab, token_id):
                    tokens, finish = stream.finish(), "stop"
                else:
                    token = self._token(index, token_id, request)
                    tokens = stream.push(token, self.token_bytes(token_id))
                    index += 1
                    if stream.stopped:
                        finish = "stop"
                    elif index >= request.max_tokens or position >= self._n_ctx:
                        tokens, finish = [*tokens, *stream.finish()], "length"
                if tokens:
                    released = tokens[-1].index
                last_unread = finish is not None and reading and fed < released
                ready = [(i, waiting.pop(i)) for i in sorted(waiting) if i <= released]
                if tokens or ready or not (finish is None or last_unread):
                    yield Step(number, tokens, ready, None if last_unread else finish)
                if (finish is None or last_unread) and position < self._n_ctx:
                    self._decode([token_id], position, output=finish is None)
                    position += 1
                    fed = index - 1
                    if reading:
                        waiting[fed] = self._states()[0]
                if last_unread:
                    ready = [(i, waiting[i]) for i in sorted(waiting) if i <= released]
                    yield Step(number, [], ready, finish)
        finally:
            self._lib.llama_sampler_free(sampler)

    def _token(self, index: int, token_id: int, request: Request) -> Token:
        token = Token(index, token_id, "")
        if request.logprobs or request.top_logprobs:
            data = ffi.buffer(self._lib.llama_get_logits_ith(self._ctx, -1), self._n_vocab * 4)
            logits = np.frombuffer(data, dtype=np.float32)
            top = float(logits.max())
            norm = top + float(np.log(np.exp(logits - top).sum()))
            token.logprob = float(logits[token_id]) - norm
            if request.top_logprobs:
                best = np.argpartition(logits, -request.top_logprobs)[-request.top_logprobs :]
                best = best[np.argsort(-logits[best])]
                token.top = [(int(i), float(logits[i]) - norm) for i in best]
        return token

    def _check_prompt(self, token_ids: Sequence[int], *, room: int) -> None:
        if len(token_ids) == 0:
            raise InvalidRequest("the prompt is empty", param="prompt")
        if len(token_ids) + room > self._n_ctx:
            raise InvalidRequest(
                f"the prompt has {len(token_ids)} tokens, but the context holds {self._n_ctx}"
                + (" and the answer needs at least one" if room else ""),
                param="messages",
                code="context_length_exceeded",
            )
        if min(token_ids) < 0 or max(token_ids) >= self._n_vocab:
            raise InvalidRequest(f"token ids must be from 0 to {self._n_vocab - 1}", param="prompt")

    def _begin(self, layers: Sequence[int]) -> None:
        """Empty the context and choose what is read."""
        wrong = [layer for layer in layers if not EMBEDDING <= layer < self._n_layer - 1]
        if wrong:  # of the last block's output llama.cpp keeps only the rows that are sampled from
            raise InvalidRequest(f"layer {wrong[0]} can't be read: choose from 0 to {self._n_layer - 2}")
        if isinstance(self._capture, EvalCallback) and bool(layers) != self._ctx_reads:
            self._open_context(reads=bool(layers))
        self._capture.choose(self._ctx, layers)
        self._lib.llama_memory_clear(self._lib.llama_get_memory(self._ctx), False)

    def _decode(self, token_ids: Sequence[int], position: int, *, output: bool) -> None:
        n = len(token_ids)
        batch = self._batch
        batch.n_tokens = n
        self._tokens[0:n] = token_ids
        self._positions[0:n] = range(position, position + n)
        self._outputs[0:n] = bytes(n - 1) + bytes([output])
        self._capture.begin(n)
        started = time.perf_counter()
        result = self._lib.llama_decode(self._ctx, batch)
        if n == 1 and self._choice is not None:
            wanted = self._choice.took(time.perf_counter() - started)
            if wanted != self._threads:
                self._threads = wanted
                self._lib.llama_set_n_threads(self._ctx, wanted, wanted)
        if result != 0:
            raise EngineError(f"llama.cpp could not decode (code {result}): {llama_api.last_log()}")

    def _states(self) -> States:
        rows = self._capture.rows()
        if not np.isfinite(rows.sum()):  # one NaN or infinity shows in the sum
            raise EngineError("the model's hidden states are not numbers (NaN): this answer can't be read")
        return rows

    def _sampler(self, sampling: Sampling) -> Any:
        """llama.cpp's sampler chain in its usual order. The caller frees it."""
        lib = self._lib
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        if sampling.logit_bias:
            bias = ffi.new("struct llama_logit_bias[]", len(sampling.logit_bias))
            for slot, (token_id, value) in zip(bias, sampling.logit_bias.items(), strict=True):
                slot.token, slot.bias = token_id, value
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_logit_bias(self._n_vocab, len(bias), bias))
        if sampling.repeat_penalty != 1 or sampling.frequency_penalty or sampling.presence_penalty:
            penalties = lib.llama_sampler_init_penalties(
                self._n_vocab, self._n_ctx,
                sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty,
            )  # fmt: skip
            lib.llama_sampler_chain_add(chain, penalties)
        if sampling.temperature <= 0:
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_greedy())
            return chain
        if sampling.top_k > 0:
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_top_k(sampling.top_k))
        if sampling.top_p < 1:
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_top_p(sampling.top_p, 1))
        if sampling.min_p > 0:
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_min_p(sampling.min_p, 1))
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_temp(sampling.temperature))
        seed = (
            int.from_bytes(os.urandom(4), "little") if sampling.seed is None else sampling.seed % (2**32 - 1)
        )  # the last: "random"
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_dist(seed))
        return chain

    # --- life ---------------------------------------------------------------------------------------------------

    def _open_context(self, *, reads: bool) -> None:
        """A context; one that reads by callback is made with it, since every callback costs plain use too."""
        if self._ctx is not None:
            self._lib.llama_free(self._ctx)
        params = self._lib.llama_context_default_params()
        params.n_ctx = self._n_ctx
        params.n_batch = params.n_ubatch = PREFILL_ROWS
        params.n_threads = params.n_threads_batch = self._threads
        if reads and isinstance(self._capture, EvalCallback):
            params.cb_eval = self._capture.callback
        self._ctx = self._lib.llama_init_from_model(self._model, params)
        if not self._ctx:
            raise EngineError(f"no context of {self._n_ctx} tokens could be made: {llama_api.last_log()}")
        self._ctx_reads = reads
        # One batch for the life of the context: llama.cpp keeps no copy, so neither may Python drop it.
        self._tokens = ffi.new("llama_token[]", PREFILL_ROWS)
        self._positions = ffi.new("llama_pos[]", PREFILL_ROWS)
        self._sequence = ffi.new("llama_seq_id[]", [0])
        self._sequences = ffi.new("llama_seq_id *[]", [self._sequence] * PREFILL_ROWS)
        self._counts = ffi.new("int32_t[]", [1] * PREFILL_ROWS)
        self._output_flags = ffi.new("int8_t[]", PREFILL_ROWS)
        self._outputs = ffi.buffer(self._output_flags)
        self._batch = ffi.new("struct llama_batch *", {
            "token": self._tokens, "pos": self._positions, "n_seq_id": self._counts, "seq_id": self._sequences,
            "logits": self._output_flags,
        })[0]  # fmt: skip

    def close(self) -> None:
        """Free the model. The engine can't be used afterwards."""
        if self._ctx is not None:
            self._lib.llama_free(self._ctx)
            self._lib.llama_model_free(self._model)
            self._ctx = self._model = None

    def _meta(self, key: str) -> str:
        buffer = ffi.new("char[]", 65536)
        n = self._lib.llama_model_meta_val_str(self._model, key.encode(), buffer, 65536)
        return ffi.string(buffer).decode("utf-8", "replace") if n >= 0 else ""

    def _chat_template(self) -> str | None:
        template = self._lib.llama_model_chat_template(self._model, ffi.NULL)
        return ffi.string(template).decode("utf-8", "replace") if template else None

    def _special_text(self, which: str) -> str:
        token = getattr(self._lib, f"llama_vocab_{which}")(self._vocab)
        if token < 0:
            return ""
        buffer = ffi.new("char[]", 256)
        n = self._lib.llama_token_to_piece(self._vocab, token, buffer, 256, 0, True)
        return bytes(ffi.buffer(buffer, n)).decode("utf-8", "replace") if n > 0 else ""


def default_threads() -> int:
    """One thread for each processor this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _description(lib: Any, model: Any) -> str:
    """The quantisation as llama.cpp names it: the last words of e.g. ``llama 256M Q4_1``."""
    buffer = ffi.new("char[]", 256)
    lib.llama_model_desc(model, buffer, 256)
    return str(ffi.string(buffer).decode("utf-8", "replace").split(" ", 2)[-1])
