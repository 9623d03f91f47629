"""From token pieces to text: characters cut across tokens, and stop strings.

The answer is the concatenation of its tokens' texts, always. A token whose text could be the beginning of a stop
string is held back until that is settled; where a stop string matches, the text ends before it.
"""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Sequence

from hatcat.engines.base import Token


class TextStream:
    """Takes tokens as they are sampled and gives out those whose text is settled."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._stop = tuple(stop)
        self._held: deque[Token] = deque()
        self.stopped = False

    def push(self, token: Token, piece: bytes) -> list[Token]:
        """Add a token; return the tokens now settled, in order."""
        token.text = self._decoder.decode(piece)
        self._held.append(token)
        return self._settle()

    def finish(self) -> list[Token]:
        """No more tokens: give out what was held back. The bytes of a character that never ended are dropped."""
        released = list(self._held)
        self._held.clear()
        return released

    def _settle(self) -> list[Token]:
        if not self._stop:
            released = list(self._held)
            self._held.clear()
            return released
        text = "".join(token.text for token in self._held)
        hits = [at for at in (text.find(stop) for stop in self._stop) if at >= 0]
        if hits:
            self.stopped = True
            return self._release(min(hits), cut=True)
        return self._release(len(text) - self._overlap(text), cut=False)

    def _overlap(self, text: str) -> int:
        """Length of the longest end of ``text`` that begins a stop string."""
        longest = max(len(stop) for stop in self._stop) - 1
        for n in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-n:]) for stop in self._stop):
                return n
        return 0

    def _release(self, length: int, *, cut: bool) -> list[Token]:
        """Give out whole tokens within the first ``length`` characters; with ``cut`` also the part of one."""
        released = []
        while self._held and len(self._held[0].text) <= length:
            if cut and length == 0:
                break
            token = self._held.popleft()
            length -= len(token.text)
            released.append(token)
        if cut:
            if length and self._held:
                token = self._held.popleft()
                token.text = token.text[:length]
                released.append(token)
            self._held.clear()
        return released
