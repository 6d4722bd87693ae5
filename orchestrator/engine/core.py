"""The heart: carries out what the scheduler decides, until nothing is left to do."""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import anyio
from anyio import CapacityLimiter, to_thread
from anyio.abc import TaskGroup

from orchestrator.engine.going_on.earlier import Earlier
from orchestrator.engine.going_on.keys import Identity, digest
from orchestrator.engine.going_on.past import Past, is_there
from orchestrator.engine.governing import Governing
from orchestrator.engine.lending import Lending
from orchestrator.engine.steps import Ask, Call, Expand, Node, Omit, Step
from orchestrator.engine.talking.desk import Desk
from orchestrator.engine.talking.floor import Floor
from orchestrator.engine.talking.post import Post
from orchestrator.engine.talking.staff import Staff
from orchestrator.engine.talking.waits import Waits
from orchestrator.engine.telling import added_event, cancelled, lesson, told, unneeded
from orchestrator.engine.tries import Tries
from orchestrator.errors import JournalError, TaskFailed, UsageError
from orchestrator.events import (
    AttemptFinished,
    AttemptStarted,
    Event,
    RunFinished,
    TaskExpanded,
    TaskFinished,
    TaskSpawned,
)
from orchestrator.machine import Machine
from orchestrator.plan.model import Limits
from orchestrator.protocols import Executor, Journal
from orchestrator.schedule.estimate import Estimates
from orchestrator.schedule.governor import Governor
from orchestrator.schedule.order import Order
from orchestrator.schedule.outlook import Foreseen, outlook, told_basis
from orchestrator.schedule.piloting import Whole, outlook_of_pilot
from orchestrator.schedule.ruling import Refuse
from orchestrator.schedule.scheduler import Close, Decision, Skip, Start, next_decision
from orchestrator.state import FINISHED, RunState, TaskState
from orchestrator.task import Attempt, Outcome, Result, Status
from workspaces import WorkspaceError

CALLS = 40
"""How many blocking functions of a run are at work at once."""
LAST_LOOK = 5.0
"""Seconds to look what an agent has made of its inputs."""
LOOKERS = 4
"""How many threads look into files for what tasks depend on."""
REFUSALS = (Outcome.AUTH, Outcome.BILLING, Outcome.BUDGET, Outcome.QUOTA, Outcome.STOPPED)
"""What ends a run's work from outside: what has not been done is still to be done."""


class Core:
    """One run at work. All its methods are called from the run's event loop."""

    def __init__(
        self,
        run: str,
        journal: Journal,
        executor: Executor,
        limits: Limits,
        group: TaskGroup,
        *,
        fail_fast: bool,
        past: Past | None = None,
        estimates: Estimates | None = None,
        machine: Machine | None = None,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """`busy` tells whether the processors have no time left."""
        self.run = run
        self.state = RunState()
        self.results: dict[str, Result] = {}
        self.failure: TaskFailed | None = None
        self._journal = journal
        self._limits = limits
        self._group = group
        self._fail_fast = fail_fast
        self._past = past or Past(earlier=Earlier(run))
        self._estimates = estimates or Estimates()
        self.lending = Lending(self.state, limits.width, self.pump)
        self.governing = Governing(
            governor=Governor(
                limits,
                self.state,
                self._estimates.expect_usd,
                machine=machine,
                busy=busy,
                at_work=lambda: self.lending.at_work,
            ),
            state=self.state,
            lending=self.lending,
            emit=self.emit,
            pump=self.pump,
            break_off=self._break_off,
        )
        self._tries = Tries(
            run=run,
            state=self.state,
            past=self._past,
            executor=executor,
            emit=self.emit,
            flush=journal.flush,
            call=self._call_tool,
            governing=self.governing,
            take_place=self.lending.take_back,
            lend=self.lending.lent,
        )
        self._order: Order[TaskState] = Order(self._estimates.expect)
        self._answers: set[str] = set()
        """Tasks that answered the questions of another's agent."""
        self._groups: dict[str, Expand] = {}
        """What the groups of the run turned out to be."""
        self._over: dict[str, tuple[str, ...]] = {}
        """By loop the groups whose parts' results its items were made of."""
        self._decided: set[str] = set()
        """Groups that have enough of their parts."""
        self._unneeded: set[str] = set()
        """Parts that are being ended since their group needs no more of them."""
        self._keys: dict[str, str] = {}
        """Of the tasks whose turn has come."""
        self._keys_after: dict[str, str] = {}
        """Of the tasks whose agents have changed their inputs."""
        self._digests: dict[tuple[str, bool], str | None] = {}
        """What tasks that are over gave, as hashes, with their words or the commits alone."""
        self._nodes: dict[str, Node] = {}
        self._desk = self._open_desk()
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._ending: dict[str, Result] = {}
        """Results on their way to the disk, or there."""
        self._ended: dict[str, anyio.Event] = {}
        self._stopped = False
        self._pumping = False
        # Not the threads that everything else shares: functions that block must not keep results from the disk.
        self._threads = CapacityLimiter(CALLS)
        self._lookers = CapacityLimiter(LOOKERS)

    def _open_desk(self) -> Desk:
        floor = Floor(
            state=self.state,
            nodes=self._nodes,
            results=self.results,
            emit=self.emit,
            flush=self._journal.flush,
            wait=self.wait,
            lending=self.lending.lent,
            waits=Waits(self.state),
        )
        return Desk(Post(floor, self._past.earlier.mail), Staff(floor, self.spawn, self._limits.spawned))

    def emit(self, event: Event) -> None:
        """Writes the event down and folds it in; of a run that is over nothing more is written."""
        if self.state.finished:
            return
        self._journal.append(self.run, event)
        self.state.apply(event, time.time())
        self._desk.heed(event)
        self.governing.heed(event)

    def add(self, nodes: Sequence[Node], *, later: bool = False) -> None:
        """Takes tasks, all or none, which start as soon as they can; with `later` once there is a decision to be made.

        Raises UsageError for an id that is taken, for a need that is unknown, and when the run has ended.
        """
        self._check(nodes)
        for node in nodes:
            self._nodes[node.id] = node
            self._ended[node.id] = anyio.Event()
            self.emit(added_event(node))
        self._order.add([self.state.tasks[node.id] for node in nodes])
        if not later:
            self.pump()

    async def forecast(self) -> None:
        """Writes down what the run is expected to take from here on, where earlier runs tell anything of it."""
        tasks = [
            Foreseen.of(task)
            for task in self.state.tasks.values()
            if not task.is_over and (task.id not in self._ending or self._ending[task.id].reused)
        ]
        runs = self._estimates.runs
        basis = told_basis(len(runs - {self.run}), own=self.run in runs)
        done = self._past.done | {task for task, result in self._ending.items() if result.reused}
        # In a thread: of 100,000 tasks it takes seconds, in which agents would have to wait.
        foresee = partial(outlook, tasks, self._estimates, self.state.width, basis, done)
        if runs and (expected := await to_thread.run_sync(foresee)) and not self._stopped:
            self.emit(expected)

    def extend(self, group: str, nodes: Sequence[Node], *, more: bool = True) -> None:
        """Adds parts to a group that may get further ones; without `more` these are the last. Raises UsageError."""
        self._check(nodes)
        self.emit(TaskExpanded(task=group, parts=[node.id for node in nodes], more=more))
        self.add(nodes)

    def spawn(self, node: Node, attempt: int, asked: Mapping[str, Any], *, later: bool = False) -> None:
        """Adds a task for the agent of the node's parent, which asked for it. Raises UsageError."""
        assert node.parent is not None
        self._check([node])
        if "question" in asked:
            self._answers.add(node.id)
        self.emit(TaskSpawned(task=node.parent, attempt=attempt, child=node.id, asked=asked))
        self.add([node], later=later)

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
        parts = self.state.tasks[task].parts
        for part in parts or ():
            self.cancel(part)
        if task in self._scopes:
            self._scopes[task].cancel()
        elif not parts and not self._stopped:
            self._end(self._nodes[task], cancelled(task))

    def _drop(self, task: str) -> None:
        """Ends a part that its group has no more need of."""
        parts = self.state.tasks[task].parts
        for part in parts or ():
            self._drop(part)
        if task in self._scopes:
            self._unneeded.add(task)
            self._scopes[task].cancel()
        elif not parts:
            self._end(self._nodes[task], unneeded(cancelled(task)))

    def _break_off(self, task: str, outcome: Outcome, why: str) -> None:
        self._tries.break_off(task, outcome, why)

    def _drop_unneeded(self, part: Node) -> None:
        """Ends the rest of a group's parts once it has enough of them."""
        group = self._groups.get(part.parent or "")
        if group is None or group.enough is None or part.parent in self._decided:
            return
        ended = {each.id: self._ending[each.id] for each in group.nodes if each.id in self._ending}
        if len(ended) < len(group.nodes) and group.enough(ended):
            self._decided.add(part.parent or "")  # else each part that ends now would end the others once more
            for each in group.nodes:
                if each.id not in ended:
                    self._drop(each.id)

    def pump(self) -> None:
        """Carries out every decision that can be made now; none once the run is being cancelled."""
        if self._pumping:  # a group that is expanding: its parts are seen to by whoever started it, however deep
            return
        self._pumping = True
        try:
            while decision := self._decide():
                self._carry_out(decision)
        finally:
            self._pumping = False

    def _decide(self) -> Decision | None:
        """What is next, after all that is known already has been taken."""
        self._take_known()
        self.lending.give_back()
        if self._is_stopped():
            return None
        return next_decision(self.state, self._order, self.lending.width, self.governing.rule)

    def _carry_out(self, decision: Decision) -> None:
        node = self._nodes[decision.task.id]
        if node.id in self._ending:
            return
        match decision:
            case Start(task=task):
                if task.runs_agent:
                    self.governing.reserve(node.id)
                self._start(node)
            case Skip(outcome=outcome, reason=reason) if outcome is not Outcome.SKIPPED:
                self._start(node, Result(task=node.id, outcome=outcome, error=reason))
            case Skip(outcome=outcome, reason=reason):
                self._end(node, Result(task=node.id, outcome=outcome, error=reason))
            case Close():
                self._end(node, self._gather(node.id))

    def _is_stopped(self) -> bool:
        return self._stopped or self._group.cancel_scope.cancel_called

    def _take_known(self) -> None:
        """Ends tasks whose results are there already and need no looking up: they wait for no place.

        First each takes its own. What is left then may be had by others that ask the same.
        """
        arrived = [self._nodes[self.state.arrived.popleft().id] for _ in range(len(self.state.arrived))]
        if not arrived or not self._past.earlier.has_results or self._is_stopped():
            return
        steps = [(node, step) for node in arrived if (step := self._prepare_early(node))]
        for node, step in steps:
            identity = self._past.identify(step, self._depends(node))
            self._keys[node.id] = identity.key
            if known := self._find_own(node, step, identity):
                self._end(node, known)
        for node, step in steps:
            if node.id not in self._ending and (known := self._find_free(node, step)):
                self._end(node, known)

    def _prepare_early(self, node: Node) -> Ask | None:
        """What the task asks, before its turn; None for what has to wait for that."""
        try:
            step = node.prepare()
        except Exception:
            return None  # it is told when the task's turn comes
        early = node.id not in self._ending and isinstance(step, Ask) and not self._past.must_look(step)
        return step if early and isinstance(step, Ask) else None

    def _find_free(self, node: Node, step: Ask) -> Result | None:
        return self._past.find_another(node.id, step, self._keys[node.id], self._is_free)

    def _start(self, node: Node, refused: Result | None = None) -> None:
        """Starts the task; with `refused` only a result that is there already is taken, and else that is its result."""
        try:
            self._take(node, node.prepare(), refused)
        except Exception as error:
            self._end(node, Result(task=node.id, outcome=Outcome.INVALID_TASK, error=told(error)))

    def _take(self, node: Node, step: Step, refused: Result | None) -> None:
        match step:
            case Expand(nodes=nodes, more=more, of=of):
                self._check(nodes)
                self._groups[node.id] = step
                if step.over:
                    self._over[node.id] = step.over
                self.emit(TaskExpanded(task=node.id, parts=[part.id for part in nodes], more=more, of=of))
                self.add(self._past.spared_last(nodes) if step.enough else nodes)
            case Omit(reason=reason):
                self._end(node, Result(task=node.id, outcome=Outcome.SKIPPED, error=reason))
            case Ask() if self._past.must_look(step):
                self.lending.looking += 1
                self._begin(node, partial(self._look_and_ask, node, step, refused))
            case Ask():
                identity = self._past.identify(step, self._depends(node))
                if known := self._find(node, step, identity):
                    self._end(node, known)
                elif refused:
                    self._end(node, self._tries.refused(node.id, identity, refused))
                else:
                    self._restore(node, step, identity)
                    first = self._tries.first(node.id, step, identity)
                    self._begin(node, partial(self._tries.make, step, first, identity))
            case Call():
                self.emit(AttemptStarted(task=node.id, attempt=1))
                self._begin(node, partial(self._call, node, step))

    def _begin(self, node: Node, work: Callable[[], Awaitable[Result]]) -> None:
        """Starts the work; from now on `cancel` reaches it, also before its first turn."""
        scope = self._scopes[node.id] = anyio.CancelScope()
        self._tries.totals.setdefault(node.id, Result(task=node.id, outcome=Outcome.CANCELLED))
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
            result = self._tries.cut_short(node.id)
            result = unneeded(result) if node.id in self._unneeded else result
        self._scopes.pop(node.id, None)
        self._end(node, result)

    def _depends(self, node: Node) -> dict[str, str]:
        """What of the needed tasks determines this one's result, as hashes."""
        needs = dict.fromkeys((*node.named, *node.refers))
        found = {need: self._digest(need, need in node.named) for need in needs if need in self.results}
        return {need: gave for need, gave in found.items() if gave is not None}

    def _digest(self, task: str, whole: bool) -> str | None:
        """The hash of what a task gave; of one that is over it is made once, however many tasks need it."""
        if (task, whole) in self._digests:
            return self._digests[task, whole]
        parts = {part: self.results[part] for part in self._below(task) if part in self.results}
        found = digest(self.results[task], parts, whole=whole)
        if self.state.tasks[task].is_over:
            self._digests[task, whole] = found
        return found

    def _below(self, task: str) -> Iterator[str]:
        """The parts of a group, or what an agent added, and theirs.

        Answers that an agent got along the way are in what it gave; they are there again only if it asks again.
        """
        for part in self.state.tasks[task].parts or ():
            if part not in self._answers:
                yield part
                yield from self._below(part)

    async def _look_and_ask(self, node: Node, step: Ask, refused: Result | None) -> Result:
        """The result of a task for which files, a repository or other runs have to be looked at first."""
        try:
            identity = await self._past.look_up(step, self._depends(node), self._journal, self._lookers)
            known = self._find(node, step, identity)
            if known and not await is_there(known):
                known = None
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
            return known or self._tries.refused(node.id, identity, cast("Result", refused))
        self._restore(node, step, identity)
        first = self._tries.first(node.id, step, identity)
        self.pump()
        result = await self._tries.make(step, first, identity)
        if result.ok and step.inputs:
            # What is done is done: whoever cancels now does not undo it, nor waits for long.
            with anyio.move_on_after(LAST_LOOK, shield=True):
                await self._look_again(node, step, identity)
        return result

    async def _look_again(self, node: Node, step: Ask, identity: Identity) -> None:
        """Finds the key that the task has now that its agent may have changed its `inputs`."""
        try:
            after = await self._past.look_up(step, self._depends(node), self._journal, self._lookers)
        except (WorkspaceError, UsageError):
            return
        if after.question == identity.question and after.key != identity.key:
            self._keys_after[node.id] = after.key

    def _find(self, node: Node, step: Ask, identity: Identity) -> Result | None:
        """A result that is there already: the task's own, or that of another task which has no use for it."""
        self._keys[node.id] = identity.key
        own = self._find_own(node, step, identity)
        return own or self._past.find_another(node.id, step, identity.key, self._is_free)

    def _find_own(self, node: Node, step: Ask, identity: Identity) -> Result | None:
        """The task's own result; what its agent had added to the run is there again before that is told."""
        own = self._past.find_own(node.id, step, identity.key)
        if own:
            self._restore(node, step, identity)
        return own

    def _restore(self, node: Node, step: Ask, identity: Identity) -> None:
        """Adds what the task's agent had added to the run before that was gone on with."""
        if before := self._past.find_spawned(node.id, identity.question):
            self._desk.restore(node.id, step, before)

    def _is_free(self, task: str, key: str) -> bool:
        """Whether a task has no use for a result with this key: it is none of this run's, or asks something else."""
        return task not in self._nodes or self._keys.get(task, key) != key

    async def _call(self, node: Node, step: Call) -> Result:
        begun = self._tries.begun[node.id] = anyio.current_time()
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

    def _broken_off(self, task: TaskState) -> Result:
        """The result of a task that the run's end has overtaken."""
        if task.id in self._tries.totals:
            return self._tries.cut_short(task.id)
        if any(self.state.tasks[part].started for part in task.parts or ()):
            return cancelled(task.id, "it was cancelled")
        return cancelled(task.id)

    def _gather(self, group: str) -> Result:
        """What the group comes to, now that its parts have ended."""
        try:
            found = self._groups[group].gather([self.results[part] for part in self.state.tasks[group].parts or ()])
        except Exception as error:
            found = Result(task=group, outcome=Outcome.RAISED, error=told(error))
        return replace(found, task=group)

    async def _call_tool(self, attempt: Attempt, tool: str, given: Mapping[str, Any]) -> Any:
        if self._is_stopped():
            raise UsageError(f"{tool}: the run is being stopped")
        if not self._is_at_work(attempt):
            raise UsageError(f"{tool}: the attempt that asks for it has ended")
        return await self._desk.call(attempt, tool, given)

    def _is_at_work(self, attempt: Attempt) -> bool:
        """Whether the attempt has neither ended nor been cancelled: its process may outlive that by a moment."""
        scope, task = self._scopes.get(attempt.task), self.state.tasks[attempt.task]
        ended = attempt.task not in self._tries.begun or task.attempts != attempt.number
        return scope is not None and not scope.cancel_called and not ended

    def _end(self, node: Node, result: Result) -> None:
        """Takes a task's result; from now on nothing else can be its end."""
        if node.id not in self._ending:
            self._ending[node.id] = result
            self.governing.release(node.id)
            self._drop_unneeded(node)
            self._group.start_soon(self._finish, node, result)

    async def _finish(self, node: Node, result: Result) -> None:
        """Puts the result on disk, and only then tells anybody of it."""
        result, event = self._write_ending(node.id, result)
        with anyio.CancelScope(shield=True):
            await self._journal.flush()
        self.results[node.id] = result
        fatal = self._fail_fast and event.status == Status.FAILED and not self.state.may_fail(self.state.tasks[node.id])
        self.state.apply(event, time.time())
        self.lending.forget(node.id)
        if fatal:
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
            loop=self.state.tasks[task].is_group and self.state.tasks[task].parts is not None,
            key=self._keys.get(task),
            key_after=self._keys_after.get(task),
            lesson=lesson(self.state.tasks[task], result, self._whole(), time.time()),
        )
        self._journal.append(self.run, event)
        return event

    def _whole(self) -> Whole:
        """The run as it would be had its loops taken all their items."""
        return Whole(self.state, self._over)

    async def _forecast_whole(self) -> None:
        """Writes down what the run would take as a whole, of which it has done the first items of each loop."""
        foresee = partial(outlook_of_pilot, self._whole(), self.state.widest)
        if expected := await to_thread.run_sync(foresee):
            self.emit(expected)

    async def conclude(self, status: str, wall: float) -> None:
        """Writes down how the run ended; what has not ended by now is cancelled, and such a run is not `done`."""
        self._stopped = True
        try:
            for task in self.state.tasks.values():
                if task.status not in FINISHED:
                    result = self._ending.get(task.id) or self._broken_off(task)
                    self.results[task.id], event = self._write_ending(task.id, result)
                    self.state.apply(event, time.time())
            counts = self.state.counts
            # A group may fail by itself, as a vote that is tied, while all its parts succeed.
            failed = any(task.is_group and task.status is Status.FAILED for task in self.state.tasks.values())
            bad = failed or counts[Status.FAILED] or counts[Status.CANCELLED]
            refused = any(result.outcome in REFUSALS for result in self.results.values())
            piloted = any(task.of is not None for task in self.state.tasks.values())
            if piloted and status == "done":
                await self._forecast_whole()
            complete = status == "done" and self.failure is None and not refused and not piloted
            said = "failed" if bad and status == "done" else status
            self.emit(RunFinished(status=said, wall=wall, complete=complete))
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
