"""What crosses between server and worker arrives whole, however it is cut on the way."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatcat.errors import EngineError, InvalidRequest, NotFound
from hatcat.runtime.channel import MAX_MESSAGE, RemoteError, WorkerChannel, encode, error_message, receive

# orjson's numbers are those of 64 bits; text is any that UTF-8 can hold.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))
MESSAGES = st.dictionaries(TEXT, VALUES, max_size=6)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(30)
        theirs.settimeout(30)
        yield ours, theirs


def read_all(data: bytes) -> list[dict[str, Any] | None]:
    """What the server's end reads of these bytes and an end after them."""

    async def read() -> list[dict[str, Any] | None]:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        found: list[dict[str, Any] | None] = []
        while not found or found[-1] is not None:
            found.append(await receive(reader))
        return found

    return asyncio.run(read())


@given(st.lists(MESSAGES, max_size=4))
def test_messages_come_through_to_the_server(messages: list[dict[str, Any]]) -> None:
    assert read_all(b"".join(encode(message) for message in messages)) == [*messages, None]


@given(st.lists(MESSAGES, max_size=4))
def test_messages_come_through_to_the_worker(messages: list[dict[str, Any]]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"".join(encode(message) for message in messages))
        ours.shutdown(socket.SHUT_WR)
        worker = WorkerChannel(theirs)
        found = [worker.receive() for _ in range(len(messages) + 1)]
    assert found == [*messages, None]


def test_what_is_written_is_length_and_json() -> None:
    """The format, by hand: four bytes of length, big end first, and plain JSON. Nothing that could run."""
    data = encode({"id": 7, "text": "größe", "layers": np.arange(3), "bias": {5: 0.5}})
    assert struct.unpack(">I", data[:4])[0] == len(data) - 4
    assert json.loads(data[4:]) == {"id": 7, "text": "größe", "layers": [0, 1, 2], "bias": {"5": 0.5}}


def test_a_message_in_single_bytes(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    message = {"op": "generate", "text": "🦈" * 40}

    def drip() -> None:
        for byte in encode(message):
            ours.sendall(bytes([byte]))

    thread = threading.Thread(target=drip)
    thread.start()
    assert WorkerChannel(theirs).receive() == message
    thread.join()


def test_a_large_message_and_many_writers(pair: tuple[socket.socket, socket.socket]) -> None:
    """Messages larger than the socket's buffer, from several threads: each whole."""
    ours, theirs = pair
    worker, reader = WorkerChannel(ours), WorkerChannel(theirs)
    large = "x" * 400_000
    threads = [
        threading.Thread(target=lambda n=n: [worker.send({"n": n, "i": i, "text": large}) for i in range(3)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    found = [reader.receive() for _ in range(12)]
    for thread in threads:
        thread.join()
    assert all(message is not None and message["text"] == large for message in found)
    orders = {n: [m["i"] for m in found if m is not None and m["n"] == n] for n in range(4)}
    assert orders == {n: [0, 1, 2] for n in range(4)}


@pytest.mark.parametrize("kept", [0, 1, 3, 4, 5, -1])
def test_an_end_within_a_message_is_the_end(pair: tuple[socket.socket, socket.socket], kept: int) -> None:
    data = encode({"id": 1, "event": "done"})[:kept]
    ours, theirs = pair
    ours.sendall(data)
    ours.shutdown(socket.SHUT_WR)
    assert WorkerChannel(theirs).receive() is None
    assert read_all(data) == [None]


def test_a_server_that_was_killed_is_the_end() -> None:
    """What it left unread turns the end into a reset; the worker must not live on."""
    ours, theirs = socket.socketpair()
    with theirs:
        worker = WorkerChannel(theirs)
        worker.send({"id": 1, "event": "step"})
        ours.close()
        assert worker.receive() is None


def test_a_length_beyond_all_measure_is_the_end() -> None:
    """A worker gone mad does not make the server allocate."""
    assert read_all(struct.pack(">I", MAX_MESSAGE + 1) + b"x" * 100) == [None]


@pytest.mark.parametrize("bad", [{"text": "a\ud800"}, {"n": 2**64}, {"\udfff": 1}], ids=["value", "number", "name"])
def test_what_json_can_not_hold_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        encode(bad)


@pytest.mark.parametrize(
    "error",
    [InvalidRequest("no", param="n", code="x"), NotFound("none", param="model"), EngineError("gone")],
    ids=["invalid", "missing", "engine"],
)
def test_an_error_is_the_same_on_the_other_side(error: InvalidRequest | EngineError) -> None:
    again = RemoteError(json.loads(encode(error_message(error))[4:]))
    assert (again.status, again.type, again.message, again.param, again.code) == (
        error.status, error.type, error.message, error.param, error.code,
    )  # fmt: skip


def test_an_error_of_ours_tells_nothing_of_the_inside() -> None:
    again = RemoteError(error_message(RuntimeError("/secret/path.py line 3")))
    assert (again.status, again.code) == (500, "internal_error")
    assert again.message == "internal error: RuntimeError"
