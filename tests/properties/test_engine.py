"""Whatever tasks a run is given and however they end, it ends well."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.engine.core import Core
from orchestrator.engine.going_on.earlier import names
from orchestrator.engine.steps import Ask, Call, Expand, Node, Omit, Step
from orchestrator.errors import TaskFailed, UsageError, bare_errors
from orchestrator.events import AttemptFinished, AttemptStarted, Event, TaskFinished, TaskWaits
from orchestrator.journal.memory import MemoryJournal
from orchestrator.plan.model import Agent, Limits, Spawn
from orchestrator.protocols import CallTool
from orchestrator.state import FINISHED, RunState
from orchestrator.task import Attempt, Outcome, Status
from orchestrator.testing import Reply, ScriptedExecutor, jumping
from workspaces import WorkspaceSpec

OUTCOMES = [Outcome.OK] * 4 + [Outcome.AUTH, Outcome.OVERLOADED, Outcome.INVALID_OUTPUT]


@dataclass(frozen=True)
class Piece:
    """One task of a random run."""

    kind: str
    needs: tuple[int, ...]
    replies: tuple[tuple[Outcome, float], ...]
    """The outcome and the seconds of each attempt."""
    allow_failure: bool
    parts: int
    """Of a loop or vote; tasks that an agent adds."""
    cancelled_after: float | None
    added_after: float
    allows: bool
    """Whether the first of its needs may fail."""
    enough: int
    """How many ended parts a vote has enough of."""
    inner: "tuple[Piece, ...]" = ()
    """Of a group."""

    @property
    def kind_of_node(self) -> str:
        kinds = {"loop": "loop", "vote": "vote", "group": "plan", "call": "call"}
        return kinds.get(self.kind, "agent")


KINDS = ["agent", "agent", "boss", "call", "omit", "raises", "loop", "vote"]


@st.composite
def pieces(draw: st.DrawFn, most: int = 12, depth: int = 2) -> list[Piece]:
    made = []
    for number in range(draw(st.integers(1, most))):
        kind = draw(st.sampled_from([*KINDS, "group", "group"] if depth else KINDS))
        needs = st.lists(st.integers(0, number - 1), max_size=3, unique=True) if number else st.just([])
        made.append(
            Piece(
                kind=kind,
                needs=tuple(draw(needs)),
                replies=tuple(
                    draw(
                        st.lists(
                            st.tuples(st.sampled_from(OUTCOMES), st.sampled_from([0.0, 0.0, 1.0, 5.0])),
                            min_size=1,
                            max_size=3,
                        )
                    )
                ),
                allow_failure=draw(st.booleans()),
                parts=draw(st.integers(0, 3)),
                cancelled_after=draw(st.none() | st.sampled_from([0.0, 0.5, 1.0, 5.0, 7.0])),
                added_after=draw(st.sampled_from([0.0, 0.0, 0.0, 1.0])),
                allows=draw(st.booleans()),
                enough=draw(st.integers(1, 3)),
                inner=tuple(draw(pieces(3, depth - 1))) if kind == "group" else (),
            )
        )
    return made


def nodes(made: Sequence[Piece], prefix: str, parent: str | None = None) -> tuple[Node, ...]:
    return tuple(node(f"{prefix}{number}", piece, prefix, parent) for number, piece in enumerate(made))


def node(name: str, piece: Piece, prefix: str, parent: str | None = None) -> Node:
    needs = tuple(f"{prefix}{need}" for need in piece.needs)
    return Node(
        id=name,
        title=name,
        kind=piece.kind_of_node,
        prepare=lambda: step(name, piece),
        needs=needs,
        allows=needs[:1] if piece.allows else (),
        parent=parent,
        allow_failure=piece.allow_failure,
    )


def step(name: str, piece: Piece) -> Step:
    match piece.kind:
        case "call":
            return Call(lambda: name)
        case "omit":
            return Omit("not wanted")
        case "raises":
            raise ValueError("not today")
        case "loop" | "vote":
            part = replace(piece, kind="boss" if piece.parts == 3 else "agent", needs=())
            parts = tuple(node(f"{name}[{index}]", part, "", name) for index in range(piece.parts))
            return Expand(parts, enough=(lambda ended: len(ended) >= piece.enough) if piece.kind == "vote" else None)
        case "group":
            return Expand(nodes(piece.inner, f"{name}.t", name))
    agent = Agent(talk=True, spawn=Spawn(count=5, depth=2)) if piece.kind == "boss" else Agent()
    return Ask(prompt=name, agent=agent, workspace=WorkspaceSpec(), retries=len(piece.replies) - 1)


async def talk(attempt: Attempt, parts: int, call: CallTool) -> None:
    """Adds tasks, waits for a message that does not come, then for the tasks, and asks whoever was there first."""
    for number in range(parts):
        await told(call, "spawn_task", {"name": f"s{number}", "prompt": "x"})
    await told(call, "read_messages", {"wait_s": 1})
    await told(call, "send_message", {"to": "*", "text": attempt.task})
    await told(call, "await_tasks", {})
    await told(call, "ask", {"to": "t0", "question": "what?"})


async def told(call: CallTool, tool: str, given: Mapping[str, Any]) -> Any:
    with suppress(UsageError):
        return await call(tool, given)


def by_name(made: Sequence[Piece], prefix: str) -> Iterator[tuple[str, Piece]]:
    for number, piece in enumerate(made):
        yield f"{prefix}{number}", piece
        yield from by_name(piece.inner, f"{prefix}{number}.t")


class Ran:
    """A random run, from its start to its end."""

    def __init__(self, made: list[Piece], width: int, usd: float | None, fail_fast: bool, stop: float | None) -> None:
        self.made, self.width, self.usd, self.fail_fast, self.stop = made, width, usd, fail_fast, stop
        self.journal = MemoryJournal()
        self.executor = ScriptedExecutor(self.reply)
        self.state = RunState()
        self.pieces = dict(by_name(made, "t"))

    def reply(self, attempt: Attempt) -> Reply:
        piece = self.pieces.get(attempt.task.partition("[")[0])
        if piece is None:  # added by an agent: one level deeper it adds one itself, and there ends well
            deeper = partial(talk, attempt, 1) if attempt.agent.spawn else None
            return Reply(attempt.task, value=attempt.task, seconds=2.0, cost_usd=0.1, act=deeper)
        outcome, seconds = piece.replies[min(attempt.number, len(piece.replies)) - 1]
        act = partial(talk, attempt, piece.parts) if attempt.agent.spawn else None
        return Reply(attempt.task, value=attempt.task, outcome=outcome, seconds=seconds, cost_usd=0.1, act=act)

    async def run(self) -> None:
        limits = Limits(concurrent=self.width, usd=self.usd, spawned=20)
        with anyio.fail_after(1e5), anyio.move_on_after(self.stop), bare_errors():
            async with anyio.create_task_group() as group:
                core = Core("r", self.journal, self.executor, limits, group, fail_fast=self.fail_fast)
                for number, piece in enumerate(self.made):
                    await anyio.sleep(piece.added_after)
                    core.add([node(f"t{number}", piece, "t")])
                    if piece.cancelled_after is not None:
                        group.start_soon(self.cancel, core, f"t{number}", piece.cancelled_after)
        with anyio.CancelScope(shield=True):
            await core.conclude("done", 1.0)
        self.state = core.state

    async def cancel(self, core: Core, task: str, seconds: float) -> None:
        await anyio.sleep(seconds)
        core.cancel(task)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    made=pieces(),
    width=st.integers(1, 4),
    usd=st.none() | st.sampled_from([0.15, 0.5]),
    fail_fast=st.booleans(),
    stop=st.none() | st.sampled_from([0.5, 3.0, 8.0]),
)
def test_any_run_ends_well(
    backend: str, made: list[Piece], width: int, usd: float | None, fail_fast: bool, stop: float | None
) -> None:
    """Every task ends once, needs come first, the width holds, and the journal folds to the engine's own state.

    With groups in groups, votes that have enough, needs that may fail, agents that add tasks, wait, write and ask, and
    cancellation and the end of the money at any time: the run always ends.
    """
    ran = Ran(made, width, usd, fail_fast, stop)
    name, options = jumping(backend)
    try:
        anyio.run(ran.run, backend=name, backend_options=options)
    except TaskFailed:
        assert fail_fast
    check_ends(ran)
    check_needs(ran)
    check_width(ran)
    check_fold(ran)
    check_counts(ran)
    check_groups(ran)


def check_ends(ran: Ran) -> None:
    """Each task has exactly one end, and nothing of it comes after that."""
    ends = Counter(record.event.task for record in ran.journal.records if isinstance(record.event, TaskFinished))
    assert set(ends) == set(ran.state.tasks)
    assert set(ends.values()) <= {1}
    assert all(task.status in FINISHED for task in ran.state.tasks.values())
    over: set[str] = set()
    for event in (record.event for record in ran.journal.records):
        if isinstance(event, AttemptStarted | AttemptFinished):
            assert event.task not in over, f"{event} after its task had ended"
        if isinstance(event, TaskFinished):
            over.add(event.task)


def check_needs(ran: Ran) -> None:
    """No task starts before its needs have ended well, and so has all that they added; the allowed only have ended."""
    well, over = set[str](), set[str]()
    for event in (record.event for record in ran.journal.records):
        if isinstance(event, AttemptStarted):
            task = ran.state.tasks[event.task]
            assert well >= {need for need in task.needs if need not in task.allows}, f"{event.task} started too early"
            below = [part for need in task.needs for part in ran.state.tasks[need].parts or ()]
            assert over >= {*task.needs, *below}, f"{event.task} started before what it needs was over"
        if isinstance(event, TaskFinished):
            over.add(event.task)
            task = ran.state.tasks[event.task]
            well |= {event.task} if event.status == Status.DONE or task.allow_failure else set()


def check_width(ran: Ran) -> None:
    """No more agents at once than allowed, those left out that wait for something of the run, or to try again.

    One that is cancelled in a wait does not go on after it, though the wait is over.
    """
    at_work: set[str] = set()
    events = [record.event for record in ran.journal.records]
    for index, event in enumerate(events):
        match event:
            case TaskWaits(task=task, waits_for=None) if ends_next(task, events[index + 1 :]):
                pass
            case AttemptStarted(task=task) | TaskWaits(task=task, waits_for=None):
                at_work |= {task} if ran.state.tasks[task].kind == "agent" else set()
                assert len(at_work) <= ran.width, f"{at_work} at once"
            case AttemptFinished(task=task) | TaskFinished(task=task) | TaskWaits(task=task):
                at_work.discard(task)


def ends_next(task: str, events: Sequence[Event]) -> bool:
    following = next((event for event in events if getattr(event, "task", None) == task), None)
    return isinstance(following, AttemptFinished | TaskFinished)


def check_groups(ran: Ran) -> None:
    """A group that ended well has the values of those of its parts that did, in their order; only votes spare parts."""
    tasks = ran.state.tasks
    for task in tasks.values():
        assert task.result is not None
        parts = [tasks[part] for part in task.parts or ()]
        if task.is_group and task.result["outcome"] in (Outcome.OK, Outcome.PARTIAL):
            values = [part.result and part.result["value"] for part in parts if part.status is Status.DONE]
            assert task.result["value"] == values
        if task.result["outcome"] == Outcome.UNNEEDED:
            assert any(tasks[above].kind == "vote" for above in names(task.id) if above in tasks)


def check_fold(ran: Ran) -> None:
    """The journal's records add up to the state that the engine has, times aside."""
    again = RunState.of(ran.journal.records)
    assert list(summed(again)) == list(summed(ran.state))


def summed(state: RunState) -> Iterator[Any]:
    yield state.cost_usd, state.input_tokens, state.output_tokens, state.sum_s, state.places, state.finished
    yield {status: number for status, number in state.counts.items() if number}
    for task in state.tasks.values():
        yield task.id, task.status, task.attempts, task.parts, task.open_parts, task.unmet, task.cost_usd, task.turns
        yield task.session_id, task.doing, task.result


def check_counts(ran: Ran) -> None:
    """The counts are those of a recount, and nothing is left that runs."""
    recount = Counter(task.status for task in ran.state.leaves())
    assert {status: number for status, number in ran.state.counts.items() if number} == recount
    assert (ran.state.places, ran.state.running) == (0, {})
