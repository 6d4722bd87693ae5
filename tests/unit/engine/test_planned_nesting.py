"""Plans in plans."""

from pathlib import Path
from typing import Any

import pytest
from running import Stage

from orchestrator import Outcome, PlanError, Status, UsageError
from orchestrator.engine.planned.nodes import plan_nodes
from orchestrator.events import AttemptStarted, TaskAdded
from orchestrator.plan.loading import load_plan, parse_plan
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio

INNER = """
name: inner
vars: {topic: none, list: []}
limits: {concurrent: 1}
agents: {local: {model: haiku}}
defaults: {agent: local}
tasks:
  ask: {prompt: "Ask about {{ vars.topic }}"}
  each: {foreach: "{{ vars.list }}", prompt: "{{ item }} {{ tasks.ask.text }}"}
  report: {prompt: "{{ tasks.each.texts | join(' ') }}"}
"""
OUTER = """
vars: {topics: [tea, coffee]}
tasks:
  first: {prompt: "first"}
  part:
    foreach: "{{ vars.topics }}"
    plan: sub/inner.yaml
    vars: {topic: "{{ item }} {{ tasks.first.text }}", list: "{{ [index, 7] }}"}
  end: {prompt: "{{ tasks.part.values[1].report }} {{ tasks.part.results[0].tasks.each.texts | length }}"}
"""


def write(folder: Path, **files: str) -> Path:
    """Files by name; the path of the outer plan."""
    (folder / "sub").mkdir()
    for name, text in files.items():
        (folder / {"outer": "outer.yaml"}.get(name, f"sub/{name}.yaml")).write_text(text)
    return folder / "outer.yaml"


def echo(attempt: Any) -> Reply:
    return Reply(attempt.prompt, seconds=1)


async def test_a_plan_in_a_loop(tmp_path: Path) -> None:
    """Its tasks run under the run's limits, by its own agents, with its vars given; templates see into it."""
    stage = Stage(echo, concurrent=4)
    async with stage.open(directory=tmp_path) as run:
        results = await run.plan(write(tmp_path, outer=OUTER, inner=INNER))
    assert stage.prompt("part[1].ask") == "Ask about coffee first"
    assert stage.prompt("part[1].each[0]") == "1 Ask about coffee first"
    text = "1 Ask about coffee first 7 Ask about coffee first"
    assert stage.prompt("end") == f"{text} 2"
    each = ["1 Ask about coffee first", "7 Ask about coffee first"]
    assert results["part"].value[1] == {"ask": "Ask about coffee first", "each": each, "report": text}
    assert run.report().results["part[1]"].text == text
    assert stage.executor.most_at_once > 1
    kinds = {event.task: (event.task_kind, event.parent, event.agent) for event in stage.of(TaskAdded)}
    assert kinds["part[0]"] == ("plan", "part", None)
    assert kinds["part[0].each"] == ("loop", "part[0]", None)
    assert kinds["part[0].each[1]"] == ("agent", "part[0].each", "local")


async def test_two_levels(tmp_path: Path) -> None:
    """A plan in a plan in a plan; the outermost template sees the innermost text."""
    middle = "vars: {t: x}\ntasks:\n  deep: {plan: inner.yaml, vars: {topic: '{{ vars.t }}', list: [1]}}\n"
    seen = "{{ tasks.a.tasks.deep.tasks.ask.text }}"
    outer = f"tasks:\n  a: {{plan: sub/middle.yaml, vars: {{t: tea}}}}\n  b: {{prompt: '{seen}'}}\n"
    stage = Stage(echo)
    async with stage.open(directory=tmp_path) as run:
        await run.plan(write(tmp_path, outer=outer, middle=middle, inner=INNER))
    assert stage.prompt("b") == "Ask about tea"
    assert [event.task for event in stage.of(TaskAdded)] == [
        "a", "b", "a.deep", "a.deep.ask", "a.deep.each", "a.deep.report", "a.deep.each[0]",
    ]  # fmt: skip


async def test_a_failure_inside_fails_the_whole(tmp_path: Path) -> None:
    """What a condition skips does not; the values of what succeeded are there."""
    inner = "tasks:\n  a: {prompt: x}\n  b: {prompt: y}\n  c: {prompt: z, when: '{{ false }}'}\n"
    outer = "tasks:\n  p: {plan: sub/inner.yaml, allow_failure: true}\n  q: {plan: sub/good.yaml}\n"
    outer += "  e: {prompt: '{{ tasks.p.value }}'}\n"
    good = "tasks:\n  a: {prompt: x}\n  c: {prompt: z, when: '{{ false }}'}\n"
    stage = Stage({"p.b": [Reply(outcome=Outcome.AUTH, error="no key")]})
    async with stage.open(directory=tmp_path) as run:
        results = await run.plan(write(tmp_path, outer=outer, inner=inner, good=good))
    assert (results["p"].outcome, results["p"].error) == (Outcome.PARTIAL, "1 of 3 did not succeed: p.b")
    assert (results["q"].ok, results["q"].value, results["q"].text) == (True, {"a": "done"}, "")
    assert stage.prompt("e") == "{'a': 'done'}"


async def test_a_failure_inside_that_is_allowed(tmp_path: Path) -> None:
    """It does not fail the whole, which says so; of a loop that may fail in part the rest is there."""
    inner = "tasks:\n  a: {prompt: x, allow_failure: true}\n"
    inner += "  b: {foreach: [1, 2], prompt: '{{ item }}', allow_failure: true}\n"
    refused = [Reply(outcome=Outcome.AUTH, error="no key")]
    stage = Stage({"p.a": refused, "p.b[0]": refused})
    async with stage.open(directory=tmp_path) as run:
        results = await run.plan(write(tmp_path, outer="tasks:\n  p: {plan: sub/inner.yaml}\n", inner=inner))
    assert (results["p"].ok, results["p"].value) == (True, {"b": ["done"]})
    assert results["p"].note == "failed, as they may: p.a, p.b"


async def test_a_condition_skips_the_whole(tmp_path: Path) -> None:
    """None of its tasks are added."""
    outer = "tasks:\n  p: {plan: sub/inner.yaml, when: '{{ false }}'}\n"
    stage = Stage()
    async with stage.open(directory=tmp_path) as run:
        await run.plan(write(tmp_path, outer=outer, inner=INNER))
    assert stage.statuses == {"p": Status.SKIPPED}


async def test_faults_at_run_time_name_the_inner_file(tmp_path: Path) -> None:
    """A var that is no list, as it turns out, fails that loop alone, with file and place."""
    outer = "tasks:\n  p: {plan: sub/inner.yaml, vars: {list: 3}}\n"
    stage = Stage()
    async with stage.open(directory=tmp_path) as run:
        await run.plan(write(tmp_path, outer=outer, inner=INNER))
    assert run.report().results["p.each"].error == "inner.yaml: tasks.each.foreach: found the number 3, expected a list"


async def test_a_need_of_the_plan_is_one_of_its_tasks(tmp_path: Path) -> None:
    """When what the plan needs gives something else the next time, its tasks are done again."""
    outer = "tasks:\n  a: {prompt: '%s'}\n  p: {plan: sub/inner.yaml, needs: [a]}\n  z: {needs: [p], prompt: z}\n"
    path = write(tmp_path, outer=outer % "one", inner="tasks: {b: {prompt: x}}\n")
    stage = Stage({"z": [Reply(outcome=Outcome.BUDGET)], "a": ["one"]})
    async with stage.open(directory=tmp_path) as run:
        await run.plan(load_plan(path))
    for said, expected in (("one", ["z"]), ("two", ["a", "p.b", "z"])):
        path.write_text(outer % said)
        before = len(stage.of(AttemptStarted))
        stage.use({"a": [said], "z": [Reply(outcome=Outcome.BUDGET)]})
        async with stage.open(directory=tmp_path) as run:
            await run.plan(load_plan(path))
        assert [event.task for event in stage.of(AttemptStarted)[before:]] == expected


async def test_vars_and_a_prefix_from_python(tmp_path: Path) -> None:
    """`plan_nodes` puts a plan into a group, with other vars; a var that is not there is refused."""
    loaded = parse_plan(
        {"vars": {"x": 1}, "tasks": {"a": {"prompt": "{{ vars.x }}"}, "b": {"needs": ["a"], "prompt": "b"}}}
    )
    stage = Stage()
    async with stage.open(directory=tmp_path) as run:
        setting, results = run._setting, run._core.results
        nodes = plan_nodes(loaded, results, setting, prefix="g.", parent="g", vars={"x": 5})
        assert [(node.id, node.parent, node.needs) for node in nodes] == [("g.a", "g", ()), ("g.b", "g", ("g.a",))]
        assert nodes[0].prepare().prompt == "5"  # type: ignore[union-attr]
        with pytest.raises(UsageError, match=r"vars: found 'y', which the plan does not have, expected one of x"):
            plan_nodes(loaded, results, setting, vars={"y": 5})


async def test_a_wrong_inner_plan_starts_nothing(tmp_path: Path) -> None:
    """Its faults are raised with its file and lines, with those of the outer one."""
    path = write(
        tmp_path,
        outer=OUTER.replace("part.values", "part.valu"),
        inner=INNER.replace("tasks.ask.text", "tasks.ak.text"),
    )
    stage = Stage()
    with pytest.raises(PlanError) as raised:
        async with stage.open(directory=tmp_path) as run:
            await run.plan(path)
    found = [str(fault).partition(",")[0] for fault in raised.value.faults]
    assert found == [
        f"{tmp_path}/outer.yaml:9: tasks.end.prompt: found tasks.part.valu",
        f"{tmp_path}/sub/inner.yaml:9: tasks.each.prompt: found the task 'ak'",
    ]
    assert not stage.asked
