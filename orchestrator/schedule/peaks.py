"""What an agent is expected to use at its peak: learned from the attempts of a run, with a careful first guess."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_GUESS = 500_000_000
"""Bytes for an agent of which nothing is known: a CLI that has begun takes 200 to 250 MB, one at work 250 to 400 MB,
its tools more. Too much leaves memory unused until the first attempts have ended. Too little is made up for while they
grow, as what one of them has come to is expected of all; at the worst the youngest are put off."""
MORE = 1.05
"""What is set aside is that many times the highest peak that was seen."""
REMEMBERED = 50
"""Peaks. One agent that needed very much does not narrow a long run for ever."""


def first_guess() -> int:
    return FIRST_GUESS


@dataclass(slots=True)
class Peaks:
    """Of attempts that are alike. All in bytes."""

    guess: Callable[[], int] = first_guess
    """What to expect as long as nothing is known."""
    settled: int = 0
    """Attempts at work that have been so long enough to tell something."""
    _high: int = 0
    """What the highest peak that is remembered makes one expect."""
    _ended: deque[int] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _live: dict[str, int] = field(default_factory=dict)

    @property
    def expected(self) -> int:
        """The highest peak and a little more; the guess counts with a weight of 1/n² beside n peaks.

        With 300 MB each and a guess of 500 MB: after two peaks 360 MB, after three 335 MB, after ten 317 MB.
        """
        known = min(REMEMBERED, len(self._ended) + self.settled)
        return self._high + max(0, self.guess() - self._high) // max(1, known) ** 2

    def see(self, task: str, peak: int) -> None:
        """An attempt at work has come to this peak."""
        self._live[task] = peak
        self._high = max(self._high, int(MORE * peak))

    def learn(self, peak: int) -> None:
        """An attempt that was not broken off had this peak."""
        self._ended.append(peak)
        self._remember()

    def forget(self, task: str) -> None:
        """It is at work no longer."""
        if self._live.pop(task, None) is not None:
            self._remember()

    def _remember(self) -> None:
        self._high = int(MORE * max([*self._ended, *self._live.values()], default=0))
