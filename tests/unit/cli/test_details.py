"""A task of a run, or a group with its parts, whole."""

from dataclasses import replace

from orchestrator.cli.details import details_of, task_json
from orchestrator.report import RunReport, Standing
from orchestrator.state import Calls
from orchestrator.task import Outcome, Result, Status


def standing(kind: str, parent: str | None = None, outcome: Outcome | None = None, **given: object) -> Standing:
    usual = {
        "depth": 0,
        "parts": (),
        "done": 0,
        "total": 0,
        "seconds": None,
        "outcome": outcome,
        "status": Status.RUNNING,
    }
    if outcome:
        usual["status"] = outcome.status
    return Standing(kind=kind, parent=parent, **(usual | given))  # type: ignore[arg-type]


def report() -> RunReport:
    """A plan of a task and a loop, and tasks that share a beginning."""
    parts = ("plan.ask", "plan.check")
    results = {
        "plan": Result(task="plan", outcome=Outcome.PARTIAL, error="1 of 2", value={"a": 1}),
        "plan.ask": Result(task="plan.ask", outcome=Outcome.OK, text="Yes. \n"),
    }
    tree = {
        "plan": standing("plan", outcome=Outcome.PARTIAL, parts=parts, done=3, total=4, seconds=2.0),
        "plan.ask": standing("agent", "plan", Outcome.OK),
        "plan.check": standing("loop", "plan", done=2, total=3),
        "x.a": standing("agent"),
    }
    statuses = {"plan.ask": Status.DONE, "x.a": Status.RUNNING}
    return RunReport(
        run="r", name="r", status="running", results=results, statuses=statuses, tree=tree, wall_s=1, sum_s=1,
        longest_s=1,
    )  # fmt: skip


def test_a_group_for_people() -> None:
    """Its status, kind, time and outcome, and its parts by their full ids with how they stand; then its value."""
    assert details_of("plan", report()).plain.splitlines() == [
        "plan  failed",
        "kind      plan, 3 of 4 tasks done",
        "time      2.0 s",
        "outcome   partial: 1 of 2",
        "parts",
        "✓ plan.ask    ok",
        "▶ plan.check  running  loop, 2 of 3",
        "value",
        "{",
        '  "a": 1',
        "}",
    ]


def test_a_task_for_people() -> None:
    """A task says nothing of groups, and ends without an empty line."""
    assert details_of("plan.ask", report()).plain == "plan.ask  done\noutcome   ok\ntext\nYes."


def test_a_group_for_programs() -> None:
    """Its place in the tree and its parts, beside its result."""
    document = task_json("plan", report())
    assert (document["id"], document["status"], document["kind"], document["parent"]) == (
        "plan",
        "failed",
        "plan",
        None,
    )
    assert document["parts"] == [
        {"id": "plan.ask", "kind": "agent", "status": "done"},
        {"id": "plan.check", "kind": "loop", "status": "running"},
    ]
    assert (document["value"], document["error"]) == ({"a": 1}, "1 of 2")


def test_a_task_for_programs() -> None:
    """A task has no parts unless it spawned some; a group that has none yet has an empty list."""
    assert "parts" not in task_json("plan.ask", report())
    assert task_json("plan.check", report())["parts"] == []
    assert task_json("plan.ask", report())["parent"] == "plan"


def test_a_beginning() -> None:
    """What only begins ids lists those."""
    assert details_of("x", report()).plain == "x\nparts\n▶ x.a  running"
    assert task_json("x", report()) == {
        "id": "x", "status": None, "parts": [{"id": "x.a", "kind": "agent", "status": "running"}]
    }  # fmt: skip


def test_a_tasks_api_requests() -> None:
    """What the gateway metered of a task is told with it, in a line and as data."""
    calls = Calls(requests=2, answered=2, begun=2, first_token_s=1.0, input_tokens=30)
    told = replace(report(), task_calls={"plan.ask": calls})
    assert "API       2 requests, 0.0 % answered 429, first token after 0.5 s" in details_of("plan.ask", told).plain
    assert task_json("plan.ask", told)["api"]["input_tokens"] == 30
    assert "api" not in task_json("plan.ask", report())
