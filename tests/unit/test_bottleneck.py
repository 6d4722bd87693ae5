"""What held a run back."""

import pytest

from orchestrator.bottleneck import Brake, Ran, Verdict, judge, ran_of
from orchestrator.events import AttemptFinished, AttemptStarted, Event, TaskAdded, TaskExpanded, TaskSpawned
from orchestrator.state import RunState
from orchestrator.task import Outcome, Result
from orchestrator.testing.samples import finished


def alike(count: int, seconds: float = 10.0, waited: float = 0.0) -> list[Ran]:
    return [Ran(id=f"{number}", seconds=seconds, waited=waited) for number in range(count)]


def chain(count: int, waited: float = 0.0) -> list[Ran]:
    """One after the other."""
    needs = [(f"{number - 1}",) if number else () for number in range(count)]
    return [Ran(id=f"{number}", seconds=10.0, waited=waited, needs=needs[number]) for number in range(count)]


@pytest.mark.parametrize(
    ("tasks", "wall", "width", "brake"),
    [
        (alike(20), 105.0, 2, Brake.LIMIT),
        ([*alike(4), Ran(id="long", seconds=100.0)], 102.0, 10, Brake.LONGEST),
        (chain(5), 52.0, 10, Brake.NEEDS),
        (chain(5), 52.0, 1, Brake.NEEDS),
        (alike(10, waited=30.0), 41.0, 10, Brake.RATE),
        (alike(20, waited=30.0), 130.0, 2, Brake.RATE),
        (alike(100, waited=5.0), 160.0, 10, Brake.START_UP),  # others worked meanwhile
        (chain(3, waited=60.0), 215.0, 10, Brake.RATE),
        (alike(10), 25.0, 10, Brake.START_UP),
        (alike(10, waited=1.0), 25.0, 10, Brake.START_UP),
    ],
)
def test_what_held_it_back(tasks: list[Ran], wall: float, width: int, brake: Brake) -> None:
    """A run is held back by what its time comes to: its places, one task, a chain, waits; else by what is left."""
    assert judge(tasks, wall, width).brake is brake


@pytest.mark.parametrize(
    ("tasks", "wall", "verdict"),
    [
        (alike(10), 11.9, Verdict.PARALLEL),
        (alike(10), 12.1, Verdict.PARTIAL),
        (alike(10), 90.0, Verdict.PARTIAL),
        (alike(10), 91.0, Verdict.SEQUENTIAL),
        (alike(1), 10.0, Verdict.SEQUENTIAL),
        ([], 0.0, Verdict.SEQUENTIAL),
    ],
)
def test_the_verdict(tasks: list[Ran], wall: float, verdict: Verdict) -> None:
    """Hardly longer than the longest task is parallel, about as long as all together sequential."""
    assert judge(tasks, wall, 10).verdict is verdict


def test_figures() -> None:
    """Speed-up is over one after the other, efficiency over the places that could be used, the path by name."""
    judgement = judge([*alike(4), Ran(id="last", seconds=10.0, needs=("2",))], 25.0, 100)
    assert (judgement.speedup, judgement.efficiency, judgement.limit_s) == (2.0, 50 / (25 * 5), 10.0)
    assert (judgement.path, judgement.path_s) == (("2", "last"), 20.0)


def test_groups_are_no_work() -> None:
    """A loop counts by its parts alone."""
    parts = [Ran(id=f"each[{number}]", seconds=10.0, parent="each") for number in range(2)]
    judgement = judge([Ran(id="each", seconds=50.0), *parts], 10.0, 10)
    assert (judgement.speedup, judgement.efficiency, judgement.path_s) == (2.0, 1.0, 10.0)


def test_a_run_that_took_no_time() -> None:
    """Where all was there already nothing is divided by zero."""
    judgement = judge(alike(3, seconds=0.0), 0.0, 10)
    assert (judgement.speedup, judgement.efficiency) == (1.0, 1.0)


def test_what_runs_no_agent_is_in_no_place() -> None:
    """A call beside two agents is no work of their places, and may be on the longest path."""
    tasks = [*alike(2), Ran(id="call", seconds=30.0, is_free=True)]
    judgement = judge(tasks, 30.0, 10)
    assert (judgement.efficiency, judgement.limit_s) == (20 / (30 * 2), 10.0)
    assert (judgement.path, judgement.bound_s) == (("call",), 30.0)


def test_what_a_run_did_itself() -> None:
    """Reused tasks and those that never began are left out; an agent that spawned another has its own time."""
    state = RunState()
    events: list[tuple[float, Event]] = [
        (0.0, TaskAdded(task="each", title="", task_kind="loop")),
        (0.0, TaskExpanded(task="each", parts=["each[0]", "each[1]"])),
        (0.0, TaskAdded(task="each[0]", title="", task_kind="agent", parent="each")),
        (0.0, TaskAdded(task="each[1]", title="", task_kind="agent", parent="each")),
        (0.0, TaskAdded(task="last", title="", task_kind="agent", needs=["each"])),
        (0.0, finished(Result(task="each[0]", outcome=Outcome.OK, duration=99.0, reused="r"), "done")),
        (1.0, AttemptStarted(task="each[1]", attempt=2)),
        (2.0, TaskSpawned(task="each[1]", attempt=2, child="more", asked={})),
        (2.0, TaskAdded(task="more", title="", task_kind="agent", parent="each[1]")),
        (4.0, AttemptFinished(task="each[1]", attempt=2, outcome="overloaded", duration=3.0)),
        (9.0, AttemptFinished(task="each[1]", attempt=3, outcome="ok", duration=1.0)),
        (9.0, finished(Result(task="each[1]", outcome=Outcome.OK, duration=50.0), "done")),
        (9.0, AttemptStarted(task="more", attempt=1)),
        (11.0, AttemptFinished(task="more", attempt=1, outcome="ok", duration=2.0)),
        (11.0, finished(Result(task="more", outcome=Outcome.OK, duration=2.0), "done")),
        (11.0, finished(Result(task="each", outcome=Outcome.OK), "done", loop=True)),
    ]
    for at, event in events:
        state.apply(event, 100.0 + at)
    found = {each.id: (each.seconds, each.waited, each.parent) for each in ran_of(state)}
    assert found == {"each": (0.0, 0.0, None), "each[1]": (4.0, 3.0 + 1.0, "each"), "more": (2.0, 0.0, None)}
