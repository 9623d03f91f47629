"""How many threads to decode with: all processors, or one fewer while something else keeps one busy.

llama.cpp's threads meet at a barrier after every operation, so that one that has to share its processor holds up all
the others: on two cores beside one busy process, two threads decode at 20-30 tokens/s and one at 70 (alone: 95 and
60). So now and then a few tokens are decoded the other way, and the faster way is kept. Trials get rarer while they
lose, and come soon when decoding becomes slow.
"""

from __future__ import annotations

from collections import deque
from statistics import median

TRIAL = 4
FIRST_PAUSE = 12
LONGEST_PAUSE = 3072
# How much faster the other way must be to be taken, and how much slower decoding must get to be looked at.
MARGIN = 0.9
SLOWER = 1.4


class Threads:
    """Tell it how long each single-token step took; it says how many threads the next one takes."""

    def __init__(self, most: int) -> None:
        self.count = most
        self._other = max(most - 1, 1)
        self._recent: deque[float] = deque(maxlen=8)
        self._trial: list[float] = []
        self._trying = False
        self._pause = self._left = FIRST_PAUSE
        self._reference = float("inf")

    def took(self, seconds: float) -> int:
        """Note a step's time; returns the threads to use from now on."""
        if self.count == self._other:
            return self.count
        if self._trying:
            self._judge(seconds)
            return self.count
        self._recent.append(seconds)
        self._left -= 1
        if len(self._recent) == self._recent.maxlen:
            usual = median(self._recent)
            if usual > SLOWER * self._reference:  # something changed: look at once
                self._pause, self._left = FIRST_PAUSE, 0
            if self._left <= 0:
                self._reference = usual
                self._trying, self._trial = True, []
                self._swap()
        return self.count

    def _judge(self, seconds: float) -> None:
        self._trial.append(seconds)
        if len(self._trial) < TRIAL:
            return
        self._trying = False
        tried = median(self._trial[1:])  # the first step after a change pays for the change
        if tried < MARGIN * self._reference:
            self._reference, self._pause = tried, FIRST_PAUSE * 4
            self._recent.clear()
        else:
            self._swap()
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        self._left = self._pause

    def _swap(self) -> None:
        self.count, self._other = self._other, self.count
