"""The tree of a run's tasks."""

import pytest

from orchestrator.events import TaskAdded, TaskExpanded, TaskSpawned
from orchestrator.report import RunReport, ordered, report_of
from orchestrator.state import RunState
from orchestrator.task import Outcome, Result, Status
from orchestrator.testing.samples import BEGUN, finished, run_started
from orchestrator.tree import is_nested, relative, tallies, walk

NESTED = ["plan", "plan.ask", "plan.check", "plan.check[0]", "plan.check[0].verify", "plan.check[1]", "last"]


def added(name: str, kind: str = "agent", parent: str | None = None) -> TaskAdded:
    return TaskAdded(task=name, title=name, task_kind=kind, parent=parent)


def nested() -> RunState:
    """A plan with a task and a loop, of which one part is a pipeline; a task beside it."""
    state = RunState()
    for event in (
        run_started("x"),
        added("plan", "plan"),
        added("last"),
        TaskExpanded(task="plan", parts=["plan.ask", "plan.check"]),
        added("plan.ask", parent="plan"),
        added("plan.check", "loop", parent="plan"),
        TaskExpanded(task="plan.check", parts=["plan.check[0]", "plan.check[1]"]),
        added("plan.check[0]", "pipeline", parent="plan.check"),
        added("plan.check[1]", parent="plan.check"),
        TaskExpanded(task="plan.check[0]", parts=["plan.check[0].verify"]),
        added("plan.check[0].verify", parent="plan.check[0]"),
    ):
        state.apply(event, BEGUN)
    return state


def end(state: RunState, task: str, outcome: Outcome = Outcome.OK, loop: bool = False, **given: object) -> None:
    result = Result(task=task, outcome=outcome, **given)  # type: ignore[arg-type]
    state.apply(finished(result, outcome.status, loop=loop), BEGUN + 5)


def report(state: RunState) -> RunReport:
    return report_of("r", state, now=BEGUN + 9)


def test_the_order() -> None:
    """What is below a task comes right behind it, at any depth."""
    assert [task.id for task in ordered(nested())] == NESTED
    assert [depth for _, depth in walk(nested())] == [0, 1, 1, 2, 3, 2, 0]


def test_what_was_spawned_is_below_its_spawner() -> None:
    """A task that an agent added comes behind that agent's, and its own behind it."""
    state = nested()
    for boss, hand in (("plan.ask", "plan.ask.more"), ("plan.ask.more", "plan.ask.more.still")):
        state.apply(TaskSpawned(task=boss, attempt=1, child=hand, asked={}), BEGUN)
        state.apply(added(hand, parent=boss), BEGUN)
    names = [task.id for task in ordered(state)]
    assert names[1:5] == ["plan.ask", "plan.ask.more", "plan.ask.more.still", "plan.check"]
    assert report(state).tree["plan.ask"].parts == ("plan.ask.more",)


def test_a_task_whose_parent_is_unknown_is_not_lost() -> None:
    """It is shown at the top."""
    state = RunState()
    state.apply(added("a", parent="gone"), BEGUN)
    assert [(task.id, depth) for task, depth in walk(state)] == [("a", 0)]


def test_tallies() -> None:
    """Each group counts the tasks at any depth below it, and no group."""
    state = nested()
    end(state, "plan.ask")
    end(state, "plan.check[0].verify", Outcome.REFUSED)
    found = {task: (each.total, each.ended, each.done, each.failed) for task, each in tallies(state).items()}
    assert found == {"plan": (3, 2, 1, 1), "plan.check": (2, 1, 0, 1), "plan.check[0]": (1, 1, 0, 1)}


def test_is_nested() -> None:
    """Groups in groups are; a loop and its parts are not."""
    assert is_nested(nested())
    state = RunState()
    assert not is_nested(state)
    for event in (added("each", "loop"), TaskExpanded(task="each", parts=["each[0]"]), added("each[0]", parent="each")):
        state.apply(event, BEGUN)
    assert not is_nested(state)


@pytest.mark.parametrize(
    ("task", "above", "said"),
    [
        ("check[3].verify", "check", "[3].verify"),
        ("backend.report", "backend", "report"),
        ("backend", None, "backend"),
        ("other", "backend", "other"),
        ("backend2", "backend", "backend2"),
        ("backend", "backend", "backend"),
        ("backend.", "backend", "backend."),
    ],
)
def test_relative(task: str, above: str | None, said: str) -> None:
    """An id that goes on from its group's is told without that; any other one whole."""
    assert relative(task, above) == said


def test_groups_of_a_report() -> None:
    """Each group has its kind, place, parts, status and outcome; tasks are counted without them."""
    state = nested()
    end(state, "plan.check[0].verify", Outcome.REFUSED)
    end(state, "plan.check[0]", Outcome.PARTIAL, loop=True)
    found = report(state)
    assert list(found.groups) == ["plan", "plan.check", "plan.check[0]"]
    inner, outer = found.groups["plan.check[0]"], found.groups["plan.check"]
    assert (inner.kind, inner.parent, inner.depth) == ("pipeline", "plan.check", 2)
    assert (inner.status, inner.outcome, inner.done, inner.total) == (Status.FAILED, Outcome.PARTIAL, 0, 1)
    assert (inner.seconds, outer.seconds) == (5.0, None)
    assert (outer.status, outer.outcome, outer.parts) == (Status.RUNNING, None, ("plan.check[0]", "plan.check[1]"))
    assert found.tasks == len(found.statuses) == 4


def test_groups_of_the_document() -> None:
    """The JSON document has the groups beside the tasks, with what they came to; tasks say whose part they are."""
    state = nested()
    end(state, "plan.check[0].verify", Outcome.REFUSED)
    end(state, "plan.check[0]", Outcome.PARTIAL, loop=True, value=[1], error="1 of 1")
    document = report(state).to_json()
    assert [group["id"] for group in document["groups"]] == ["plan", "plan.check", "plan.check[0]"]
    assert document["groups"][0] == {
        "id": "plan", "kind": "plan", "parent": None, "status": "running", "outcome": None,
        "parts": ["plan.ask", "plan.check"], "error": None, "note": None,
    }  # fmt: skip
    assert document["groups"][2] == {
        "id": "plan.check[0]", "kind": "pipeline", "parent": "plan.check", "status": "failed", "outcome": "partial",
        "parts": ["plan.check[0].verify"], "value": [1], "error": "1 of 1", "note": None,
    }  # fmt: skip
    tasks = {task["id"]: (task["kind"], task["parent"], task["status"]) for task in document["tasks"]}
    assert tasks == {
        "plan.ask": ("agent", "plan", "pending"),
        "plan.check[0].verify": ("agent", "plan.check[0]", "failed"),
        "plan.check[1]": ("agent", "plan.check", "pending"),
        "last": ("agent", None, "pending"),
    }
    assert document["totals"]["tasks"] == 4


def test_groups_of_a_dead_process() -> None:
    """Where nothing goes on any more no group is running."""
    dead = report_of("r", nested(), now=BEGUN + 9, alive=False)
    assert dead.groups["plan"].status is Status.CANCELLED
