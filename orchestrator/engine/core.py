"""The heart: carries out what the scheduler decides, until nothing is left to do."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

import anyio
from anyio import CapacityLimiter, to_thread
from anyio.abc import TaskGroup

from orchestrator.engine.steps import Ask, Call, Expand, Node, Omit, Step
from orchestrator.engine.telling import added, added_event, cancelled, finished, live_usage, parsed, started, told
from orchestrator.errors import JournalError, TaskFailed, UsageError
from orchestrator.events import (
    AttemptFinished,
    AttemptStarted,
    Event,
    RunFinished,
    TaskExpanded,
    TaskFinished,
)
from orchestrator.plan.model import Agent, Limits
from orchestrator.protocols import Executor, Journal
from orchestrator.schedule.retry import wait_before_retry
from orchestrator.schedule.scheduler import Close, Skip, Start, next_decision
from orchestrator.state import FINISHED, RunState, TaskState
from orchestrator.task import Attempt, Outcome, Result, Status, Usage

CALLS = 40
"""How many blocking functions of a run are at work at once."""


class Core:
    """One run at work. All its methods are called from the run's event loop."""

    def __init__(
        self, run: str, journal: Journal, executor: Executor, limits: Limits, group: TaskGroup, *, fail_fast: bool
    ) -> None:
        self.run = run
        self.state = RunState()
        self.results: dict[str, Result] = {}
        self.failure: TaskFailed | None = None
        self._journal = journal
        self._executor = executor
        self._limits = limits
        self._group = group
        self._fail_fast = fail_fast
        self._nodes: dict[str, Node] = {}
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._totals: dict[str, Result] = {}
        """What the attempts of a task at work have come to so far."""
        self._begun: dict[str, float] = {}
        """When the attempt that is at work began, by task, on the event loop's clock."""
        self._ending: dict[str, Result] = {}
        """Results on their way to the disk, or there."""
        self._ended: dict[str, anyio.Event] = {}
        self._stopped = False
        # Not the threads that everything else shares: functions that block must not keep results from the disk.
        self._threads = CapacityLimiter(CALLS)

    def emit(self, event: Event) -> None:
        """Writes the event down and folds it in."""
        self._journal.append(self.run, event)
        self.state.apply(event, time.time())

    def add(self, nodes: Sequence[Node]) -> None:
        """Takes tasks, all or none, which start as soon as they can.

        Raises UsageError for an id that is taken, for a need that is unknown, and when the run has ended.
        """
        self._check(nodes)
        for node in nodes:
            self._nodes[node.id] = node
            self._ended[node.id] = anyio.Event()
            self.emit(added_event(node))
        self.pump()

    def _check(self, nodes: Sequence[Node]) -> None:
        if self._stopped:
            raise UsageError("the run has ended: give it tasks inside its `async with` block")
        new: set[str] = set()
        for node in nodes:
            if node.id in self._nodes or node.id in new:
                raise UsageError(f"task {node.id!r}: this run has a task of that name already: give another key")
            new.add(node.id)
            if unknown := [need for need in node.needs if need not in self._nodes and need not in new]:
                raise UsageError(f"task {node.id!r}: it needs {unknown[0]!r}, which is no task of this run")

    async def wait(self, task: str) -> Result:
        """The task's result, once it is on disk."""
        await self._ended[task].wait()
        return self.results[task]

    def has(self, task: str) -> bool:
        """Whether the run has a task of this name."""
        return task in self._nodes

    def cancel(self, task: str) -> None:
        """Ends a task that runs, and keeps one that waits from starting; one that has ended stays as it is."""
        if task in self._scopes:
            self._scopes[task].cancel()
        elif parts := self.state.tasks[task].parts:
            for part in parts:
                self.cancel(part)
        elif not self._stopped:
            self._end(self._nodes[task], cancelled(task))

    def pump(self) -> None:
        """Carries out every decision that can be made now; none once the run is being cancelled."""
        while not self._is_stopped() and (
            decision := next_decision(self.state, self._limits.concurrent, self._limits.usd)
        ):
            node = self._nodes[decision.task.id]
            if node.id in self._ending:
                continue
            match decision:
                case Start():
                    self._start(node)
                case Skip(outcome=outcome, reason=reason):
                    self._end(node, Result(task=node.id, outcome=outcome, error=reason))
                case Close():
                    self._end(node, self._sum_up(node.id))

    def _is_stopped(self) -> bool:
        return self._stopped or self._group.cancel_scope.cancel_called

    def _start(self, node: Node) -> None:
        try:
            self._take(node, node.prepare())
        except Exception as error:
            self._end(node, Result(task=node.id, outcome=Outcome.INVALID_TASK, error=told(error)))

    def _take(self, node: Node, step: Step) -> None:
        match step:
            case Expand(nodes=nodes):
                self._check(nodes)
                self.emit(TaskExpanded(task=node.id, parts=[part.id for part in nodes]))
                self.add(nodes)
            case Omit(reason=reason):
                self._end(node, Result(task=node.id, outcome=Outcome.SKIPPED, error=reason))
            case Ask():
                first = self._attempt(node, step, 1)
                self.emit(started(first))
                self._begin(node, partial(self._ask, node, step, first))
            case Call():
                self.emit(AttemptStarted(task=node.id, attempt=1))
                self._begin(node, partial(self._call, node, step))

    def _begin(self, node: Node, work: Callable[[], Awaitable[Result]]) -> None:
        """Starts the work; from now on `cancel` reaches it, also before its first turn."""
        scope = self._scopes[node.id] = anyio.CancelScope()
        self._totals[node.id] = Result(task=node.id, outcome=Outcome.CANCELLED)
        self._group.start_soon(self._run, node, scope, work)

    async def _run(self, node: Node, scope: anyio.CancelScope, work: Callable[[], Awaitable[Result]]) -> None:
        """Does the work; a cancellation of this task alone is its result, one of the whole run gets out."""
        try:
            with scope:
                result = await work()
        except BaseException:
            self._stopped = True
            raise
        if scope.cancelled_caught:
            result = self._cut_short(node.id)
        self._scopes.pop(node.id, None)
        self._end(node, result)

    async def _ask(self, node: Node, step: Ask, attempt: Attempt) -> Result:
        """Attempts until one succeeds or another cannot help; the result has the sums over all of them."""
        task = self.state.tasks[node.id]
        while True:
            before = live_usage(task)
            begun = self._begun[node.id] = anyio.current_time()
            last = parsed(step, await self._execute(attempt))
            if last.usage == Usage():
                last = replace(last, usage=live_usage(task) - before)
            last = replace(last, duration=last.duration or anyio.current_time() - begun)
            total = self._totals[node.id] = added(self._totals[node.id], last, attempt.number)
            wait = wait_before_retry(last.outcome, attempt.number, step.retries)
            if self._limits.usd is not None and self.state.cost_usd + last.cost_usd >= self._limits.usd:
                wait = None
            self.emit(finished(attempt, last, wait))
            del self._begun[node.id]
            if wait is None:
                return total
            await anyio.sleep(wait)
            attempt = self._attempt(node, step, attempt.number + 1)
            self.emit(started(attempt))

    async def _execute(self, attempt: Attempt) -> Result:
        try:
            return await self._executor.run(attempt, self.emit)
        except Exception as error:
            return Result(task=attempt.task, outcome=Outcome.CRASHED, error=told(error))

    def _attempt(self, node: Node, step: Ask, number: int) -> Attempt:
        return Attempt(
            run=self.run,
            task=node.id,
            number=number,
            prompt=step.prompt,
            agent=self._clamped(step.agent),
            workspace=step.workspace,
            session_id=str(uuid4()),
            schema=step.schema,
            timeout=step.timeout,
            rehearsal=step.rehearsal,
        )

    def _clamped(self, agent: Agent) -> Agent:
        """The agent, allowed to spend no more than the run has left."""
        if self._limits.usd is None:
            return agent
        left = max(self._limits.usd - self.state.cost_usd, 0.0001)
        return agent.model_copy(update={"usd": min(left, agent.usd or left)})

    async def _call(self, node: Node, step: Call) -> Result:
        begun = self._begun[node.id] = anyio.current_time()
        value, error = await to_thread.run_sync(caught, step.function, limiter=self._threads)
        if error is None:
            result = Result(task=node.id, outcome=Outcome.OK, value=value, text=value if isinstance(value, str) else "")
        else:
            result = Result(task=node.id, outcome=Outcome.RAISED, error=told(error))
        result = replace(result, attempts=1, duration=anyio.current_time() - begun)
        self.emit(
            AttemptFinished(
                task=node.id, attempt=1, outcome=result.outcome, error=result.error, duration=result.duration
            )
        )
        return result

    def _cut_short(self, task: str) -> Result:
        """The result of a task that is cancelled at work, with what its attempts and their messages have told."""
        state, total = self.state.tasks[task], self._totals[task]
        duration = total.duration
        if task in self._begun:  # and not waiting for its next attempt
            last = anyio.current_time() - self._begun.pop(task)
            duration += last
            self.emit(
                AttemptFinished(
                    task=task,
                    attempt=state.attempts,
                    outcome=Outcome.CANCELLED,
                    error="it was cancelled",
                    duration=last,
                )
            )
        return replace(
            total,
            outcome=Outcome.CANCELLED,
            error="it was cancelled",
            session_id=state.session_id,
            workspace=state.workspace,
            usage=live_usage(state)
            if live_usage(state).all_input_tokens > total.usage.all_input_tokens
            else total.usage,
            turns=max(state.turns, total.turns),
            attempts=state.attempts,
            duration=duration,
            text="",
            value=None,
            message=None,
        )

    def _broken_off(self, task: TaskState) -> Result:
        """The result of a task that the run's end has overtaken."""
        if task.id in self._totals:
            return self._cut_short(task.id)
        if any(self.state.tasks[part].started for part in task.parts or ()):
            return cancelled(task.id, "it was cancelled")
        return cancelled(task.id)

    def _sum_up(self, loop: str) -> Result:
        """A loop's result: the values of the parts that succeeded, in the items' order."""
        parts = [self.results[part] for part in self.state.tasks[loop].parts or ()]
        bad = [part for part in parts if not part.ok and part.outcome is not Outcome.SKIPPED]
        names = ", ".join(part.task for part in bad[:5])
        return Result(
            task=loop,
            outcome=Outcome.PARTIAL if bad else Outcome.OK,
            value=[part.value for part in parts if part.ok],
            error=f"{len(bad)} of {len(parts)} did not succeed: {names}" if bad else None,
        )

    def _end(self, node: Node, result: Result) -> None:
        """Takes a task's result; from now on nothing else can be its end."""
        if node.id not in self._ending:
            self._ending[node.id] = result
            self._group.start_soon(self._finish, node, result)

    async def _finish(self, node: Node, result: Result) -> None:
        """Puts the result on disk, and only then tells anybody of it."""
        result, event = self._write_ending(node.id, result)
        with anyio.CancelScope(shield=True):
            await self._journal.flush()
        self.results[node.id] = result
        self.state.apply(event, time.time())
        if self._fail_fast and event.status == Status.FAILED and not node.allow_failure:
            self.failure = self.failure or TaskFailed(f"task {node.id!r}: {result.outcome}: {result.error}")
            self._group.cancel_scope.cancel()  # before anybody who waits for this task goes on
        self._ended[node.id].set()
        self.pump()

    def _write_ending(self, task: str, result: Result) -> tuple[Result, TaskFinished]:
        """Appends the event that tells the result; a value that cannot be written down is a failure."""
        try:
            return result, self._append_ending(task, result)
        except JournalError:
            raise
        except Exception as error:
            why = f"its value cannot be written down: {told(error)}"
            result = replace(result, outcome=Outcome.RAISED, value=None, message=None, error=why)
            return result, self._append_ending(task, result)

    def _append_ending(self, task: str, result: Result) -> TaskFinished:
        event = TaskFinished(
            task=task,
            status=result.outcome.status,
            result=result.to_json(),
            loop=self.state.tasks[task].parts is not None,
        )
        self._journal.append(self.run, event)
        return event

    async def conclude(self, status: str, wall: float) -> None:
        """Writes down how the run ended; what has not ended by now is cancelled, and such a run is not `done`."""
        self._stopped = True
        try:
            for task in self.state.tasks.values():
                if task.status not in FINISHED:
                    result = self._ending.get(task.id) or self._broken_off(task)
                    self.results[task.id], event = self._write_ending(task.id, result)
                    self.state.apply(event, time.time())
            bad = self.state.counts[Status.FAILED] + self.state.counts[Status.CANCELLED]
            self.emit(RunFinished(status="failed" if bad and status == "done" else status, wall=wall))
            await self._journal.flush()
        finally:
            for task_id, ended in self._ended.items():
                self.results.setdefault(task_id, cancelled(task_id))
                ended.set()


def caught(function: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """What the function gives, or raises: `sys.exit` in a thread of ours must not end the event loop."""
    try:
        return function(), None
    except BaseException as error:
        return None, error
