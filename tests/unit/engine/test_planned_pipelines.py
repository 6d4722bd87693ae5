"""Pipelines, matrices and needs that may fail, in plans."""

from pathlib import Path
from typing import Any

import pytest
from planning import TYPED, carry_out
from running import Stage

from orchestrator import Outcome, Status
from orchestrator.events import AttemptStarted, TaskAdded, TaskFinished
from orchestrator.task import Attempt
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio

TWO = {"find": {"prompt": "find {{ item }}"}, "verify": {"prompt": "verify {{ previous.text }}"}}


def echo(attempt: Attempt) -> Reply:
    return Reply(f"<{attempt.prompt}>")


async def test_an_item_goes_on_as_soon_as_it_can(tmp_path: Path) -> None:
    """The second stage of the item that is quick begins before the first stage of the slow one has ended."""
    stage = Stage(lambda attempt: Reply(attempt.prompt, seconds=99 if attempt.prompt == "find slow" else 1))
    tasks = {
        "check": {"foreach": ["slow", "quick"], "pipeline": TWO},
        "end": {"prompt": "{{ tasks.check.texts | join(', ') }}"},
    }
    results = await carry_out(stage, tasks, tmp_path)
    assert stage.prompt("check[1].verify") == "verify find quick"
    ends = [event.task for event in stage.of(TaskFinished)]
    assert ends.index("check[1].verify") < ends.index("check[0].find")
    assert stage.prompt("end") == "verify find slow, verify find quick"
    assert results["check[0]"].text == "verify find slow"
    kinds = {event.task: event.task_kind for event in stage.of(TaskAdded)}
    assert (kinds["check"], kinds["check[0]"], kinds["check[0].find"]) == ("loop", "pipeline", "agent")


async def test_stages_see_all_earlier_ones(tmp_path: Path) -> None:
    """Without a loop the stages are `check.find` and so on; `stages` has their text, value and outcome."""
    stage = Stage({"check.a": [Reply("one", value={"x": 1})], "check.b": ["two"], "check.c": ["three"]})
    pipeline = {
        "a": {"prompt": "a", "returns": TYPED},
        "b": {"prompt": "b {{ previous.value.x }}"},
        "c": {"prompt": "c {{ stages.a.value.x }} {{ stages.b.text }} {{ previous.ok }}"},
    }
    tasks = {
        "check": {"pipeline": pipeline},
        "end": {"prompt": "{{ tasks.check.text }} {{ tasks.check.stages.b.text }}"},
    }
    results = await carry_out(stage, tasks, tmp_path)
    assert [stage.prompt(f"check.{name}") for name in "bc"] == ["b 1", "c 1 two True"]
    assert stage.prompt("end") == "three two"
    assert (results["check"].text, results["check"].cost_usd) == ("three", 0.0)


async def test_a_stage_that_fails_ends_its_item_alone(tmp_path: Path) -> None:
    """What follows it is skipped, the item tells which stage failed, and the other items go on."""
    stage = Stage({"check[0].find": [Reply(outcome=Outcome.AUTH, error="no key")], "check[1].find": ["x"]})
    loop = {"foreach": ["a", "b"], "pipeline": TWO, "allow_failure": True}
    end = "{{ tasks.check.failed[0].item }}: {{ tasks.check.failed[0].error }}; {{ tasks.check.texts | length }}"
    results = await carry_out(stage, {"check": loop, "end": {"prompt": end}}, tmp_path)
    assert (results["check[0]"].outcome, results["check[0]"].error) == (Outcome.AUTH, "stage find: no key")
    assert results["check[0].verify"].error == "it needs check[0].find, which is failed"
    assert (results["check[1]"].ok, results["check"].outcome) == (True, Outcome.PARTIAL)
    assert stage.prompt("end") == "a: stage find: no key; 1"


async def test_a_stage_whose_condition_is_false_is_passed_over(tmp_path: Path) -> None:
    """The next stage goes on from the one before it, and a pipeline that ends so has what the last stage gave."""
    pipeline = {
        "a": {"prompt": "a"},
        "b": {"prompt": "b", "when": "{{ 'b' in previous.text }}"},
        "c": {"prompt": "c {{ previous.text }}"},
        "d": {"prompt": "d", "when": "{{ stages.b.outcome == 'ok' }}"},
    }
    results = await carry_out(Stage(echo), {"p": {"pipeline": pipeline}}, tmp_path)
    assert results["p.b"].outcome is results["p.d"].outcome is Outcome.SKIPPED
    assert (results["p"].ok, results["p"].text) == (True, "<c <a>>")


async def test_nothing_but_passed_over_is_skipped(tmp_path: Path) -> None:
    """A pipeline none of whose stages has anything to do is skipped, and so is what needs it."""
    pipeline = {"a": {"prompt": "a", "when": "{{ false }}"}, "b": {"prompt": "b", "when": "{{ previous.ok }}"}}
    tasks = {"p": {"pipeline": pipeline}, "q": {"needs": ["p"], "prompt": "x"}}
    results = await carry_out(Stage(), tasks, tmp_path)
    assert (results["p"].outcome, results["q"].outcome) == (Outcome.SKIPPED, Outcome.SKIPPED)


@pytest.mark.parametrize("needs", [{"task": "find", "allow": "failed"}, None])
async def test_a_stage_may_follow_one_that_failed(tmp_path: Path, needs: Any) -> None:
    """With `allow: failed`, or an `allow_failure` in the stage before, it knows the error and makes the best of it."""
    stage = Stage({"p.find": [Reply(outcome=Outcome.AUTH, error="no key")], "p.mend": ["well"]})
    pipeline = {
        "find": {"prompt": "x", "allow_failure": needs is None},
        "mend": {"prompt": "{{ previous.outcome }}: {{ stages.find.error }}", "needs": [needs] if needs else []},
    }
    results = await carry_out(stage, {"p": {"pipeline": pipeline}}, tmp_path)
    assert stage.prompt("p.mend") == "auth: no key"
    assert (results["p"].ok, results["p"].text) == (True, "well")


async def test_a_last_stage_that_may_fail_in_part(tmp_path: Path) -> None:
    """A loop with `allow_failure` at the end gives what its good parts gave, and the pipeline succeeds with a note."""
    stage = Stage({"p.each[0]": [Reply(outcome=Outcome.AUTH, error="no key")], "p.each[1]": [Reply(value=2)]})
    pipeline = {"a": {"prompt": "a"}, "each": {"foreach": [1, 2], "prompt": "x", "allow_failure": True}}
    results = await carry_out(stage, {"p": {"pipeline": pipeline}}, tmp_path)
    assert (results["p"].ok, results["p"].value) == (True, [2])
    assert results["p"].note == "stage each: 1 of 2 did not succeed: p.each[0]"


async def test_loops_in_a_loop(tmp_path: Path) -> None:
    """A stage that loops over what the stage before found has its own item, and `outer` for the item around it."""
    stage = Stage(lambda attempt: Reply(attempt.prompt, value={"found": [attempt.prompt + "1", attempt.prompt + "2"]}))
    pipeline = {
        "find": {"prompt": "{{ item }}", "returns": TYPED},
        "verify": {
            "foreach": "{{ previous.value.found }}",
            "prompt": "{{ outer.item }}/{{ outer.index }}/{{ item }}/{{ index }}/{{ previous.value.found | length }}",
        },
        "sum": {"prompt": "{{ previous.texts | join(' ') }}"},
    }
    results = await carry_out(stage, {"check": {"foreach": ["a", "b"], "pipeline": pipeline}}, tmp_path)
    assert stage.prompt("check[1].verify[0]") == "b/1/b1/0/2"
    assert results["check[0]"].text == "a/0/a1/0/2 a/0/a2/1/2"


async def test_a_matrix_is_every_combination(tmp_path: Path) -> None:
    """A later list may depend on the earlier ones' values; parts are numbered in order, the last list first."""
    docs = [{"name": "a", "pages": [1, 2]}, {"name": "b", "pages": [3]}]
    matrix = {"lang": ["py", "js"], "doc": "{{ vars.docs }}", "page": "{{ item.doc.pages }}"}
    stage = Stage(echo)
    prompt = "{{ index }} {{ item.lang }} {{ item.doc.name }} {{ item.page }}"
    results = await carry_out(stage, {"m": {"matrix": matrix, "prompt": prompt}}, tmp_path, vars={"docs": docs})
    expected = ["0 py a 1", "1 py a 2", "2 py b 3", "3 js a 1", "4 js a 2", "5 js b 3"]
    assert [stage.prompt(f"m[{index}]") for index in range(6)] == expected
    assert len(results) == 7


async def test_a_matrix_in_a_stage_sees_the_outer_loop(tmp_path: Path) -> None:
    """Its lists may come from `outer.item` and from the stage before."""
    stage = Stage(lambda attempt: Reply(attempt.prompt))
    matrix = {"n": "{{ outer.item.numbers }}", "t": "{{ [previous.text, outer.index] }}"}
    pipeline = {"a": {"prompt": "A"}, "b": {"matrix": matrix, "prompt": "{{ item.n }}{{ item.t }}"}}
    await carry_out(stage, {"p": {"foreach": [{"numbers": [1, 2]}], "pipeline": pipeline}}, tmp_path)
    assert [stage.prompt(f"p[0].b[{index}]") for index in range(4)] == ["1A", "10", "2A", "20"]


async def test_too_many_combinations_fail_their_task_alone(tmp_path: Path) -> None:
    """A matrix that is found to be huge while the run goes on is refused, and nothing of it starts."""
    stage = Stage({"a": [Reply(value={"n": list(range(400))})]})
    lists = "{{ tasks.a.value.n }}"
    tasks = {
        "a": {"prompt": "x", "returns": TYPED},
        "m": {"matrix": {"x": lists, "y": lists}, "prompt": "x"},
        "b": {"prompt": "y"},
    }
    results = await carry_out(stage, tasks, tmp_path)
    assert results["m"].outcome is Outcome.INVALID_TASK
    assert results["m"].error == "tasks.m.matrix: found more than 100,000 combinations, expected fewer"
    assert results["b"].ok


async def test_an_item_that_breaks_a_template_fails_alone(tmp_path: Path) -> None:
    """Where items are found while the run goes on, the error names the template, what is missing, and the item."""
    stage = Stage(lambda attempt: Reply(attempt.prompt, value=[{"name": "a"}, {"nome": "b"}]))
    pipeline = {"find": {"prompt": "{{ item.name }}"}}
    items = "{{ tasks.ask.value }}"
    tasks = {
        "ask": {"prompt": "ask", "returns": {"type": "array"}},
        "each": {"foreach": items, "prompt": "{{ item.name }}"},
        "check": {"foreach": items, "pipeline": pipeline},
    }
    results = await carry_out(stage, tasks, tmp_path)
    assert [results[f"each[{index}]"].outcome for index in (0, 1)] == [Outcome.OK, Outcome.INVALID_TASK]
    why = "there is no name (did you mean nome?); there is nome; the item of {} is {'nome': 'b'}"
    assert results["each[1]"].error == f"tasks.each.prompt: {why.replace('{}', 'each[1]', 1)}"
    assert (
        results["check[1].find"].error == f"tasks.check.pipeline.find.prompt: {why.replace('{}', 'check[1].find', 1)}"
    )
    assert results["check[0]"].ok


async def test_a_need_that_may_fail(tmp_path: Path) -> None:
    """`allow: failed` lets one task go on after another's failure, and leaves others that need it without."""
    stage = Stage({"a": [Reply(outcome=Outcome.AUTH, error="no key")]})
    tasks = {
        "a": {"prompt": "x"},
        "b": {"needs": [{"task": "a", "allow": "failed"}], "prompt": "{{ tasks.a.ok }} {{ tasks.a.error }}"},
        "c": {"needs": ["a"], "prompt": "x"},
    }
    results = await carry_out(stage, tasks, tmp_path)
    assert stage.prompt("b") == "False no key"
    assert (results["b"].ok, results["c"].outcome) == (True, Outcome.SKIPPED)


async def test_a_false_condition_skips_the_item(tmp_path: Path) -> None:
    """`when` on a loop of pipelines is judged per item, before the first stage."""
    loop = {"foreach": [1, 2], "when": "{{ item > 1 }}", "pipeline": TWO}
    results = await carry_out(Stage(echo), {"check": loop}, tmp_path)
    assert results["check[0]"].outcome is Outcome.SKIPPED
    assert "check[0].find" not in results
    assert results["check"].value == [None]


async def test_agents_are_told_by_name(tmp_path: Path) -> None:
    """A task's agent is in the journal by its name in the plan, also in stages and parts; groups have none."""
    stage = Stage(echo)
    agents: dict[str, Any] = {"quick": {}, "deep": {}}
    tasks = {"p": {"foreach": [1], "pipeline": {"a": {"prompt": "x"}, "b": {"prompt": "x", "agent": "deep"}}}}
    await carry_out(stage, tasks, tmp_path, agents=agents, defaults={"agent": "quick"})
    assert {event.task: event.agent for event in stage.of(TaskAdded)} == {
        "p": None,
        "p[0]": None,
        "p[0].a": "quick",
        "p[0].b": "deep",
    }


async def test_what_has_finished_is_not_asked_again(tmp_path: Path) -> None:
    """Stopped in the middle, the same plan goes on: stages that had finished are taken, in any order."""
    tasks = {
        "check": {"foreach": ["a", "b"], "pipeline": TWO},
        "end": {"prompt": "{{ tasks.check.texts | join(', ') }}"},
    }
    stage = Stage(lambda attempt: Reply(attempt.prompt, outcome=_refused(attempt)))
    await carry_out(stage, tasks, tmp_path)
    assert stage.statuses["check[0]"] is Status.CANCELLED
    asked = len(stage.of(AttemptStarted))
    stage.use(lambda attempt: Reply(attempt.prompt))
    results = await carry_out(stage, tasks, tmp_path)
    again = [event.task for event in stage.of(AttemptStarted)[asked:]]
    assert sorted(again) == ["check[0].verify", "end"]
    assert results["check"].ok


def _refused(attempt: Attempt) -> Outcome:
    return Outcome.BUDGET if attempt.task == "check[0].verify" else Outcome.OK
