"""Whether another agent may be paid: money, tokens and turns are set aside at its start and settled at its end."""

import math
from collections.abc import Callable, Iterator

from orchestrator.events import BudgetReached, Event
from orchestrator.plan.model import Agent, Limits
from orchestrator.schedule.ruling import GO, Refuse, Ruling
from orchestrator.state import RunState, TaskState
from orchestrator.task import Outcome


class Budget:
    """What a run may spend, what it has spent, and what is set aside for the tasks at work."""

    def __init__(self, limits: Limits, state: RunState, expect: Callable[[TaskState], float | None]) -> None:
        """`expect` gives the US dollars that a task is expected to cost; None when nothing is known."""
        self._limits, self._state, self._expect = limits, state, expect

    def heed(self, event: Event, now: float) -> Iterator[BudgetReached]:
        """The lines that are reached by this event."""
        yield from ()

    def tick(self, now: float) -> Iterator[BudgetReached]:
        """The lines that are reached by now."""
        yield from ()

    @property
    def due(self) -> float:
        """When the time budget comes to its next line (s, on the event loop's clock)."""
        return math.inf

    def rule(self, task: TaskState) -> Ruling:
        """Whether the task may be paid."""
        usd = self._limits.usd
        if usd is not None and self._state.cost_usd >= usd:
            return Refuse(Outcome.BUDGET, f"the run's budget of {usd:g} USD is spent")
        return GO

    def reserve(self, task: TaskState, agent: Agent | None = None) -> None:
        """Sets aside what the task is expected to need."""

    def release(self, task: str) -> None:
        """The task has ended. One that has nothing set aside is no error."""

    def clamp(self, task: str, agent: Agent) -> Agent:
        """The agent, allowed to spend no more than is left for it."""
        if self._limits.usd is None:
            return agent
        left = max(self._limits.usd - self._state.cost_usd, 0.0001)
        return agent.model_copy(update={"usd": min(left, agent.usd or left)})

    def is_spent(self, more_usd: float = 0.0) -> bool:
        """Whether there is nothing left for another attempt, with `more_usd` spent that no event has told yet."""
        return self._limits.usd is not None and self._state.cost_usd + more_usd >= self._limits.usd

    @property
    def overdrawn(self) -> str | None:
        """Why agents at work are to be interrupted; None while they are not."""
        return None
