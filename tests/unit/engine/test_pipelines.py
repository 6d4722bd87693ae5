"""Pipelines in a script: items that go through stages by themselves."""

from math import inf
from typing import Any

import anyio
import pytest
from running import Stage

from orchestrator import Agent, Outcome, Result, Status, Task, UsageError
from orchestrator.events import AttemptStarted, TaskAdded
from orchestrator.task import Attempt
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio

BROKEN = Reply("no", outcome=Outcome.REFUSED)


def echo(attempt: Attempt) -> Reply:
    """Says its prompt in brackets."""
    return Reply(f"<{attempt.prompt}>", seconds=1)


def check(before: Result) -> str:
    return f"check {before.text}"


def confirm(before: Result, item: Any) -> str:
    return f"confirm {before.text} of {item}"


async def test_templates_and_functions() -> None:
    """Each stage is made from what came before and from the item; results are the last stage's, in the items' order."""
    async with Stage(echo).open() as run:
        results = await run.pipeline(["a", "b"], "ask {}", check, confirm, "{index}: {} of {item}", key="p")
    assert results.texts == [
        "<0: <confirm <check <ask a>> of a> of a>",
        "<1: <confirm <check <ask b>> of b> of b>",
    ]
    assert [result.task for result in results] == ["p[0].4", "p[1].4"]


async def test_names() -> None:
    """A stage is called by its function where that has a name of its own, else by its number."""
    stage = Stage(echo)
    async with stage.open() as run:
        await run.pipeline(["a"], "x {}", check, lambda before: "y", check, confirm)
    assert stage.asked == [f"pipeline-1[0].{name}" for name in ("1", "2", "3", "4", "confirm")]
    kinds = {event.task: (event.task_kind, event.parent) for event in stage.of(TaskAdded)}
    assert kinds["pipeline-1"] == ("pipeline", None)
    assert kinds["pipeline-1[0]"] == ("pipeline", "pipeline-1")
    assert kinds["pipeline-1[0].1"] == ("agent", "pipeline-1[0]")


async def test_values_in_templates() -> None:
    """A structured value is shown as JSON, whole or in parts, and its fields have names."""
    value = {"finding": {"line": 3, "what": 'a "b"'}, "tags": ["x"]}
    stage = Stage(lambda attempt: Reply(value=value))
    async with stage.open() as run:
        await run.pipeline(
            [{"path": "f.py"}], "look at {path}", "{}|{finding}|{tags}|{finding[line]}|{item[path]}", key="p"
        )
    assert stage.prompt("p[0].1") == "look at f.py"
    assert stage.prompt("p[0].2") == (
        '{"finding": {"line": 3, "what": "a \\"b\\""}, "tags": ["x"]}|{"line": 3, "what": "a \\"b\\""}|["x"]|3|f.py'
    )


async def test_no_barrier() -> None:
    """An item's second stage begins when its own first is done, while other items are still at their first."""
    stage = Stage(lambda attempt: Reply(seconds=100 if attempt.task == "p[1].1" else 1))
    async with stage.open() as run:
        await run.pipeline([0, 1], "one {}", "two {}", "three {}", key="p")
    assert stage.asked == ["p[0].1", "p[1].1", "p[0].2", "p[0].3", "p[1].2", "p[1].3"]


async def test_tasks_as_stages() -> None:
    """A stage may be a Task, whose prompt is a template, or give one: with an agent and options of its own."""

    def second(before: Result, item: str) -> Task:
        return Task(f"second {before.text}", agent=Agent(model="opus"), timeout=5)

    stage = Stage(echo)
    async with stage.open() as run:
        first = Task("first {}", agent=Agent(model="haiku"))
        await run.pipeline(["a"], first, second, "third {}", key="p", agent=Agent(model="sonnet"))
    assert [event.agent["model"] for event in stage.of(AttemptStarted)] == ["haiku", "opus", "sonnet"]
    assert stage.prompt("p[0].second") == "second <first a>"
    assert stage.of(AttemptStarted)[1].timeout == 5


async def test_a_stage_that_fails_ends_its_item() -> None:
    """The item's result is that of the stage that failed; its further stages are not begun, other items go on."""
    stage = Stage({"p[1].check": [BROKEN]})
    async with stage.open() as run:
        results = await run.pipeline([*"abc"], "ask {}", check, confirm, key="p", retries=0)
    assert [result.task for result in results] == ["p[0].confirm", "p[1].check", "p[2].confirm"]
    assert (results[1].outcome, results[1].error, results.ok) == (Outcome.REFUSED, "no", False)
    assert stage.statuses["p[1].confirm"] is Status.SKIPPED
    assert len(stage.asked) == 8
    assert run.results()["p[1]"].error == "stage check: no"
    assert run.results()["p"].error == "1 of 3 did not succeed: p[1]"


async def test_a_function_that_raises_fails_its_item() -> None:
    """What a function raises, or a wrong thing that it gives, is told with stage and item, and others go on."""

    def split(before: Result, item: Any) -> Any:
        return {1: 3, 2: None}[item] if item else "go"

    stage = Stage(echo)
    async with stage.open() as run:
        results = await run.pipeline([0, 1, 2, 3], "ask {}", split, key="p")
        # a template that fits one item and not another
        more = await run.pipeline([{"a": 1}, {"b": 1}], "look at {a}", key="q")
    assert [result.ok for result in results] == [True, False, True, False]
    assert results[1].error == (
        "stage 'split' of item 1 gave the number 3, expected a prompt, a Task, or None when the item is done"
    )
    assert results[3].error == "stage 'split' of item 3 raised KeyError: 3"
    assert (more[0].ok, more[1].outcome) == (True, Outcome.INVALID_TASK)
    assert more[1].error == "the template wants {a}, but item 1 has only: item, index, b"


async def test_an_item_that_is_done_early() -> None:
    """When a function gives None the item is done: its last result counts, and nothing has failed."""

    def refine(before: Result) -> str | None:
        return None if before.text == "<ask good>" else f"refine {before.text}"

    stage = Stage(echo)
    async with stage.open() as run:
        results = await run.pipeline(["good", "bad"], "ask {}", refine, "finish {}", key="p")
    assert results.texts == ["<ask good>", "<finish <refine <ask bad>>>"]
    assert [stage.statuses[f"p[0].{name}"] for name in ("refine", "3")] == [Status.SKIPPED] * 2
    assert run.report().ok
    assert run.results()["p"].ok


async def test_functions_are_called_once() -> None:
    """A function is called once per item, in a run that goes on too."""
    called: list[tuple[int, str]] = []

    def second(before: Result) -> str:
        called.append((len(stage.runs), before.task))
        return "two"

    stage = Stage(lambda attempt: Reply(seconds=inf if attempt.task == "p[1].second" else 1))
    for script in (None, echo):
        stage.use(script or stage.executor.agent._script)
        with anyio.move_on_after(100):
            async with stage.open() as run:
                await run.pipeline([0, 1], "one {}", second, key="p")
    assert sorted(called) == [(1, "p[0].1"), (1, "p[0].1"), (1, "p[1].1"), (1, "p[1].1")]
    assert [attempt.task for attempt in stage.executor.attempts] == ["p[1].second"]


async def test_a_hundred_documents_of_which_seven_fail() -> None:
    """A batch of a hundred has 93 successes and 7 failures apart; going on asks for the failed ones alone."""
    bad = {3, 14, 15, 92, 65, 35, 89}

    def script(attempt: Attempt) -> Reply:
        number = int(attempt.task[2:].partition("]")[0])
        return BROKEN if number in bad and attempt.task.endswith(".2") else Reply(attempt.prompt, seconds=1)

    async def batch() -> Any:
        async with stage.open(**going_on) as run:
            return await run.pipeline([f"d{n}" for n in range(100)], "read {}", "judge {}", key="p", retries=0)

    going_on: dict[str, Any] = {}
    stage = Stage(script, concurrent=10)
    results = await batch()
    assert (len(results), len(results.succeeded), len(results.failed)) == (100, 93, 7)
    assert {int(result.task[2:].partition("]")[0]) for result in results.failed} == bad
    assert stage.executor.most_at_once == 10
    assert len(stage.executor.attempts) == 200
    stage.use(echo)
    going_on["run"] = stage.runs[0]
    again = await batch()
    assert again.ok
    assert sorted(attempt.task for attempt in stage.executor.attempts) == sorted(f"p[{number}].2" for number in bad)


async def test_going_on_asks_nothing_twice() -> None:
    """After a stop in the middle only stages that had not finished are asked."""
    stage = Stage(lambda attempt: Reply(attempt.task, seconds=inf if attempt.task in ("p[0].2", "p[2].1") else 1))

    async def script() -> None:
        async with stage.open() as run:
            await run.pipeline([*"abc"], "one {}", "two {}", "three {}", key="p")

    with anyio.move_on_after(100):
        await script()
    assert len(stage.executor.attempts) == 6
    stage.use(lambda attempt: Reply(attempt.task))
    await script()
    asked = sorted(attempt.task for attempt in stage.executor.attempts)
    assert asked == ["p[0].2", "p[0].3", "p[2].1", "p[2].2", "p[2].3"]


async def test_the_whole_has_needs() -> None:
    """No item begins before what the pipeline needs is done; when that failed, each item says so."""
    stage = Stage({"bad": [BROKEN]})
    async with stage.open() as run:
        run.submit(Task("x", key="bad", retries=0))
        results = await run.pipeline([*"ab"], "one {}", key="p", needs=["bad"])
        assert (await run.pipeline([*"a"], "one {}", needs=[{"task": "bad", "allow": "failed"}])).ok
    assert [(each.task, each.outcome, each.error) for each in results] == [
        (f"p[{index}]", Outcome.SKIPPED, "it needs bad, which is failed") for index in (0, 1)
    ]


async def test_whoever_stops_waiting_stops_it() -> None:
    """A pipeline whose caller is cancelled ends its tasks, at work and waiting."""
    stage = Stage(lambda _: Reply(seconds=inf), concurrent=1)
    async with stage.open() as run:
        with anyio.move_on_after(10):
            await run.pipeline([*"ab"], "one {}", "two {}", key="p")
    leaves = {task: status for task, status in stage.statuses.items() if "." in task}
    assert set(leaves.values()) <= {Status.CANCELLED, Status.SKIPPED}
    assert len(stage.asked) == 1


async def test_no_items() -> None:
    """Nothing in, nothing out."""
    async with Stage().open() as run:
        assert await run.pipeline([], "x {}") == []
    assert run.report().status == "done"


async def nobody(item: Any) -> str:
    return "x"


@pytest.mark.parametrize(
    ("stages", "what"),
    [
        ((), "it has no stages"),
        (("a {", check), "the template 'a {'"),
        ((3,), "stage 1: found the number 3, expected a template, a Task or a function that is not async"),
        ((nobody,), "stage 1: found a function"),
        (("x", Task("x", needs=["y"])), "stage 2: needs: give them to the whole pipeline"),
        ((confirm,), "stage 1: it takes two arguments"),
    ],
)
async def test_what_is_no_stage(stages: Any, what: str) -> None:
    """What can be no stage is refused before anything is asked."""
    stage = Stage()
    async with stage.open() as run:
        with pytest.raises(UsageError) as raised:
            await run.pipeline([*"ab"], *stages)
    assert what in str(raised.value)
    assert stage.statuses == {}


async def test_a_stage_has_no_needs_of_its_own() -> None:
    """A Task that a stage gives may not need others: it is too late to wait for them."""

    def second(before: Result) -> Task:
        return Task("x", needs=["other"])

    async with Stage().open() as run:
        (result,) = await run.pipeline([*"a"], "one {}", second, key="p")
    assert result.error == "task 'p[0].second': needs: a stage needs the one before it and nothing else"


async def test_map_has_successes_and_failures_apart() -> None:
    """A batch of one stage has them too; what needs the batch may go on though a part of it failed."""
    stage = Stage({"m[1]": [BROKEN], "m[2]": [Reply("x", value={"n": 1})]})
    async with stage.open() as run:
        results = await run.map("read {}", [*"abc"], key="m", retries=0)
        strict = await run.agent("sum up", key="strict", needs=results)
        lenient = await run.agent("sum up", needs=[{"task": result, "allow": "failed"} for result in results])
    assert [result.task for result in results.succeeded] == ["m[0]", "m[2]"]
    assert [result.task for result in results.failed] == ["m[1]"]
    assert (results.texts, results.values, results.ok) == (["done", "x"], [None, {"n": 1}], False)
    assert results.outcomes == {Outcome.OK: 2, Outcome.REFUSED: 1}
    assert (strict.outcome, lenient.ok) == (Outcome.SKIPPED, True)
