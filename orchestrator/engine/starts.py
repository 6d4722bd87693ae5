"""The starts of tasks: what they turn out to be when their turn comes, and their work until it ends or is ended."""

from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import anyio
from anyio.abc import TaskGroup

from orchestrator.engine.calls import Calls
from orchestrator.engine.endings import Endings
from orchestrator.engine.going_on.known import Known
from orchestrator.engine.governing import Governing
from orchestrator.engine.lending import Lending
from orchestrator.engine.steps import Ask, Call, Expand, Node, Omit, Step
from orchestrator.engine.telling import cancelled, told, unneeded
from orchestrator.engine.tries import Tries
from orchestrator.errors import UsageError
from orchestrator.schedule.ruling import Refuse
from orchestrator.state import RunState
from orchestrator.task import Attempt, Outcome, Result
from workspaces import WorkspaceError

LAST_LOOK = 5.0
"""Seconds to look what an agent has made of its inputs."""


@dataclass(slots=True, kw_only=True)
class Starts:
    """Starts the tasks of one run, and ends those that are at work."""

    state: RunState
    group: TaskGroup
    """What all work of the run goes on in."""
    known: Known
    tries: Tries
    calls: Calls
    endings: Endings
    governing: Governing
    lending: Lending
    expand: Callable[[str, Expand], None]
    """Adds the parts of a group. Raises UsageError."""
    pump: Callable[[], None]
    """Makes the run's decisions."""
    stopped: bool = False
    """Whether the run has ended: nothing starts any more, and no task is added."""
    _scopes: dict[str, anyio.CancelScope] = field(default_factory=dict)
    """Of the tasks at work."""
    _unneeded: set[str] = field(default_factory=set)
    """Parts that are being ended since their group needs no more of them."""

    @property
    def is_stopped(self) -> bool:
        """Whether the run has ended, or is being cancelled."""
        return self.stopped or self.group.cancel_scope.cancel_called

    def start(self, node: Node, refused: Result | None = None) -> None:
        """Starts the task; with `refused` only a result that is there already is taken, and else that is its result."""
        try:
            self._take(node, node.prepare(), refused)
        except Exception as error:
            self.endings.end(node, Result(task=node.id, outcome=Outcome.INVALID_TASK, error=told(error)))

    def _take(self, node: Node, step: Step, refused: Result | None) -> None:
        match step:
            case Expand():
                self.expand(node.id, step)
            case Omit(reason=reason):
                self.endings.end(node, Result(task=node.id, outcome=Outcome.SKIPPED, error=reason))
            case Ask() if self.known.past.must_look(step):
                self.lending.looking += 1
                self._begin(node, partial(self._look_and_ask, node, step, refused))
            case Ask():
                self._ask(node, step, refused)
            case Call():
                self.calls.announce(node.id)
                self._begin(node, partial(self.calls.make, node.id, step))

    def _ask(self, node: Node, step: Ask, refused: Result | None) -> None:
        identity = self.known.identify(node, step)
        known = self.known.find(node, step, identity)
        if known or refused:
            self.endings.end(node, known or self.tries.refused(node.id, identity, cast("Result", refused)))
            return
        self.known.restore(node, step, identity)
        first = self.tries.first(node.id, step, identity)
        self._begin(node, partial(self.tries.make, step, first, identity))

    async def _look_and_ask(self, node: Node, step: Ask, refused: Result | None) -> Result:
        """The result of a task for which files, a repository or other runs have to be looked at first."""
        try:
            identity, known = await self.known.look_up(node, step)
        except WorkspaceError as error:
            return Result(task=node.id, outcome=Outcome.WORKSPACE, error=str(error))
        except UsageError as error:
            return Result(task=node.id, outcome=Outcome.INVALID_TASK, error=str(error))
        else:
            if not known and not refused and isinstance(ruling := await self.governing.confirm(node.id), Refuse):
                refused = Result(task=node.id, outcome=ruling.outcome, error=ruling.reason)
        finally:
            self.lending.looking -= 1
        if known or refused:
            return known or self.tries.refused(node.id, identity, cast("Result", refused))
        self.known.restore(node, step, identity)
        first = self.tries.first(node.id, step, identity)
        self.pump()
        result = await self.tries.make(step, first, identity)
        if result.ok and step.inputs:
            # What is done is done: whoever cancels now does not undo it, nor waits for long.
            with anyio.move_on_after(LAST_LOOK, shield=True):
                await self.known.look_again(node, step, identity)
        return result

    def _begin(self, node: Node, work: Callable[[], Awaitable[Result]]) -> None:
        """Starts the work; from now on `cancel` reaches it, also before its first turn."""
        scope = self._scopes[node.id] = anyio.CancelScope()
        self.tries.totals.setdefault(node.id, Result(task=node.id, outcome=Outcome.CANCELLED))
        self.group.start_soon(self._run, node, scope, work)

    async def _run(self, node: Node, scope: anyio.CancelScope, work: Callable[[], Awaitable[Result]]) -> None:
        """Does the work; a cancellation of this task alone is its result, one of the whole run gets out."""
        try:
            with scope:
                result = await work()
        except BaseException:
            self.stopped = True
            raise
        if scope.cancelled_caught:
            result = self.tries.cut_short(node.id)
            result = unneeded(result) if node.id in self._unneeded else result
        self._scopes.pop(node.id, None)
        self.endings.end(node, result)

    def cancel(self, task: str) -> None:
        """Ends a task that runs, and keeps one that waits from starting; one that has ended stays as it is."""
        parts = self._parts(task)
        for part in parts:
            self.cancel(part)
        if task in self._scopes:
            self._scopes[task].cancel()
        elif not parts and not self.stopped:
            self.endings.end(self.known.nodes[task], cancelled(task))

    def drop(self, task: str) -> None:
        """Ends a part that its group has no more need of."""
        parts = self._parts(task)
        for part in parts:
            self.drop(part)
        if task in self._scopes:
            self._unneeded.add(task)
            self._scopes[task].cancel()
        elif not parts:
            self.endings.end(self.known.nodes[task], unneeded(cancelled(task)))

    def _parts(self, task: str) -> Sequence[str]:
        return self.state.tasks[task].parts or ()

    @property
    def at_work(self) -> Set[str]:
        """The tasks at work."""
        return self._scopes.keys()

    def is_at_work(self, attempt: Attempt) -> bool:
        """Whether the attempt has neither ended nor been cancelled: its process may outlive that by a moment."""
        scope, task = self._scopes.get(attempt.task), self.state.tasks[attempt.task]
        ended = attempt.task not in self.tries.begun or task.attempts != attempt.number
        return scope is not None and not scope.cancel_called and not ended
