"""What a run's events add up to."""

import pytest

from orchestrator.events import (
    KINDS,
    AgentMessage,
    AttemptFinished,
    AttemptStarted,
    RunFinished,
    TaskAdded,
    WorkspaceOpened,
)
from orchestrator.report import report_of
from orchestrator.state import FINISHED, RunState
from orchestrator.task import Outcome, Result, Status
from orchestrator.testing.samples import BEGUN, finished, run_started, sample_events, sample_records


def sample() -> RunState:
    return RunState.of(sample_records())


def test_every_kind_of_event_can_be_folded() -> None:
    """The sample run has every kind of event, so that no fold is without a test."""
    assert {type(event) for event in sample_events()} == set(KINDS.values())


def test_statuses_and_counts() -> None:
    """Each task of the sample run has its status, and the counts leave the loop out."""
    state = sample()
    assert {task.id: task.status for task in state.tasks.values()} == {
        "ask": Status.DONE,
        "ask.more": Status.SKIPPED,
        "each": Status.FAILED,
        "write": Status.SKIPPED,
        "each[0]": Status.FAILED,
        "each[1]": Status.CANCELLED,
    }
    assert (state.total, state.ended) == (5, 5)
    assert {status: number for status, number in state.counts.items() if number} == {
        Status.DONE: 1,
        Status.SKIPPED: 2,
        Status.FAILED: 1,
        Status.CANCELLED: 1,
    }


def test_sums() -> None:
    """Costs and seconds are summed over the attempts, tokens over the results."""
    state = sample()
    assert (state.cost_usd, state.sum_s) == (1.0, 8.0)
    assert (state.input_tokens, state.output_tokens) == (30, 15)
    assert sum(task.input_tokens for task in state.tasks.values()) == 30


def test_nothing_runs_at_the_end() -> None:
    """When all have ended no place is taken and nobody is listed as running."""
    state = sample()
    assert (state.running, state.places) == ({}, 0)
    assert state.finished == RunFinished(status="failed", wall=12.5)


def test_a_task_at_work() -> None:
    """A running task tells what it does, where, since when, and what it has used."""
    state = RunState()
    state.apply(run_started("x"), BEGUN)
    state.apply(TaskAdded(task="a", title="t", task_kind="agent"), BEGUN)
    state.apply(AttemptStarted(task="a", attempt=1, session_id="s"), BEGUN + 1)
    task = state.tasks["a"]
    assert (task.status, task.doing, task.started, state.places) == (Status.RUNNING, "starting", BEGUN + 1, 1)
    state.apply(WorkspaceOpened(workspace="worktree", task="a", attempt=1, path="/w", branch="b"), BEGUN + 2)
    message = AgentMessage(task="a", attempt=1, type="M", doing="Read x", turns=1, input_tokens=3, output_tokens=2)
    state.apply(message, BEGUN + 3)
    state.apply(AgentMessage(task="a", attempt=1, type="M"), BEGUN + 4)
    assert (task.workspace and (task.workspace.path, task.workspace.branch), task.doing, task.turns) == (
        ("/w", "b"),
        "Read x",
        1,
    )
    assert (task.input_tokens, task.output_tokens) == (3, 2)
    state.apply(AttemptFinished(task="a", attempt=1, outcome="overloaded", retry_in=5.0), BEGUN + 5)
    assert (task.doing, state.places) == ("again in 5 s (overloaded)", 1)
    state.apply(AttemptStarted(task="a", attempt=2, session_id="s2"), BEGUN + 10)
    assert (task.attempts, task.started, task.session_id, state.places) == (2, BEGUN + 1, "s2", 1)
    end = finished(Result(task="a", outcome=Outcome.OK), "done")
    state.apply(end, BEGUN + 12)
    assert (task.finished, task.result, task.doing, state.places) == (BEGUN + 12, end.result, None, 0)
    assert (state.input_tokens, state.output_tokens) == (3, 2)


@pytest.mark.parametrize("status", sorted(FINISHED))
@pytest.mark.parametrize("allow_failure", [True, False])
@pytest.mark.parametrize("allows", [[], ["a"], ["c"]])
def test_who_may_go_on(status: Status, allow_failure: bool, allows: list[str]) -> None:
    """A task goes on after one that is done, or that may fail: for all, or for this one."""
    state = RunState()
    state.apply(TaskAdded(task="a", title="", task_kind="agent", allow_failure=allow_failure), BEGUN)
    state.apply(TaskAdded(task="b", title="", task_kind="agent", needs=["a"], allows=allows), BEGUN)
    state.tasks["a"].status = status
    expected = status is Status.DONE or allow_failure or "a" in allows
    assert state.tasks["a"].lets(state.tasks["b"]) is expected


def test_report_of_the_sample() -> None:
    """The report has totals, and results in the order of the tasks, with parts behind their loop."""
    report = report_of("sample-1", sample(), now=BEGUN + 1000)
    assert (report.status, report.ok, report.tasks, report.succeeded, report.failed) == ("failed", False, 5, 1, 1)
    assert list(report.results) == ["ask", "ask.more", "each", "each[0]", "each[1]", "write"]
    assert list(report.statuses) == ["ask", "ask.more", "each[0]", "each[1]", "write"]
    assert (report.wall_s, report.sum_s) == (12.5, 8.0)
    assert report.to_json()["totals"]["tasks"] == 5
    assert report.cost_usd == 1.0


def test_report_of_a_dead_process() -> None:
    """A run without an end is running while its process lives, and interrupted at its last sign of life when not."""
    state = RunState()
    records = sample_records()
    begun = next(index for index, record in enumerate(records) if isinstance(record.event, AttemptStarted))
    state.apply_all(records[: begun + 1])
    assert report_of("r", state, now=BEGUN + 100).status == "running"
    dead = report_of("r", state, now=BEGUN + 1000, alive=False)
    assert dead.status == "interrupted"
    assert dead.wall_s == records[begun].at - records[0].at
    assert Status.RUNNING in {task.status for task in state.leaves()}
    assert Status.RUNNING not in dead.statuses.values()
