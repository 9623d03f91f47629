"""Generation by the real embedded model: which tokens come, when they stop, and that each gets its own state."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from hatcat.engines.base import Request, Sampling, States, Token
from hatcat.engines.llama import PREFILL_ROWS, LlamaEngine
from hatcat.errors import EngineError, InvalidRequest
from tests.engines.oracle import cosine

GREEDY = Sampling(temperature=0)
LAYERS = (6, 12, 18, 24)
PARIS = "What is the capital of France? Answer in one short sentence."  # "The capital of France is Paris."


@dataclass
class Answer:
    """What a generation gave."""

    tokens: list[Token] = field(default_factory=list)
    states: list[tuple[int, States]] = field(default_factory=list)
    finish: list[str] = field(default_factory=list)

    @property
    def ids(self) -> list[int]:
        return [token.id for token in self.tokens]

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.tokens)


def ask(engine: LlamaEngine, text: str) -> list[int]:
    return engine.chat([{"role": "user", "content": text}])


def generate(engine: LlamaEngine, prompt: Sequence[int], max_tokens: int = 12, **options: object) -> Answer:
    """One request run to its end."""
    answer = Answer()
    request = Request(prompt, max_tokens, **{"sampling": GREEDY, **options})  # type: ignore[arg-type]
    with closing(engine.generate([request])) as steps:
        for step in steps:
            assert not answer.finish, "a step after the last"
            answer.tokens += step.tokens
            answer.states += step.states
            answer.finish += [step.finish] if step.finish else []
    return answer


# --- states ---------------------------------------------------------------------------------------------------------

CASES = {
    "length": ("Write a story about rain.", {"max_tokens": 10}, "length", 10),
    "one token": ("Write a story about rain.", {"max_tokens": 1}, "length", 1),
    "end of text": (PARIS, {"max_tokens": 40}, "stop", 7),
    "stop within a token": (PARIS, {"max_tokens": 40, "stop": ("pita",)}, "stop", 2),
    "stop over tokens": (PARIS, {"max_tokens": 40, "stop": ("tal of Fra",)}, "stop", 2),
    "stop as a token": (PARIS, {"max_tokens": 40, "stop": (" France",)}, "stop", 3),
    "held back at the end": ("Write a story about rain.", {"max_tokens": 4, "stop": ("a constant x",)}, "length", 4),
}


@pytest.mark.parametrize("case", CASES)
def test_every_released_token_has_exactly_the_state_that_read_gives(engine: LlamaEngine, case: str) -> None:
    text, options, finish, at_least = CASES[case]
    prompt = ask(engine, text)
    answer = generate(engine, prompt, layers=LAYERS, **options)
    assert answer.finish == [finish]
    assert len(answer.tokens) >= at_least
    assert [t.index for t in answer.tokens] == list(range(len(answer.tokens)))
    assert [index for index, _ in answer.states] == [t.index for t in answer.tokens]
    read = engine.read([*prompt, *answer.ids], LAYERS)[len(prompt) :]
    states = np.stack([state for _, state in answer.states])
    assert states.shape == read.shape
    assert cosine(states, read).min() >= 0.999
    np.testing.assert_allclose(np.linalg.norm(states, axis=-1), np.linalg.norm(read, axis=-1), rtol=0.02)
    if len(states) > 1:  # the comparison can fail: a shift by one token does
        assert cosine(states[1:], read[:-1]).min() < 0.99


def test_a_state_comes_one_step_after_its_token(engine: LlamaEngine) -> None:
    seen = -1
    with closing(engine.generate([Request(ask(engine, "Hi"), 6, GREEDY, layers=(12,))])) as steps:
        for step in steps:
            for index, _ in step.states:
                assert index <= seen
            seen = max([seen, *(t.index for t in step.tokens)])


def test_reading_does_not_change_the_answer_and_plain_has_no_states(engine: LlamaEngine) -> None:
    prompt = ask(engine, "Write a story about rain.")
    plain, watched = generate(engine, prompt), generate(engine, prompt, layers=LAYERS)
    assert plain.states == []
    assert plain.ids == watched.ids


def test_a_stop_string_ends_the_text_before_it(engine: LlamaEngine) -> None:
    prompt = ask(engine, PARIS)
    whole = generate(engine, prompt, 40).text
    for stop in ("capital", "pita", "tal of Fra", " is"):
        assert generate(engine, prompt, 40, stop=(stop,)).text == whole[: whole.index(stop)]


@pytest.mark.slow
def test_an_answer_may_fill_the_context_to_its_end(engine: LlamaEngine) -> None:
    small = LlamaEngine(engine._path, name="small", source="", context=64, threads=1)
    try:
        prompt = ask(small, "Write a long story about rain.")
        answer = generate(small, prompt, 1000, layers=(12,), sampling=Sampling(temperature=0, logit_bias={2: -100}))
        assert answer.finish == ["length"]
        assert len(prompt) + len(answer.tokens) == small.info.context + 1  # the last is never an input
        assert [i for i, _ in answer.states] == list(range(len(answer.tokens) - 1))
    finally:
        small.close()


def test_requests_run_one_after_the_other_from_an_empty_context(engine: LlamaEngine) -> None:
    prompts = [ask(engine, "What is the capital of France?"), ask(engine, "Write a story about rain.")]
    steps = list(engine.generate([Request(p, 5, GREEDY, layers=(12,)) for p in prompts]))
    for number, prompt in enumerate(prompts):
        ids = [t.id for s in steps if s.request == number for t in s.tokens]
        assert ids == generate(engine, prompt, 5).ids
        assert [s.finish for s in steps if s.request == number and s.finish] == ["length"]


def test_a_closed_generation_leaves_the_engine_usable(engine: LlamaEngine) -> None:
    prompt = ask(engine, "Write a story about rain.")
    before = generate(engine, prompt, 6)
    for steps_taken in (1, 3):
        steps = engine.generate([Request(prompt, 50, GREEDY, layers=LAYERS)])
        for _ in range(steps_taken):
            next(steps)
        steps.close()
    assert generate(engine, prompt, 6).ids == before.ids


def test_a_long_prompt_reports_its_progress(engine: LlamaEngine) -> None:
    prompt = (ask(engine, "Write a story about rain.") * 10)[: PREFILL_ROWS + 30]
    steps = list(engine.generate([Request(prompt, 1, GREEDY)]))
    assert [s.prompt_done for s in steps if s.prompt_done] == [PREFILL_ROWS, PREFILL_ROWS + 30]


# --- sampling -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def story(engine: LlamaEngine) -> list[int]:
    return ask(engine, "Write a story about rain.")


@pytest.fixture(scope="module")
def loop(engine: LlamaEngine) -> list[int]:
    """A text that greedy continues by repeating it."""
    return engine.tokenize("one two three one two three one two three one two three")


def test_greedy_is_deterministic_and_top_k_1_is_greedy(engine: LlamaEngine, story: list[int]) -> None:
    ids = generate(engine, story).ids
    assert generate(engine, story).ids == ids
    assert generate(engine, story, sampling=Sampling(temperature=1.5, top_k=1, seed=5)).ids == ids
    assert generate(engine, story, sampling=Sampling(temperature=1.5, top_k=0, top_p=1e-6, min_p=0, seed=5)).ids == ids
    assert generate(engine, story, sampling=Sampling(temperature=1.5, top_k=0, min_p=1.0, seed=5)).ids == ids


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, -1, 2**63])
def test_the_same_seed_gives_the_same_text(engine: LlamaEngine, story: list[int], seed: int) -> None:
    """2³²−1 means "a random one" to llama.cpp: it may not reach it."""
    sampling = Sampling(temperature=1.5, seed=seed)
    assert generate(engine, story, sampling=sampling).ids == generate(engine, story, sampling=sampling).ids


@pytest.mark.slow
def test_other_seeds_and_no_seed_give_other_texts(engine: LlamaEngine, story: list[int]) -> None:
    texts = [generate(engine, story, 8, sampling=Sampling(temperature=1.5, seed=s)).text for s in (1, 2, None, None)]
    assert len(set(texts)) == 4


@pytest.mark.slow
def test_a_higher_temperature_is_less_likely_text(engine: LlamaEngine, story: list[int]) -> None:
    def mean_logprob(temperature: float) -> float:
        sampling = Sampling(temperature=temperature, top_k=0, top_p=1, min_p=0, seed=3)
        tokens = generate(engine, story, 16, sampling=sampling, logprobs=True).tokens
        return float(np.mean([t.logprob for t in tokens]))

    cold, warm, hot = mean_logprob(0.1), mean_logprob(1), mean_logprob(4)
    assert cold > warm > hot


def test_logit_bias_forces_and_forbids(engine: LlamaEngine, story: list[int]) -> None:
    first = generate(engine, story, 1).ids[0]
    other = engine.tokenize(" banana")[0]
    forced = generate(engine, story, 4, sampling=dataclasses.replace(GREEDY, logit_bias={other: 100.0}))
    assert forced.ids == [other] * 4
    forbidden = generate(engine, story, 8, sampling=dataclasses.replace(GREEDY, logit_bias={first: -100.0}))
    assert first not in forbidden.ids
    sampled = Sampling(temperature=2, seed=1, logit_bias={other: 100.0})
    assert generate(engine, story, 4, sampling=sampled).ids == [other] * 4


@pytest.mark.parametrize("penalty", ["frequency_penalty", "presence_penalty", "repeat_penalty"])
def test_penalties_make_a_loop_less_repetitive(engine: LlamaEngine, loop: list[int], penalty: str) -> None:
    plain = generate(engine, loop, 14).ids
    assert len(set(plain)) <= 7, "the prompt must make the model repeat itself"
    value = 3.0 if penalty == "repeat_penalty" else 2.0
    penalised = generate(engine, loop, 14, sampling=dataclasses.replace(GREEDY, **{penalty: value})).ids
    assert len(set(penalised)) > len(set(plain))
    assert penalised[0] == plain[0]  # only what was generated is counted


def test_a_negative_penalty_rewards_repetition(engine: LlamaEngine, story: list[int]) -> None:
    ids = generate(engine, story, 12, sampling=Sampling(temperature=0, frequency_penalty=-2)).ids
    assert len(set(ids)) < len(set(generate(engine, story, 12).ids))


def test_log_probabilities(engine: LlamaEngine, story: list[int]) -> None:
    sampling = Sampling(temperature=1.2, seed=4)
    tokens = generate(engine, story, 10, sampling=sampling, logprobs=True, top_logprobs=20).tokens
    for token in tokens:
        top = dict(token.top)
        values = [value for _, value in token.top]
        assert len(top) == 20
        assert values == sorted(values, reverse=True)
        assert 0 < sum(map(math.exp, values)) <= 1 + 1e-5
        assert token.logprob is not None and token.logprob <= values[0]
        if token.id in top:
            assert token.logprob == top[token.id]
        else:
            assert token.logprob <= values[-1]
    assert any(t.id in dict(t.top) for t in tokens)


def test_log_probabilities_are_those_of_the_model_whatever_is_sampled(engine: LlamaEngine, story: list[int]) -> None:
    """Of the raw distribution: its exponentials over the whole vocabulary sum to 1, and a bias does not move them."""
    size = engine.info.vocabulary
    token = generate(engine, story, 1, top_logprobs=size).tokens[0]
    assert sum(math.exp(value) for _, value in token.top) == pytest.approx(1, abs=1e-4)
    assert token.logprob == token.top[0][1]
    other = token.top[7][0]
    biased = generate(engine, story, 1, top_logprobs=8, sampling=Sampling(temperature=0, logit_bias={other: 100}))
    assert biased.ids == [other]
    assert biased.tokens[0].logprob == pytest.approx(token.top[7][1], abs=1e-5)


def test_without_logprobs_there_are_none(engine: LlamaEngine, story: list[int]) -> None:
    assert all(t.logprob is None and t.top == [] for t in generate(engine, story, 3).tokens)


# --- text -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["Hello, world", "naïve café — „quoted“", "日本語 и русский", "👩‍👩‍👧 family 🦊", "tabs\tand\n\nlines", "\0"],
)
def test_tokens_spell_the_text(engine: LlamaEngine, text: str) -> None:
    ids = engine.tokenize(text, bos=False)
    assert b"".join(engine.token_bytes(i) for i in ids).decode() == text
    pieces = engine.pieces(ids)
    assert len(pieces) == len(ids)
    assert "".join(pieces) == text


def test_every_ordinary_token_has_bytes(engine: LlamaEngine) -> None:
    empty = [i for i in range(engine.info.vocabulary) if not engine.token_bytes(i)]
    assert empty == list(range(17))  # the control tokens of this model


def test_characters_that_span_tokens_come_whole(engine: LlamaEngine) -> None:
    answer = generate(engine, ask(engine, "Show three emoji of animals"), 9)
    assert "�" not in answer.text
    assert any(token.text == "" for token in answer.tokens)
    assert answer.text.strip()


def test_control_tokens_in_plain_text_are_text(engine: LlamaEngine) -> None:
    assert len(engine.tokenize("<|im_end|>", special=True)) == 1
    assert len(engine.tokenize("<|im_end|>")) > 1


def test_a_lone_surrogate_is_refused(engine: LlamaEngine) -> None:
    with pytest.raises(InvalidRequest, match="lone surrogate at character 3"):
        engine.tokenize("abc\ud800")


# --- bad input ------------------------------------------------------------------------------------------------------


def test_bad_prompts_are_refused_before_anything_runs(engine: LlamaEngine) -> None:
    with pytest.raises(InvalidRequest, match="the prompt is empty"):
        engine.read([], [3])
    for bad in (-1, engine.info.vocabulary):
        with pytest.raises(InvalidRequest, match="token ids must be from 0 to 49151"):
            engine.read([5, bad], [3])
    with pytest.raises(InvalidRequest, match="empty"):
        list(engine.generate([Request([5], 1), Request([], 1)]))


def test_a_prompt_longer_than_the_context_names_both_counts(engine: LlamaEngine) -> None:
    with pytest.raises(InvalidRequest, match=r"1024 tokens, but the context holds 1024 .* at least one") as caught:
        list(engine.generate([Request([5] * 1024, 1)]))
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(InvalidRequest, match="1025 tokens, but the context holds 1024"):
        engine.read([5] * 1025, [3])


@pytest.mark.parametrize("size", [1000, 10_000_000])
def test_a_truncated_model_does_not_load(engine: LlamaEngine, tmp_path: Path, size: int) -> None:
    path = tmp_path / "cut.gguf"
    with engine._path.open("rb") as file:
        path.write_bytes(file.read(size))
    with pytest.raises(EngineError, match=r"cut\.gguf does not load as a model: (?!no reason given)"):
        LlamaEngine(path, name="cut", source="")
    assert engine.read([5, 6], [3]).shape == (2, 1, 576)  # and nobody else is hurt


def test_info(engine: LlamaEngine) -> None:
    info = engine.info
    assert (info.name, info.architecture, info.layers, info.width) == ("smollm2", "llama", 30, 576)
    assert (info.vocabulary, info.context, info.quantisation) == (49152, 1024, "Q4_1")
    assert engine.lead == [1]
    assert 90e6 < info.bytes < 100e6
