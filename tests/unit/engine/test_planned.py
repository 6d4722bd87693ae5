"""Plans inside a run."""

from pathlib import Path
from typing import Any

import pytest
from running import Stage

from orchestrator import Outcome, PlanError, Status, UsageError, run_plan
from orchestrator.plan.loading import parse_plan
from orchestrator.task import Attempt
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio

QUESTIONS = {"type": "object", "properties": {"questions": {"type": "array"}}, "required": ["questions"]}
AUDIT: dict[str, Any] = {
    "vars": {"topics": ["setup", "tests"]},
    "tasks": {
        "ask": {"foreach": "{{ vars.topics }}", "prompt": "Ask about {{ item }}.", "returns": QUESTIONS},
        "check": {
            "foreach": "{{ tasks.ask.values | map(attribute='questions') | sum(start=[]) }}",
            "prompt": "{{ index }}: {{ item }}",
        },
        "fix": {"when": "{{ tasks.check.failed }}", "prompt": "Fix {{ tasks.check.failed | length }}."},
        "report": {
            "needs": ["fix"],
            "write": {"path": "out/report.md", "text": "{{ tasks.check.texts | join(', ') }}"},
        },
    },
}


def audit(attempt: Attempt) -> Reply:
    if attempt.task.startswith("ask"):
        topic = attempt.prompt.removeprefix("Ask about ").removesuffix(".")
        return Reply(value={"questions": [f"what is {topic}?", f"why {topic}?"]}, seconds=60)
    return Reply(f"checked {attempt.prompt}", seconds=30)


async def test_a_plan_runs_in_its_order(tmp_path: Path) -> None:
    """Loops over outputs, a condition and a written file: each has what it needs when its turn comes."""
    stage = Stage(audit)
    plan = AUDIT | {"tasks": AUDIT["tasks"] | {"report": AUDIT["tasks"]["report"] | {"needs": ["check"]}}}
    async with stage.open(directory=tmp_path) as run:
        results = await run.plan(parse_plan(plan, tmp_path))
    assert stage.asked == ["ask[0]", "ask[1]", "check[0]", "check[1]", "check[2]", "check[3]", "report"]
    assert stage.prompt("check[1]") == "1: why setup?"
    assert (results["fix"].outcome, results["fix"].error) == (Outcome.SKIPPED, "its condition is false")
    assert (tmp_path / "out" / "report.md").read_text() == ", ".join(
        f"checked {number}: {question}"
        for number, question in enumerate(["what is setup?", "why setup?", "what is tests?", "why tests?"])
    )
    assert run.report().ok
    assert len(results["check"].value) == 4


async def test_what_needs_a_skipped_task_is_skipped(tmp_path: Path) -> None:
    """A condition that is false skips also what needs the task."""
    stage = Stage(audit)
    async with stage.open(directory=tmp_path) as run:
        results = await run.plan(parse_plan(AUDIT, tmp_path))
    assert results["report"].error == "it needs fix, which is skipped"
    assert not (tmp_path / "out").exists()


async def test_a_part_that_fails_fails_its_loop_and_stops_what_needs_it(tmp_path: Path) -> None:
    """The loop tells how many parts did not succeed, and keeps the values of the others."""
    stage = Stage({"each[1]": [Reply("no", outcome=Outcome.AUTH)], "each[0]": [Reply(value=1)]})
    plan = {"tasks": {"each": {"foreach": [1, 2], "prompt": "{{ item }}"}, "b": {"needs": ["each"], "prompt": "x"}}}
    async with stage.open() as run:
        results = await run.plan(parse_plan(plan, tmp_path))
    assert (results["each"].outcome, results["each"].value) == (Outcome.PARTIAL, [1])
    assert results["each"].error == "1 of 2 did not succeed: each[1]"
    assert stage.statuses["b"] is Status.SKIPPED


async def test_failures_that_are_allowed_go_on(tmp_path: Path) -> None:
    """With `allow_failure` what needs the task runs, and can tell what failed."""
    stage = Stage({"each[1]": [Reply("no", outcome=Outcome.AUTH)]})
    loop = {"foreach": [1, 2], "prompt": "{{ item }}", "allow_failure": True}
    plan = {"tasks": {"each": loop, "b": {"prompt": "{{ tasks.each.failed | length }} of 2, {{ tasks.each.ok }}"}}}
    async with stage.open() as run:
        await run.plan(parse_plan(plan, tmp_path))
    assert stage.prompt("b") == "1 of 2, False"


async def test_a_loop_over_nothing_is_done(tmp_path: Path) -> None:
    """No items are no failure."""
    stage = Stage()
    plan = {
        "vars": {"none": []},
        "tasks": {
            "each": {"foreach": "{{ vars.none }}", "prompt": "{{ item }}"},
            "b": {"needs": ["each"], "prompt": "x"},
        },
    }
    async with stage.open() as run:
        results = await run.plan(parse_plan(plan, tmp_path))
    assert (results["each"].ok, results["each"].value, results["b"].ok) == (True, [], True)


async def test_a_template_that_fails_fails_its_task(tmp_path: Path) -> None:
    """What a template cannot find when its turn comes is the task's failure, with its place; the run goes on."""
    stage = Stage({"a": [Reply(value={"x": 1})]})
    tasks = {
        "a": {"prompt": "x", "returns": {"type": "object"}},
        "b": {"prompt": "{{ tasks.a.value.missing.deeper }}"},
        "c": {"prompt": "y"},
    }
    async with stage.open() as run:
        results = await run.plan(parse_plan({"tasks": tasks}, tmp_path))
    assert results["b"].outcome is Outcome.INVALID_TASK
    assert "tasks.b.prompt" in (results["b"].error or "")
    assert results["c"].ok


async def test_a_plan_shares_the_runs_limits(tmp_path: Path) -> None:
    """A plan inside a run takes its places from the run's."""
    stage = Stage(lambda _: Reply(seconds=10), concurrent=2)
    plan = {"limits": {"concurrent": 9}, "tasks": {"each": {"foreach": [1, 2, 3, 4], "prompt": "{{ item }}"}}}
    async with stage.open() as run:
        await run.plan(parse_plan(plan, tmp_path))
    assert stage.executor.most_at_once == 2


async def test_a_plan_whose_names_are_taken_adds_nothing(tmp_path: Path) -> None:
    """The same plan twice in a run is refused in words, and none of it is added."""
    stage = Stage()
    async with stage.open() as run:
        await run.agent("x", key="b")
        with pytest.raises(UsageError, match="of that name already"):
            await run.plan(parse_plan({"tasks": {"a": {"prompt": "x"}, "b": {"prompt": "y"}}}, tmp_path))
    assert list(stage.statuses) == ["b"]


async def test_a_loop_whose_parts_names_are_taken_fails_alone(tmp_path: Path) -> None:
    """When a part's name is taken by another task, the loop fails, and the run goes on."""
    stage = Stage()
    async with stage.open() as run:
        await run.map("{}", [1], key="each")
        results = await run.plan(parse_plan({"tasks": {"each": {"foreach": [1], "prompt": "x"}}}, tmp_path))
        assert not results["each"].ok
        assert (await run.agent("still at work")).ok


async def test_run_plan_reports(tmp_path: Path) -> None:
    """`run_plan` runs a file with the plan's own limits and reports; the journal names the file."""
    stage = Stage(audit)
    file = tmp_path / "plan.yaml"
    file.write_text("name: two\nlimits: {concurrent: 1}\ntasks:\n  a: {prompt: x}\n  b: {prompt: y}\n")
    report = await run_plan(file, executor=stage.executor, journal=stage.journal)
    assert (report.name, report.status, report.tasks, report.ok) == ("two", "done", 2, True)
    assert stage.executor.most_at_once == 1
    assert stage.state.started is not None
    assert stage.state.started.plan == str(file)


async def test_a_wrong_plan_starts_nothing(tmp_path: Path) -> None:
    """All faults are raised at once, and the journal has no run."""
    stage = Stage()
    file = tmp_path / "plan.yaml"
    file.write_text("tasks:\n  a: {promt: x}\n  b: {prompt: y, needs: [nobody]}\n")
    with pytest.raises(PlanError) as raised:
        await run_plan(file, executor=stage.executor, journal=stage.journal)
    assert len(raised.value.faults) >= 2
    assert not stage.events
