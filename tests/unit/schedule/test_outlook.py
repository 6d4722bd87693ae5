"""What a run is expected to take from here on."""

from orchestrator.events import Event, TaskAdded, TaskExpanded
from orchestrator.schedule.estimate import Earlier, Estimates
from orchestrator.schedule.outlook import Foreseen, outlook, still_open, told_basis
from orchestrator.schedule.piloting import Whole, outlook_of_pilot
from orchestrator.state import RunState
from orchestrator.task import Outcome, Result
from orchestrator.testing.samples import finished

KNOWN = Estimates([Earlier("a", "x", 10, 1.0, run="r"), Earlier("b", "x", 20, 2.0, run="r")])


def test_nothing_known_is_no_forecast() -> None:
    """Without any learned time there is none; a task of an agent that is known is enough."""
    assert outlook([Foreseen("a")], Estimates(), 1, "") is None
    assert outlook([Foreseen("new")], KNOWN, 1, "") is None
    assert outlook([Foreseen("new", agent="x")], KNOWN, 1, "") is not None


def test_what_runs_no_agent_takes_no_place() -> None:
    """A call that takes long goes on beside a full house."""
    estimates = Estimates([Earlier("a", seconds=10, run="r"), Earlier("c", seconds=15, kind="call", run="r")])
    found = outlook([Foreseen("c", "call"), Foreseen("a"), Foreseen("f", "write", needs=["a", "c"])], estimates, 1, "r")
    assert found is not None
    assert (found.tasks, found.known, found.wall_s, found.work_s, found.critical) == (3, 3, 15, 10, ["c"])
    assert (found.bound_s, found.usd) == (15, None)


def test_what_is_done_counts_once_more_behind_what_is_not() -> None:
    """A part that is done is left out; a task that is done, but waits for one that is not, is still to come."""
    tasks = [
        Foreseen("each", "loop"),
        Foreseen("each[0]", parent="each"),
        Foreseen("each[1]", parent="each"),
        Foreseen("report", needs=["each"]),
        Foreseen("other"),
    ]
    left = still_open(tasks, {"each[0]", "report", "other"})
    assert [task.id for task in left] == ["each", "each[1]", "report"]


def test_words() -> None:
    """Where figures come from, in a few words."""
    assert [told_basis(1), told_basis(3), told_basis(2, own=True), told_basis(0, own=True)] == [
        *("1 earlier run", "3 earlier runs", "2 earlier runs and its own beginning", "its own beginning")
    ]


def piloted(*events: Event) -> RunState:
    state = RunState()
    for event in events:
        state.apply(event, 1.0)
    return state


def loop(
    name: str, parts: int, of: int | None, *needs: str, parent: str | None = None, kind: str = "loop"
) -> list[Event]:
    names = [f"{name}[{index}]" for index in range(parts)]
    added = TaskAdded(task=name, title=name, task_kind="loop", needs=list(needs), parent=parent)
    return [added, TaskExpanded(task=name, parts=names, of=of)]


def part(task: str, parent: str, seconds: float = 10.0, status: str = "done") -> list[Event]:
    result = Result(task=task, outcome=Outcome.OK, duration=seconds, cost_usd=1.0)
    return [TaskAdded(task=task, title=task, task_kind="agent", parent=parent), finished(result, status)]


def test_loops_in_loops_grow_together() -> None:
    """Two of six, each with one of three in it: the whole has six times three."""
    state = piloted(*loop("out", 2, 6))
    for index in (0, 1):
        for event in (*loop(f"out[{index}]", 1, 3, parent="out"), *part(f"out[{index}][0]", f"out[{index}]")):
            state.apply(event, 1.0)
    found = outlook_of_pilot(Whole(state, {}), 100)
    assert found is not None
    assert (found.tasks, found.work_s, found.wall_s, found.usd) == (18, 180, 10, 18)


def test_what_was_left_out_by_its_condition_takes_nothing() -> None:
    """Of two parts one had nothing to do: of ten, half are expected to."""
    state = piloted(*loop("each", 2, 10), *part("each[0]", "each"), *part("each[1]", "each", status="skipped"))
    found = outlook_of_pilot(Whole(state, {}), 10)
    assert found is not None
    assert found.usd == 1.0 + 0.0 + 8 * 0.5


def test_a_loop_over_what_gave_less_grows_with_it() -> None:
    """Two of six gave four items, of which two were taken: the whole has twelve of these, and six of the first."""
    state = piloted(
        *loop("ask", 2, 6),
        *(event for index in (0, 1) for event in part(f"ask[{index}]", "ask")),
        *loop("check", 2, 4, "ask"),
        *(event for index in (0, 1) for event in part(f"check[{index}]", "check")),
    )
    assert Whole(state, {"check": ["ask"]}).count("check") == 12
    assert Whole(state, {}).count("check") == 4, "it is over something else, and only waits for the first"
