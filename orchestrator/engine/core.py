"""The heart: carries out what the scheduler decides, until nothing is left to do."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from anyio import to_thread
from anyio.abc import TaskGroup

from orchestrator.engine.accounts import Accounts
from orchestrator.engine.calls import Calls
from orchestrator.engine.endings import REFUSALS, Endings
from orchestrator.engine.going_on.earlier import Earlier
from orchestrator.engine.going_on.known import Known
from orchestrator.engine.going_on.past import Past
from orchestrator.engine.governing import Governing
from orchestrator.engine.groups import Groups
from orchestrator.engine.lending import Lending
from orchestrator.engine.readying import Readying
from orchestrator.engine.starts import Starts
from orchestrator.engine.steps import Expand, Node
from orchestrator.engine.talking.desk import Desk
from orchestrator.engine.talking.floor import Floor
from orchestrator.engine.talking.post import Post
from orchestrator.engine.talking.staff import Staff
from orchestrator.engine.talking.waits import Waits
from orchestrator.engine.telling import added_event
from orchestrator.engine.tries import Tries
from orchestrator.errors import TaskFailed, UsageError
from orchestrator.events import Event, TaskExpanded, TaskSpawned, TaskWaits
from orchestrator.machine import Machine
from orchestrator.plan.model import Limits
from orchestrator.protocols import Executor, Expecting, Journal
from orchestrator.schedule.estimate import Estimates
from orchestrator.schedule.governor import Governor
from orchestrator.schedule.order import Order
from orchestrator.schedule.outlook import Foreseen, outlook, told_basis
from orchestrator.schedule.scheduler import Close, Decision, Skip, Start, next_decision
from orchestrator.state import FINISHED, RunState, TaskState
from orchestrator.task import Attempt, Outcome, Result


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
        self._journal = journal
        self._limits = limits
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
        self._nodes: dict[str, Node] = {}
        self._answers: set[str] = set()
        self._accounts = Accounts()
        self._desk = self._open_desk()
        self._known = Known(
            state=self.state,
            nodes=self._nodes,
            results=self.results,
            answers=self._answers,
            past=self._past,
            journal=journal,
            restore_spawned=self._desk.restore,
        )
        self._groups = Groups(self.state)
        self._endings = Endings(
            run=run,
            state=self.state,
            results=self.results,
            journal=journal,
            group=group,
            fail_fast=fail_fast,
            known=self._known,
            groups=self._groups,
            tries=self._tries,
            governing=self.governing,
            lending=self.lending,
            emit=self.emit,
            drop=self._drop,
            go_on=self._go_on,
        )
        self._starts = Starts(
            state=self.state,
            group=group,
            known=self._known,
            tries=self._tries,
            calls=Calls(self.emit, self._tries.begun),
            endings=self._endings,
            governing=self.governing,
            lending=self.lending,
            expand=self._expand,
            pump=self.pump,
        )
        self._readying = self._get_ready(executor)
        self._pumping = False

    def _get_ready(self, executor: Executor) -> Readying | None:
        """None where what an agent may spend is known only when it starts, as its process has to know it."""
        if not isinstance(executor, Expecting) or self._limits.usd is not None:
            return None
        return Readying(
            state=self.state,
            order=self._order,
            nodes=self._nodes,
            tries=self._tries,
            governing=self.governing,
            lending=self.lending,
            expect=executor.expect,
        )

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
        if isinstance(event, TaskWaits):
            self._end_vain_listening()

    def add(self, nodes: Sequence[Node], *, later: bool = False) -> None:
        """Takes tasks, all or none, which start as soon as they can; with `later` once there is a decision to be made.

        Raises UsageError for an id that is taken, for a need that is unknown, and when the run has ended.
        """
        self._check(nodes)
        for node in nodes:
            self._nodes[node.id] = node
            self._endings.expect(node.id)
            self.emit(added_event(node, self._accounts.name(node.runs)))
        self._order.add([self.state.tasks[node.id] for node in nodes])
        self._heed_change()
        if not later:
            self.pump()

    async def forecast(self) -> None:
        """Writes down what the run is expected to take from here on, where earlier runs tell anything of it."""
        ending = self._endings.ending
        tasks = [
            Foreseen.of(task)
            for task in self.state.tasks.values()
            if not task.is_over and (task.id not in ending or ending[task.id].reused)
        ]
        runs = self._estimates.runs
        basis = told_basis(len(runs - {self.run}), own=self.run in runs)
        done = self._past.done | {task for task, result in ending.items() if result.reused}
        # In a thread: of 100,000 tasks it takes seconds, in which agents would have to wait.
        foresee = partial(outlook, tasks, self._estimates, self.state.width, basis, done)
        if runs and (expected := await to_thread.run_sync(foresee)) and not self._starts.stopped:
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
        if self._starts.stopped:
            raise UsageError("the run has ended: give it tasks inside its `async with` block")
        new: set[str] = set()
        for node in nodes:
            if node.id in self._nodes or node.id in new:
                raise UsageError(f"task {node.id!r}: this run has a task of that name already: give another key")
            new.add(node.id)
            if unknown := [need for need in node.needs if need not in self._nodes and need not in new]:
                raise UsageError(f"task {node.id!r}: it needs {unknown[0]!r}, which is no task of this run")

    def _expand(self, group: str, step: Expand) -> None:
        """Adds the parts of a task that turned out to be a group. Raises UsageError."""
        self._check(step.nodes)
        self._groups.expand(group, step)
        self.emit(TaskExpanded(task=group, parts=[part.id for part in step.nodes], more=step.more, of=step.of))
        self.add(self._past.spared_last(step.nodes) if step.enough else step.nodes)

    @property
    def failure(self) -> TaskFailed | None:
        """That of the first task that failed, where this ends the run."""
        return self._endings.failure

    async def wait(self, task: str) -> Result:
        """The task's result, once it is on disk."""
        return await self._endings.wait(task)

    def has(self, task: str) -> bool:
        """Whether the run has a task of this name."""
        return task in self._nodes

    def cancel(self, task: str) -> None:
        """Ends a task that runs, and keeps one that waits from starting; one that has ended stays as it is."""
        self._starts.cancel(task)

    def _drop(self, task: str) -> None:
        self._starts.drop(task)

    def _break_off(self, task: str, outcome: Outcome, why: str) -> None:
        self._tries.break_off(task, outcome, why)

    def pump(self) -> None:
        """Carries out every decision that can be made now; none once the run is being cancelled."""
        if self._pumping:  # a group that is expanding: its parts are seen to by whoever started it, however deep
            return
        self._pumping = True
        try:
            while decision := self._decide():
                self._carry_out(decision)
            if self._readying and not self._starts.is_stopped:
                self._readying.look()
        finally:
            self._pumping = False

    def _decide(self) -> Decision | None:
        """What is next, after all that is known already has been taken."""
        self._take_known()
        self.lending.give_back()
        if self._starts.is_stopped:
            return None
        return next_decision(
            self.state,
            self._order,
            self.lending.width,
            self.governing.rule,
            may_refuse=self.governing.governor.may_refuse,
        )

    def _take_known(self) -> None:
        """Ends tasks whose results are there already and need no looking up: they wait for no place."""
        arrived = [self._nodes[self.state.arrived.popleft().id] for _ in range(len(self.state.arrived))]
        if arrived and self._past.earlier.finished and not self._starts.is_stopped:
            for node, known in self._known.at_once(arrived, self._endings.ending):
                self._endings.end(node, known)

    def _carry_out(self, decision: Decision) -> None:
        node = self._nodes[decision.task.id]
        if node.id in self._endings.ending:
            return
        match decision:
            case Start(task=task):
                if task.runs_agent:
                    self.governing.reserve(node.id)
                    self._heed_change()
                self._starts.start(node)
            case Skip(outcome=outcome, reason=reason) if outcome is not Outcome.SKIPPED:
                self._starts.start(node, Result(task=node.id, outcome=outcome, error=reason))
            case Skip(outcome=outcome, reason=reason):
                self._endings.end(node, Result(task=node.id, outcome=outcome, error=reason))
            case Close():
                self._endings.end(node, self._groups.gather(node.id, self.results))

    def _heed_change(self) -> None:
        """Other tasks may be next than before."""
        if self._readying:
            self._readying.is_due = True

    async def _call_tool(self, attempt: Attempt, tool: str, given: Mapping[str, Any]) -> Any:
        if self._starts.is_stopped:
            raise UsageError(f"{tool}: the run is being stopped")
        if not self._starts.is_at_work(attempt):
            raise UsageError(f"{tool}: the attempt that asks for it has ended")
        return await self._desk.call(attempt, tool, given)

    def _go_on(self) -> None:
        """What the end of a task makes of the others."""
        self.pump()
        self._end_vain_listening()

    def _end_vain_listening(self) -> None:
        """Breaks off agents that wait for others' words, once their run has refused to start whoever could speak.

        They go on in their sessions when the run is gone on with; else they would keep it from ending.
        """
        listening = self._desk.post.listening
        if not listening or self._starts.at_work - listening.keys() or self._starts.is_stopped:
            return
        others = (task for task in self.state.tasks.values() if task.id not in listening)
        if any(task.status not in FINISHED and not (task.is_group or task.unmet) for task in others):
            return
        if refused := next((result for result in self.results.values() if result.outcome in REFUSALS), None):
            for task in listening:
                self._break_off(task, Outcome.STOPPED, f"nobody is left who could tell it anything: {refused.error}")

    async def conclude(self, status: str, wall: float) -> None:
        """Writes down how the run ended; what has not ended by now is cancelled, and such a run is not `done`."""
        self._starts.stopped = True
        await self._endings.conclude(status, wall)
