"""Lent places: an agent that waits for something of its run lets another work in its place meanwhile."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from orchestrator.state import RunState


@dataclass(slots=True)
class Lending:
    """Who has a place of a run, who has lent his, and who wants it back."""

    state: RunState
    concurrent: int
    """How many agents may be at work at once."""
    pump: Callable[[], None]
    """Makes the run's decisions."""
    looking: int = 0
    """Tasks that hold a place while it is looked up what they are."""
    _waits: Counter[str] = field(default_factory=Counter)
    """How many waits each task's agent is in: a place is lent once."""
    _lent: set[str] = field(default_factory=set)
    """Tasks whose places are lent."""
    _returning: dict[str, anyio.Event] = field(default_factory=dict)
    """Of those that want their places back, in that order."""

    @property
    def at_work(self) -> int:
        """Agents that hold a place now."""
        return self.state.places - len(self._lent)

    @property
    def free(self) -> int:
        """Places that nobody has; fewer than none while an agent whose wait was broken off works beside another."""
        return self.concurrent - self.looking - self.at_work

    @property
    def width(self) -> int:
        """How many tasks may hold a place, those that have lent theirs counted; whoever wants to go on comes first."""
        return self.concurrent + len(self._lent) - len(self._returning) - self.looking

    @asynccontextmanager
    async def lent(self, task: str) -> AsyncIterator[None]:
        """A block in which the task's agent waits; it is left once there is a place again to go on in.

        A wait that is broken off cannot wait for that: its agent, if it goes on, is counted as at work all the same.
        """
        self._waits[task] += 1
        self._lent.add(task)
        if turn := self._returning.pop(task, None):
            turn.set()  # an earlier wait of the same agent: it goes on when this one does
        self.pump()
        try:
            yield
            if self._waits[task] == 1:
                await self.take_back(task)
        finally:
            self._waits[task] -= 1
            if self._waits[task] <= 0:
                self._lent.discard(task)

    async def take_back(self, task: str) -> None:
        """Returns once the task has its place, if it had lent it."""
        while task in self._lent and self._waits[task] <= 1:
            if self.free > len(self._returning):
                self._lent.remove(task)
                return
            turn = self._returning[task] = anyio.Event()
            try:
                await turn.wait()
            finally:
                self._returning.pop(task, None)

    def give_back(self) -> None:
        """Gives free places to those that want to go on. They are theirs from now on, not only once they are awake."""
        while self._returning and self.free > 0:
            task = next(iter(self._returning))
            self._lent.remove(task)
            self._returning.pop(task).set()

    def forget(self, task: str) -> None:
        """The task has ended, and holds no place."""
        self._lent.discard(task)
        self._waits.pop(task, None)
