"""Whatever tasks a run is given and however they end, it ends well."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.engine.core import Core
from orchestrator.engine.steps import Ask, Call, Expand, Node, Omit
from orchestrator.errors import TaskFailed, bare_errors
from orchestrator.events import AttemptFinished, AttemptStarted, TaskFinished
from orchestrator.journal.memory import MemoryJournal
from orchestrator.plan.model import Agent, Limits
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
    cancelled_after: float | None
    added_after: float


@st.composite
def pieces(draw: st.DrawFn) -> list[Piece]:
    made = []
    for number in range(draw(st.integers(1, 12))):
        needs = st.lists(st.integers(0, number - 1), max_size=3, unique=True) if number else st.just([])
        made.append(
            Piece(
                kind=draw(st.sampled_from(["agent", "agent", "agent", "call", "omit", "raises", "loop"])),
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
            )
        )
    return made


def node(name: str, piece: Piece, parent: str | None = None) -> Node:
    needs = () if parent else tuple(f"t{need}" for need in piece.needs)
    kind = "call" if piece.kind == "call" else "loop" if piece.kind == "loop" and not parent else "agent"
    return Node(
        id=name,
        title=name,
        kind=kind,
        prepare=lambda: step(name, piece, parent),
        needs=needs,
        parent=parent,
        allow_failure=piece.allow_failure,
    )


def step(name: str, piece: Piece, parent: str | None) -> Any:
    match piece.kind:
        case "call":
            return Call(lambda: name)
        case "omit":
            return Omit("not wanted")
        case "raises":
            raise ValueError("not today")
        case "loop" if not parent:
            return Expand(tuple(node(f"{name}[{index}]", piece, name) for index in range(piece.parts)))
    return Ask(prompt=name, agent=Agent(), workspace=WorkspaceSpec(), retries=len(piece.replies) - 1)


class Ran:
    """A random run, from its start to its end."""

    def __init__(self, made: list[Piece], width: int, usd: float | None, fail_fast: bool, stop: float | None) -> None:
        self.made, self.width, self.usd, self.fail_fast, self.stop = made, width, usd, fail_fast, stop
        self.journal = MemoryJournal()
        self.executor = ScriptedExecutor(self.reply)
        self.state = RunState()

    def reply(self, attempt: Attempt) -> Reply:
        piece = self.made[int(attempt.task.partition("[")[0][1:])]
        outcome, seconds = piece.replies[min(attempt.number, len(piece.replies)) - 1]
        return Reply(attempt.task, outcome=outcome, seconds=seconds, cost_usd=0.1)

    async def run(self) -> None:
        limits = Limits(concurrent=self.width, usd=self.usd)
        with anyio.move_on_after(self.stop), bare_errors():
            async with anyio.create_task_group() as group:
                core = Core("r", self.journal, self.executor, limits, group, fail_fast=self.fail_fast)
                for number, piece in enumerate(self.made):
                    await anyio.sleep(piece.added_after)
                    core.add([node(f"t{number}", piece)])
                    if piece.cancelled_after is not None:
                        group.start_soon(self.cancel, core, f"t{number}", piece.cancelled_after)
        with anyio.CancelScope(shield=True):
            await core.conclude("done", 1.0)
        self.state = core.state

    async def cancel(self, core: Core, task: str, seconds: float) -> None:
        await anyio.sleep(seconds)
        core.cancel(task)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
    """Every task ends once, needs come first, the width holds, and the journal folds to the engine's own state."""
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
    """No task starts before its needs have ended well."""
    well: set[str] = set()
    for event in (record.event for record in ran.journal.records):
        if isinstance(event, AttemptStarted):
            assert well >= set(ran.state.tasks[event.task].needs), f"{event.task} started too early"
        if isinstance(event, TaskFinished):
            task = ran.state.tasks[event.task]
            well |= {event.task} if event.status == Status.DONE or task.allow_failure else set()


def check_width(ran: Ran) -> None:
    """No more agents at once than allowed, by the executor's own count and by the journal's."""
    assert ran.executor.most_at_once <= ran.width
    running: set[str] = set()
    for event in (record.event for record in ran.journal.records):
        if isinstance(event, AttemptStarted) and ran.state.tasks[event.task].kind == "agent":
            running.add(event.task)
            assert len(running) <= ran.width, f"{running} at once"
        if isinstance(event, TaskFinished):
            running.discard(event.task)


def check_fold(ran: Ran) -> None:
    """The journal's records add up to the state that the engine has, times aside."""
    again = RunState()
    again.apply_all(ran.journal.records)
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
