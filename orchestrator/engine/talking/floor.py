"""What the run's tools have of their run: who is there, what is known, and a way to wait."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from orchestrator.engine.steps import Node
from orchestrator.engine.talking.waits import Waits
from orchestrator.events import Event, TaskWaits
from orchestrator.state import RunState
from orchestrator.task import Attempt, Result


@dataclass(frozen=True, slots=True)
class Caller:
    """An attempt whose agent calls a tool."""

    task: str
    attempt: int
    session_id: str
    """The one that a new session of it would have."""

    @classmethod
    def of(cls, attempt: Attempt) -> "Caller":
        return cls(attempt.task, attempt.number, attempt.session_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """A run at work, as its tools see it."""

    state: RunState
    nodes: Mapping[str, Node]
    results: Mapping[str, Result]
    emit: Callable[[Event], None]
    flush: Callable[[], Awaitable[None]]
    wait: Callable[[str], Awaitable[Result]]
    lending: Callable[[str], AbstractAsyncContextManager[None]]
    waits: Waits

    def session(self, caller: Caller) -> str:
        """The session that the caller works in."""
        return self.state.tasks[caller.task].session_id or caller.session_id

    def named(self, task: str, name: str) -> str:
        """The id of the task that an agent means.

        An id comes first; then the short name of a task that it has added, or of one in its own plan or a plan above.
        """
        above, known = task, [name]
        while above:
            known.append(f"{above}.{name}")
            above = above.rpartition(".")[0]
        return next((each for each in known if each in self.nodes), name)

    @asynccontextmanager
    async def waiting(self, caller: Caller, what: str, others: Iterable[str] = ()) -> AsyncIterator[None]:
        """A block in which the caller waits, for the ends of other tasks perhaps, and has lent its place.

        The wait is over however the block is left: an agent may go on although its call was broken off.
        """
        ends = tuple(others)
        self.emit(TaskWaits(task=caller.task, attempt=caller.attempt, waits_for=what))
        self.waits.begin(caller.task, ends)
        try:
            async with self.lending(caller.task):
                try:
                    yield
                finally:
                    self.waits.end(caller.task, ends)
        finally:
            if self._is_at_work(caller):
                self.emit(TaskWaits(task=caller.task, attempt=caller.attempt, waits_for=None))

    def _is_at_work(self, caller: Caller) -> bool:
        """Whether no later attempt has begun: calls of one that was ended may be broken off a moment after that."""
        return caller.task in self.state.running and self.state.tasks[caller.task].attempts == caller.attempt
