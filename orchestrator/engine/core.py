"""The heart: carries out what the scheduler decides, until nothing is left to do."""

import math
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any
from uuid import uuid4

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from orchestrator.engine.steps import Ask, Call, Expand, Node, Omit
from orchestrator.errors import OrchestratorError, TaskFailed, UsageError
from orchestrator.events import (
    AttemptFinished,
    AttemptStarted,
    Event,
    RunFinished,
    TaskAdded,
    TaskExpanded,
    TaskFinished,
)
from orchestrator.plan.model import Agent, Limits
from orchestrator.protocols import Executor, Journal
from orchestrator.schedule.retry import wait_before_retry
from orchestrator.schedule.scheduler import Close, Skip, Start, next_decision
from orchestrator.state import FINISHED, RunState, TaskState
from orchestrator.task import Attempt, Outcome, Result, Status, Usage

STATUS_OF = {Outcome.OK: Status.DONE, Outcome.SKIPPED: Status.SKIPPED, Outcome.CANCELLED: Status.CANCELLED}


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
        self._finishing: set[str] = set()
        self._ended: dict[str, anyio.Event] = {}

    def emit(self, event: Event) -> None:
        """Writes the event down and folds it in."""
        self._journal.append(self.run, event)
        self.state.apply(event, time.time())

    def add(self, nodes: Iterable[Node]) -> None:
        """Takes tasks, which start as soon as they can. Raises UsageError for a taken id and for an unknown need."""
        for node in nodes:
            if node.id in self._nodes:
                raise UsageError(f"task {node.id!r}: this run has a task of that name already: give another key")
            if unknown := [need for need in node.needs if need not in self._nodes]:
                raise UsageError(f"task {node.id!r}: it needs {unknown[0]!r}, which is no task of this run")
            self._nodes[node.id] = node
            self._ended[node.id] = anyio.Event()
            self.emit(
                TaskAdded(
                    task=node.id,
                    title=node.title,
                    kind=node.kind,
                    needs=list(node.needs),
                    parent=node.parent,
                    allow_failure=node.allow_failure,
                )
            )
        self.pump()

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
        elif self.state.tasks[task].status is Status.PENDING:
            self._group.start_soon(self._finish, self._nodes[task], cancelled(task))

    def pump(self) -> None:
        """Carries out every decision that can be made now; none while the run is being cancelled."""
        while anyio.current_effective_deadline() > -math.inf and (
            decision := next_decision(self.state, self._limits.concurrent, self._limits.usd)
        ):
            node = self._nodes[decision.task.id]
            match decision:
                case Start():
                    self._start(node)
                case Skip(reason=reason):
                    self._group.start_soon(self._finish, node, skipped(node.id, reason))
                case Close():
                    self._group.start_soon(self._finish, node, self._sum_up(node.id))

    def _start(self, node: Node) -> None:
        try:
            step = node.prepare()
        except Exception as error:
            self._group.start_soon(self._finish, node, invalid(node.id, error))
            return
        match step:
            case Expand(nodes=nodes):
                self.emit(TaskExpanded(task=node.id, parts=[part.id for part in nodes]))
                self.add(nodes)
            case Omit(reason=reason):
                self._group.start_soon(self._finish, node, skipped(node.id, reason))
            case Ask():
                first = self._attempt(node, step, 1)
                self.emit(started(first))
                self._group.start_soon(self._run, node, self._ask(step, first, node))
            case Call():
                self.emit(AttemptStarted(task=node.id, attempt=1))
                self._group.start_soon(self._run, node, self._call(node, step))

    async def _run(self, node: Node, work: Any) -> None:
        """Awaits the work; a cancellation of this task alone is its result, one of the whole run gets out."""
        with anyio.CancelScope() as scope:
            self._scopes[node.id] = scope
            result = await work
        self._scopes.pop(node.id, None)
        await self._finish(node, cancelled(node.id) if scope.cancelled_caught else result)

    async def _ask(self, step: Ask, attempt: Attempt, node: Node) -> Result:
        """Attempts until one succeeds or another cannot help; the result has the sums over all of them."""
        total = Result(task=node.id, outcome=Outcome.CANCELLED)
        while True:
            last = parsed(step, await self._executor.run(attempt, self.emit))
            total = added(total, last, attempt.number)
            wait = wait_before_retry(last.outcome, attempt.number, step.retries)
            self.emit(finished(attempt, last, wait))
            if wait is None:
                return total
            await anyio.sleep(wait)
            attempt = self._attempt(node, step, attempt.number + 1)
            self.emit(started(attempt))

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
        begun = anyio.current_time()
        try:
            value = await to_thread.run_sync(step.function)
            result = Result(task=node.id, outcome=Outcome.OK, value=value, text=value if isinstance(value, str) else "")
        except Exception as error:
            why = str(error) if isinstance(error, OrchestratorError) else f"{type(error).__name__}: {error}"
            result = Result(task=node.id, outcome=Outcome.RAISED, error=why)
        result = replace(result, attempts=1, duration=anyio.current_time() - begun)
        self.emit(
            AttemptFinished(
                task=node.id, attempt=1, outcome=result.outcome, error=result.error, duration=result.duration
            )
        )
        return result

    def _sum_up(self, loop: str) -> Result:
        """A loop's result: the values of the parts that succeeded, in the items' order."""
        parts = [self.results[part] for part in self.state.tasks[loop].parts or ()]
        bad = [part for part in parts if not part.ok and part.outcome is not Outcome.SKIPPED]
        return Result(
            task=loop,
            outcome=Outcome.PARTIAL if bad else Outcome.OK,
            value=[part.value for part in parts if part.ok],
            error=f"{len(bad)} of {len(parts)} did not succeed: {', '.join(part.task for part in bad[:5])}"
            if bad
            else None,
        )

    async def _finish(self, node: Node, result: Result) -> None:
        """Puts the result on disk, and only then tells anybody of it."""
        if node.id in self._finishing:
            return
        self._finishing.add(node.id)
        if node.kind == "agent":
            result = with_signs_of_life(result, self.state.tasks[node.id], time.time())
        event = TaskFinished(
            task=node.id,
            status=STATUS_OF.get(result.outcome, Status.FAILED),
            result=result.to_json(),
            loop=node.kind == "loop",
        )
        self._journal.append(self.run, event)
        with anyio.CancelScope(shield=True):
            await self._journal.flush()
        self.results[node.id] = result
        self.state.apply(event, time.time())
        self._ended[node.id].set()
        if self._fail_fast and event.status == Status.FAILED and not node.allow_failure:
            self.failure = self.failure or TaskFailed(f"task {node.id!r}: {result.outcome}: {result.error}")
            self._group.cancel_scope.cancel()
        self.pump()

    async def conclude(self, status: str, wall: float) -> None:
        """Writes down how the run ended; what has not ended by now is cancelled, and such a run is not `done`."""
        for task in self.state.tasks.values():
            if task.status not in FINISHED:
                result = self.results[task.id] = with_signs_of_life(cancelled(task.id), task, time.time())
                self.emit(
                    TaskFinished(
                        task=task.id, status=Status.CANCELLED, result=result.to_json(), loop=task.kind == "loop"
                    )
                )
        bad = self.state.counts[Status.FAILED] + self.state.counts[Status.CANCELLED]
        self.emit(RunFinished(status="failed" if bad and status == "done" else status, wall=wall))
        await self._journal.flush()


def started(attempt: Attempt) -> AttemptStarted:
    return AttemptStarted(
        task=attempt.task,
        attempt=attempt.number,
        prompt=attempt.prompt,
        agent=attempt.agent.model_dump(mode="json", exclude={"env", "mcp_servers"}, exclude_defaults=True),
        workspace=asdict(attempt.workspace),
        schema=dict(attempt.schema) if attempt.schema is not None else None,
        timeout=attempt.timeout,
        session_id=attempt.session_id,
    )


def finished(attempt: Attempt, result: Result, retry_in: float | None) -> AttemptFinished:
    return AttemptFinished(
        task=attempt.task,
        attempt=attempt.number,
        outcome=result.outcome,
        error=result.error,
        cost_usd=result.cost_usd,
        duration=result.duration,
        retry_in=retry_in,
    )


def parsed(step: Ask, result: Result) -> Result:
    """The result with its value as the caller wants it; output that the caller's model refuses is invalid output."""
    if not result.ok or step.parse is None:
        return result
    try:
        return replace(result, value=step.parse(result.value))
    except ValueError as error:
        return replace(
            result, outcome=Outcome.INVALID_OUTPUT, value=None, error=f"its structured output is refused: {error}"
        )


def added(total: Result, last: Result, attempts: int) -> Result:
    """The last attempt's result, with cost, tokens, turns and time of the earlier ones on top."""
    return replace(
        last,
        usage=total.usage + last.usage,
        cost_usd=total.cost_usd + last.cost_usd,
        turns=total.turns + last.turns,
        duration=total.duration + last.duration,
        attempts=attempts,
    )


def cancelled(task: str) -> Result:
    return Result(task=task, outcome=Outcome.CANCELLED, error="it was cancelled")


def with_signs_of_life(result: Result, task: TaskState, now: float) -> Result:
    """The result of an attempt that was cut short, with what its messages told: its session, tokens and turns."""
    if result.message is not None or not task.started:
        return result
    told = Usage(input_tokens=task.input_tokens, output_tokens=task.output_tokens)
    return replace(
        result,
        session_id=result.session_id or task.session_id,
        usage=told if result.usage == Usage() else result.usage,
        turns=result.turns or task.turns,
        attempts=result.attempts or task.attempts,
        duration=result.duration or now - task.started,
    )


def skipped(task: str, reason: str) -> Result:
    return Result(task=task, outcome=Outcome.SKIPPED, error=reason)


def invalid(task: str, error: Exception) -> Result:
    why = str(error) if isinstance(error, OrchestratorError) else f"{type(error).__name__}: {error}"
    return Result(task=task, outcome=Outcome.INVALID_TASK, error=why)
