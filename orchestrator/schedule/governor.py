"""The governor: how many agents may be at work, which task may start, and what each may spend.

Pure: it is told of every event and of the time, and never waits. The engine carries out what it says.
"""

from collections.abc import Callable, Iterator

from orchestrator.events import Event, WidthChanged
from orchestrator.machine import Machine
from orchestrator.plan.model import Agent, Limits
from orchestrator.schedule.budget import Budget
from orchestrator.schedule.memory import MemoryRoom
from orchestrator.schedule.regimes import Regimes
from orchestrator.schedule.ruling import GO, Go, Refuse, Ruling, Wait
from orchestrator.schedule.width import Width
from orchestrator.state import RunState, TaskState
from orchestrator.task import Outcome


class Governor:
    """Of one run. Times are seconds on the event loop's clock, `clock` is the Unix time."""

    def __init__(
        self,
        limits: Limits,
        state: RunState,
        expect: Callable[[TaskState], float | None] = lambda task: None,
        *,
        machine: Machine | None = None,
        busy: Callable[[], bool] = lambda: False,
        at_work: Callable[[], int] | None = None,
    ) -> None:
        """`expect`: see `Budget`; `busy` and `at_work`: see `Width`."""
        self.width = Width(limits, state, busy, at_work)
        self.regime = Regimes(limits, state)
        self.memory = MemoryRoom(limits, state, machine)
        self.budget = Budget(limits, state, expect)
        self._state = state

    def heed(self, event: Event, now: float, clock: float) -> list[Event]:
        """What follows from the event, to be written down."""
        followed: list[Event] = [*self.width.heed(event, now, clock), *self.regime.heed(event, now, clock)]
        self.memory.heed(event)
        return [*followed, *self.budget.heed(event, now)]

    def tick(self, now: float, clock: float) -> Iterator[Event]:
        """What follows from the time, to be written down."""
        yield from self.regime.tick(now, clock)
        yield from self.budget.tick(now)
        yield from self.memory.tick(now)

    def due(self, now: float) -> float:
        """When the time changes something next; infinity: never, unless something happens."""
        return min(self.regime.due, self.budget.due, self.memory.due(now))

    @property
    def presses(self) -> bool:
        """Whether something at work is to be ended."""
        return self.budget.overdrawn is not None or self.memory.victim() is not None

    def to_end(self) -> Iterator[tuple[str, Outcome, str]]:
        """The tasks whose attempts are to be broken off, with the outcome of these, and why."""
        if reason := self.budget.overdrawn:
            yield from ((task.id, Outcome.BUDGET, reason) for task in self._state.running.values() if task.runs_agent)
        elif victim := self.memory.victim():
            yield victim, Outcome.PUT_OFF, self.memory.why_short

    @property
    def may_refuse(self) -> bool:
        """Whether a task may have to be told that it does not start any more, though there is no place for it yet."""
        return self.budget.is_limited or self.regime.is_stopped

    def resize(self, concurrent: int) -> Event:
        """Fixes the number of places."""
        before = self.width.places
        self.width.resize(concurrent)
        return WidthChanged(width=concurrent, reason="somebody asked for it", before=before)

    def rule(self, task: TaskState) -> Ruling:
        """Whether the task may start now. There need not be a place for it."""
        regime, budget = self.regime.rule(task.id), self.budget.rule(task)
        if isinstance(budget, Refuse) and isinstance(regime, Wait):
            return budget  # to wait for hours for what is refused then would be of no use
        if other := next((ruling for ruling in (regime, budget) if not isinstance(ruling, Go)), None):
            self.memory.leave(task.id)
            return other
        # Memory last, and of those that nothing else keeps from starting: it counts whom it keeps waiting.
        return self.memory.rule(task)

    def would_start(self, task: TaskState) -> bool:
        """Whether the task might start now, were there a place for it. It is not counted as one that waits."""
        would = isinstance(self.rule(task), Go)
        if not would:
            self.memory.leave(task.id)
        return would

    def rule_again(self, task: TaskState) -> Ruling:
        """Whether a task that something is set aside for, and that was held up since, may start."""
        refusal = self.budget.rule(task) if self.budget.is_spent() else GO
        return refusal if isinstance(refusal, Refuse) else self.regime.rule(task.id)

    def refusal(self, task: TaskState) -> Refuse | None:
        """Why the task may not start any more in this run; None as long as it may."""
        rulings = (self.regime.rule(task.id), self.budget.rule(task))
        return next((ruling for ruling in rulings if isinstance(ruling, Refuse)), None)

    def reserve(self, task: TaskState) -> None:
        """Sets aside what the task, which is starting, is expected to need."""
        self.regime.reserve(task.id)
        self.memory.reserve(task)
        self.budget.reserve(task)

    def release(self, task: str) -> None:
        """The task has ended."""
        self.regime.release(task)
        self.memory.release(task)
        self.budget.release(task)

    def clamp(self, task: str, agent: Agent) -> Agent:
        """The agent of a task, allowed to spend no more than is left for it."""
        return self.budget.clamp(task, agent)
