"""The ends of tasks, and of their run: each is on the disk before anybody is told of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from orchestrator.engine.going_on.known import Known
from orchestrator.engine.governing import Governing
from orchestrator.engine.groups import Groups
from orchestrator.engine.lending import Lending
from orchestrator.engine.steps import Node
from orchestrator.engine.telling import cancelled, lesson, told
from orchestrator.engine.tries import Tries
from orchestrator.errors import JournalError, TaskFailed
from orchestrator.events import RunFinished, TaskFinished
from orchestrator.protocols import Emit, Journal
from orchestrator.schedule.piloting import outlook_of_pilot
from orchestrator.state import FINISHED, RunState, TaskState
from orchestrator.task import Outcome, Result, Status

REFUSALS = (Outcome.AUTH, Outcome.BILLING, Outcome.BUDGET, Outcome.QUOTA, Outcome.STOPPED)
"""What ends a run's work from outside: what has not been done is still to be done."""


@dataclass(slots=True, kw_only=True)
class Endings:
    """Takes the results of one run's tasks, writes them down, and tells who waits for them."""

    run: str
    state: RunState
    results: dict[str, Result]
    """Of the tasks that have ended."""
    journal: Journal
    group: TaskGroup
    """What all work of the run goes on in."""
    fail_fast: bool
    known: Known
    groups: Groups
    tries: Tries
    governing: Governing
    lending: Lending
    emit: Emit
    drop: Callable[[str], None]
    """Ends a part that its group has no more need of."""
    go_on: Callable[[], None]
    """Makes the decisions that the end of a task calls for."""
    ending: dict[str, Result] = field(default_factory=dict)
    """Results on their way to the disk, or there."""
    failure: TaskFailed | None = None
    """Of the first task that failed, where that ends the run."""
    _ended: dict[str, anyio.Event] = field(default_factory=dict)

    def expect(self, task: str) -> None:
        """The run has this task from now on."""
        self._ended[task] = anyio.Event()

    async def wait(self, task: str) -> Result:
        """The task's result, once it is on disk."""
        await self._ended[task].wait()
        return self.results[task]

    def end(self, node: Node, result: Result) -> None:
        """Takes a task's result; from now on nothing else can be its end."""
        if node.id not in self.ending:
            self.ending[node.id] = result
            self.governing.release(node.id)
            for part in self.groups.unneeded(node, self.ending):
                self.drop(part)
            self.group.start_soon(self._finish, node.id, result)

    async def _finish(self, task: str, result: Result) -> None:
        """Puts the result on disk, and only then tells anybody of it."""
        result, event = self._write(task, result)
        with anyio.CancelScope(shield=True):
            await self.journal.flush()
        self.results[task] = result
        fatal = self.fail_fast and event.status == Status.FAILED and not self.state.may_fail(self.state.tasks[task])
        self.state.apply(event, time.time())
        self.lending.forget(task)
        if fatal:
            self.failure = self.failure or TaskFailed(f"task {task!r}: {result.outcome}: {result.error}")
            self.group.cancel_scope.cancel()  # before anybody who waits for this task goes on
        self._ended[task].set()
        self.go_on()

    def _write(self, task: str, result: Result) -> tuple[Result, TaskFinished]:
        """Appends the event that tells the result; a value that cannot be written down is a failure."""
        try:
            return result, self._append(task, result)
        except JournalError:
            raise
        except Exception as error:
            why = f"its value cannot be written down: {told(error)}"
            result = replace(result, outcome=Outcome.RAISED, value=None, message=None, error=why)
            return result, self._append(task, result)

    def _append(self, task: str, result: Result) -> TaskFinished:
        event = TaskFinished(
            task=task,
            status=result.outcome.status,
            result=result.to_json(),
            loop=self.state.tasks[task].is_group and self.state.tasks[task].parts is not None,
            key=self.known.keys.get(task),
            key_after=self.known.keys_after.get(task),
            lesson=lesson(self.state.tasks[task], result, self.groups.whole, time.time()),
        )
        self.journal.append(self.run, event)
        return event

    async def conclude(self, status: str, wall: float) -> None:
        """Writes down how the run ended; what has not ended by now is cancelled, and such a run is not `done`."""
        try:
            self._end_rest()
            piloted = any(task.of is not None for task in self.state.tasks.values())
            if piloted and status == "done":
                await self._forecast_whole()
            refused = any(result.outcome in REFUSALS for result in self.results.values())
            complete = status == "done" and self.failure is None and not refused and not piloted
            said = "failed" if self._has_failed() and status == "done" else status
            self.emit(RunFinished(status=said, wall=wall, complete=complete))
            await self.journal.flush()
        finally:
            for task_id, ended in self._ended.items():
                self.results.setdefault(task_id, cancelled(task_id))
                ended.set()

    def _end_rest(self) -> None:
        for task in self.state.tasks.values():
            if task.status not in FINISHED:
                result = self.ending.get(task.id) or self._broken_off(task)
                self.results[task.id], event = self._write(task.id, result)
                self.state.apply(event, time.time())

    def _broken_off(self, task: TaskState) -> Result:
        """The result of a task that the run's end has overtaken."""
        if task.id in self.tries.totals:
            return self.tries.cut_short(task.id)
        if any(self.state.tasks[part].started for part in task.parts or ()):
            return cancelled(task.id, "it was cancelled")
        return cancelled(task.id)

    def _has_failed(self) -> bool:
        """Whether a task has; a group may fail by itself, as a vote that is tied, while all its parts succeed."""
        counts = self.state.counts
        failed = any(task.is_group and task.status is Status.FAILED for task in self.state.tasks.values())
        return bool(failed or counts[Status.FAILED] or counts[Status.CANCELLED])

    async def _forecast_whole(self) -> None:
        """Writes down what the run would take as a whole, of which it has done the first items of each loop."""
        foresee = partial(outlook_of_pilot, self.groups.whole, self.state.widest)
        if expected := await to_thread.run_sync(foresee):
            self.emit(expected)
