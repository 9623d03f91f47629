"""The answer is the concatenation of its tokens' texts, however characters and stop strings fall across tokens."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hatcat.engines.base import Token
from hatcat.engines.text import TextStream


def feed(pieces: Sequence[bytes], stop: Sequence[str]) -> tuple[list[Token], bool, list[list[int]]]:
    """Push pieces until the stream stops. Returns the released tokens, whether it stopped, and what came when."""
    stream = TextStream(stop)
    released: list[Token] = []
    batches = []
    for i, piece in enumerate(pieces):
        tokens = stream.push(Token(i, i, ""), piece)
        released += tokens
        batches.append([t.index for t in tokens])
        if stream.stopped:
            assert stream.finish() == []  # nothing comes after the stop
            return released, True, batches
    return released + stream.finish(), False, batches


def expected(pieces: Sequence[bytes], stop: Sequence[str]) -> tuple[str, bool]:
    """The text up to the first stop string, where "first" means: seen after the fewest tokens."""
    for n in range(1, len(pieces) + 1):
        text = b"".join(pieces[:n]).decode("utf-8", "ignore")
        if hits := [text.find(s) for s in stop if s in text]:
            return text[: min(hits)], True
    return b"".join(pieces).decode("utf-8", "ignore"), False


@st.composite
def cut_texts(draw: st.DrawFn) -> list[bytes]:
    """Valid UTF-8 cut at arbitrary bytes. Few letters, so that stop strings are met often."""
    data = draw(st.text(st.sampled_from("aab\n é€🦊"), max_size=24)).encode()
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=16)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


stops = st.lists(st.text(st.sampled_from("aab\n é€🦊"), min_size=1, max_size=5), max_size=3)


@given(cut_texts(), stops)
@example([b"a", b"", b"b"], ["b"])
@example([b"ab", b"ab", b"c"], ["abc"])
@example([b"\xf0\x9f", b"\xa6", b"\x8a!"], ["!"])
def test_released_text_is_the_text_up_to_the_stop(pieces: list[bytes], stop: list[str]) -> None:
    tokens, stopped, _ = feed(pieces, stop)
    assert ("".join(t.text for t in tokens), stopped) == expected(pieces, stop)


@given(cut_texts(), stops)
def test_tokens_come_in_order_without_gap_or_repeat(pieces: list[bytes], stop: list[str]) -> None:
    tokens, stopped, _ = feed(pieces, stop)
    assert [t.index for t in tokens] == list(range(len(tokens)))
    if not stopped:
        assert len(tokens) == len(pieces)


@given(st.lists(st.binary(max_size=4), max_size=12))
def test_invalid_bytes_never_raise_and_lose_no_token(pieces: list[bytes]) -> None:
    tokens, _, _ = feed(pieces, ())
    assert len(tokens) == len(pieces)
    for t in tokens:
        t.text.encode("utf-8")


def test_without_stop_strings_nothing_is_held_back() -> None:
    _, _, batches = feed([b"one", b" two", b"\xf0\x9f", b"\xa6\x8a"], ())
    assert batches == [[0], [1], [2], [3]]


def test_only_what_may_begin_a_stop_string_is_held_back() -> None:
    _, _, batches = feed([b"x", b"<", b"en", b"d", b"!"], ["<end>"])
    assert batches == [[0], [], [], [], [1, 2, 3, 4]]


def test_a_stop_string_over_three_tokens_takes_the_end_of_the_first() -> None:
    tokens, stopped, _ = feed([b"hello<e", b"n", b"d>tail"], ["<end>"])
    assert stopped
    assert [t.text for t in tokens] == ["hello"]


@pytest.mark.parametrize("stop", [["ab", "b"], ["b", "ab"]])
def test_where_two_stop_strings_end_together_the_earlier_beginning_counts(stop: list[str]) -> None:
    tokens, stopped, _ = feed([b"xab"], stop)
    assert stopped
    assert "".join(t.text for t in tokens) == "x"


def test_a_character_that_never_ends_is_dropped() -> None:
    tokens, _, _ = feed([b"ok", b"\xf0\x9f"], ())
    assert [t.text for t in tokens] == ["ok", ""]
