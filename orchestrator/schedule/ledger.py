"""One budget of a run: what is spent, what is set aside for tasks at work, and what another task is likely to need."""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

NEWEST = 50
"""How many of the newest amounts of an agent count: costs change as a run goes on."""
HIGH = 0.9
"""The quantile that is set aside: by the mean, every second agent would need more than it has."""
ON_TOP = 1.25
"""What is set aside beyond that: a part of an agent that goes on is dearer than a place that waits a moment."""


class Needs:
    """What tasks have needed, by their agents' names."""

    def __init__(self) -> None:
        self._newest: dict[str | None, deque[float]] = defaultdict(lambda: deque(maxlen=NEWEST))
        self._any: deque[float] = deque(maxlen=NEWEST)
        self._sorted: dict[str | None, list[float]] = {}
        self._sorted_any: list[float] = []

    def learn(self, agent: str | None, amount: float) -> None:
        """A task of this agent has been done for so much."""
        for newest in (self._newest[agent], self._any):
            newest.append(amount)
        self._sorted[agent], self._sorted_any = sorted(self._newest[agent]), sorted(self._any)

    def quantile(self, agent: str | None, part: float) -> float | None:
        """So large a part of the tasks of this agent, or of any if there are none, needed no more; None: unknown."""
        known = self._sorted.get(agent) or self._sorted_any
        return known[min(int(part * len(known)), len(known) - 1)] if known else None


@dataclass(slots=True)
class Ledger:
    """What is spent of one budget and what is set aside; amounts are in its own unit."""

    name: str
    """`usd`, `tokens` or `turns`."""
    limit: float
    settled: Callable[[], float]
    """What is known to be spent."""
    guessed: Callable[[], float] = lambda: 0.0
    """What agents at work are reckoned to have spent beyond that."""
    needs: Needs = field(default_factory=Needs)
    held: float = 0.0
    """What is set aside for tasks at work and not spent yet."""
    _claims: dict[str, float] = field(default_factory=dict)
    _live: dict[str, float] = field(default_factory=dict)

    @property
    def spent(self) -> float:
        return self.settled() + self.guessed()

    @property
    def left(self) -> float:
        """What is spent by nobody and set aside for nobody."""
        return self.limit - self.spent - self.held

    def claim(self, task: str, amount: float) -> None:
        """Sets so much aside for the task, in place of what was."""
        before = self._held_for(task)
        self._claims[task] = amount
        self._change(before, task)

    def claim_of(self, task: str) -> float | None:
        """What is set aside for the task, what it has spent of that included; None: nothing."""
        return self._claims.get(task)

    def live(self, task: str) -> float:
        """What the task's attempt at work has spent."""
        return self._live.get(task, 0.0)

    def spend(self, task: str, amount: float) -> None:
        """The attempt at work has spent so much more; less, when it is told what was reckoned before."""
        before = self._held_for(task)
        self._live[task] = self.live(task) + amount
        self._change(before, task)

    def end(self, task: str) -> None:
        """The task's attempt has ended: nothing is set aside for it any more."""
        self.held -= self._held_for(task)
        self._claims.pop(task, None)
        self._live.pop(task, None)
        if not self._claims:
            self.held = 0.0  # what is left of sums and differences

    @property
    def is_quiet(self) -> bool:
        """Whether no attempt is at work that has spent anything."""
        return not self._live

    def _held_for(self, task: str) -> float:
        return max(self._claims.get(task, 0.0) - self._live.get(task, 0.0), 0.0)

    def _change(self, before: float, task: str) -> None:
        self.held += self._held_for(task) - before
