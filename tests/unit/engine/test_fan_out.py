"""A goal that is split, worked on in parts, and joined."""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

import anyio
import pytest
from pydantic import BaseModel
from running import Stage

from orchestrator import Agent, Outcome, Result, Status, Task, UsageError
from orchestrator.events import AttemptStarted, TaskAdded, TaskFinished
from orchestrator.task import Attempt
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio

PARTS = [{"title": "Setup", "task": "Check the setup."}, {"title": "Tests", "task": "Check the tests."}]
BROKEN = Reply("no", outcome=Outcome.REFUSED)


class Report(BaseModel):
    words: int


def splitting(value: Any = None, **others: Reply) -> Any:
    """A script in which `f.split` gives that, and others as they are named: `part0`, `join`."""

    def script(attempt: Attempt) -> Reply:
        name = attempt.task.removeprefix("f.").replace("[", "").replace("]", "")
        if name == "split":
            return others.get("split") or Reply(value={"parts": PARTS} if value is None else value, seconds=1)
        return others.get(name, Reply(f"{name} says so", seconds=1))

    return script


async def reached(stage: Stage, goal: str = "Audit it.", **options: Any) -> Result:
    async with stage.open() as run:
        return await run.fan_out(goal, key="f", **{"retries": 0, **options})


async def test_a_goal_is_split_and_joined() -> None:
    """One agent splits the goal, one works on each part, all at once, and one joins what they gave."""
    stage = Stage(splitting())
    result = await reached(stage)
    assert (result.task, result.ok, result.text) == ("f", True, "join says so")
    assert result.session_id == stage.of(TaskFinished, "f.join")[0].result["session_id"]
    assert result.note == "2 of 2 parts succeeded"
    assert stage.asked == ["f.split", "f.part[0]", "f.part[1]", "f.join"]
    kinds = {event.task: (event.task_kind, event.parent) for event in stage.of(TaskAdded)}
    assert kinds["f"] == ("group", None)
    assert kinds["f.part"] == ("loop", "f")
    assert kinds["f.part[1]"] == ("agent", "f.part")
    assert stage.state.total == 4


async def test_what_each_is_told() -> None:
    """The splitter is told the goal and how many parts; a part its task; the joiner what each part gave."""
    stage = Stage(splitting())
    await reached(stage, most=5)
    assert "Audit it." in stage.prompt("f.split")
    assert stage.of(AttemptStarted, "f.split")[0].schema["properties"]["parts"]["maxItems"] == 5
    assert "Check the tests." in stage.prompt("f.part[1]")
    assert "Check the setup." not in stage.prompt("f.part[1]")
    assert all(said in stage.prompt("f.join") for said in ("Audit it.", "Setup", "part0 says so", "part1 says so"))


async def test_failed_parts_are_named() -> None:
    """The joiner is told which parts failed and why, and the result has a note of it."""
    stage = Stage(splitting(part0=BROKEN))
    result = await reached(stage)
    assert (result.ok, result.note) == (True, "1 of 2 parts succeeded; f.part[0]: no")
    assert "- Setup: no" in stage.prompt("f.join")
    assert "part1 says so" in stage.prompt("f.join")
    assert stage.statuses["f.part[0]"] is Status.FAILED


async def test_fail_fast_spares_parts() -> None:
    """Where the first failure ends the run, a part's does not: the joiner knows what to do with it."""
    async with Stage(splitting(part0=BROKEN)).open(fail_fast=True) as run:
        assert (await run.fan_out("x", key="f", retries=0)).ok


async def test_all_parts_fail() -> None:
    """When no part succeeds nothing is joined, and the result names them all."""
    stage = Stage(splitting(part0=BROKEN, part1=BROKEN))
    result = await reached(stage)
    assert (result.outcome, "f.join" in stage.asked) == (Outcome.REFUSED, False)
    assert result.error == "none of its 2 parts succeeded: f.part[0]: no; f.part[1]: no"


@pytest.mark.parametrize(
    ("others", "error"),
    [({"split": BROKEN}, "split: no"), ({"join": BROKEN}, "join: no")],
)
async def test_the_ends_may_fail(others: dict[str, Reply], error: str) -> None:
    """Without a split there are no parts, without a join no result; what failed is named."""
    result = await reached(Stage(splitting(**others)))
    assert (result.outcome, result.error) == (Outcome.REFUSED, error)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ({}, "f.split gave nothing, expected a list of parts, as {title, task}"),
        ({"parts": []}, "f.split gave an empty list, expected a list of parts"),
        ("words", "f.split gave the text 'words', expected a list"),
        ({"parts": [PARTS[0], {"title": "x"}]}, "f.split: part 1 is a mapping, expected {title, task}"),
        ({"parts": PARTS * 5}, "f.split gave 10 parts, expected 8 at most"),
    ],
)
async def test_a_split_that_is_none(value: Any, error: str) -> None:
    """What a splitter gives that is no list of parts is told, and nothing else is asked."""
    stage = Stage(splitting(value))
    result = await reached(stage)
    assert error in (result.error or "")
    assert stage.asked == ["f.split"]


async def test_templates() -> None:
    """Prompts of the user's own, with the goal, the part and the results in their braces."""
    stage = Stage(splitting(part0=BROKEN))
    await reached(
        stage,
        split="Split {goal} in {most}.",
        part="{index}: {title}: {task} for {goal} ({})",
        join="Join for {goal}:\n{results}",
    )
    assert stage.prompt("f.split") == "Split Audit it. in 8."
    assert stage.prompt("f.part[1]") == "1: Tests: Check the tests. for Audit it. (Check the tests.)"
    assert stage.prompt("f.join") == ("Join for Audit it.:\n## Setup\n\nIt failed: no\n\n## Tests\n\npart1 says so")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"goal": None}, "goal: found nothing, expected what is to be reached"),
        ({"part": "{item}"}, "part: found {item} in its template, expected one of {goal}, {index}, {task}, {title}"),
        ({"join": Task("{parts}")}, "join: found {parts} in its template, expected one of {goal}, {results}"),
        ({"split": "{title}"}, "split: found {title} in its template, expected one of {goal}, {most}"),
    ],
)
async def test_templates_that_nobody_can_fill_in(options: dict[str, Any], said: str) -> None:
    """What a template wants that its step does not know is told before anybody is asked to split the goal."""
    stage = Stage(splitting())
    with pytest.raises(UsageError) as told:
        await reached(stage, **options)
    assert said in str(told.value)
    assert not stage.asked


async def test_parts_of_a_split_with_its_own_schema() -> None:
    """The parts may have more than a title and a task where the splitter's schema is the user's own."""
    part = {**PARTS[0], "file": "a.py"}
    stage = Stage(splitting([part]))
    await reached(stage, split=Task("Split.", returns={"type": "array"}), part="{file}")
    assert stage.prompt("f.part[0]") == "a.py"


async def test_many_failed_parts() -> None:
    """Of many parts that failed for the same reason the result tells the first; each has its own error."""
    stage = Stage(splitting({"parts": PARTS * 4}, **{f"part{index}": BROKEN for index in range(8)}))
    result = await reached(stage)
    assert result.error is not None
    assert result.error.startswith("none of its 8 parts succeeded: f.part[0]: no; ")
    assert result.error.endswith("f.part[2]: no; and 5 more")


async def test_failed_parts_are_named_in_any_case() -> None:
    """A prompt of the user's own that shows no results is told which parts failed all the same."""
    for join in ("Join.", Task("Join.")):
        stage = Stage(splitting(part0=BROKEN))
        await reached(stage, join=join)
        assert stage.prompt("f.join").startswith("Join.\n\nThese parts failed")
        assert "- Setup: no" in stage.prompt("f.join")
    stage = Stage(splitting())
    await reached(stage, join="Join.")
    assert stage.prompt("f.join") == "Join."


async def test_tasks_and_functions() -> None:
    """Each step may be a Task, or a function, with an agent of its own; a splitter may give parts as bare texts."""

    def work(part: Mapping[str, Any]) -> Task:
        return Task(f"Do: {part['task']}", agent=Agent(model="opus"))

    def join(results: Sequence[Result]) -> str:
        return ", ".join(f"{result.task} {result.ok}" for result in results)

    stage = Stage(splitting(["one", "two"]))
    split = Task("Cut {goal}", agent=Agent(model="haiku"), returns={"type": "object"})
    await reached(stage, split=split, part=work, join=join, agent=Agent(model="sonnet"))
    assert stage.prompt("f.part[0]") == "Do: one"
    assert stage.prompt("f.join") == "f.part[0] True, f.part[1] True"
    models = [event.agent["model"] for event in stage.of(AttemptStarted)]
    assert models == ["haiku", "opus", "opus", "sonnet"]
    assert stage.of(AttemptStarted, "f.split")[0].schema == {"type": "object"}


async def test_options_go_where_they_belong() -> None:
    """`returns` is the join's, `checks` are the parts'; the rest is for all."""
    stage = Stage(splitting(join=Reply(value={"words": 7})))
    result = await reached(stage, returns=Report, checks=["true"], timeout=60)
    assert result.value == Report(words=7)
    asked = {attempt.task: attempt for attempt in stage.executor.attempts}
    assert {task: bool(attempt.checks) for task, attempt in asked.items()} == {
        "f.split": False, "f.part[0]": True, "f.part[1]": True, "f.join": False
    }  # fmt: skip
    assert {attempt.timeout for attempt in asked.values()} == {60}
    assert asked["f.part[0]"].schema is None


async def test_a_part_that_cannot_be_asked() -> None:
    """A template that fits one part and not another, or a function that raises, fails that part alone."""
    parts = [{"title": "a", "task": "x", "file": "a.py"}, {"title": "b", "task": "y"}]
    stage = Stage(splitting({"parts": parts}))
    result = await reached(stage, split=Task("Split.", returns={}), part="Look at {file}.")
    assert result.note is not None
    assert result.note.startswith("1 of 2 parts succeeded; f.part[1]: the template wants {file}, but part of 'f'")

    def work(part: Mapping[str, Any]) -> str:
        return f"Look at {part['file']}."

    assert "part raised KeyError: 'file'" in str((await reached(Stage(splitting({"parts": parts})), part=work)).note)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"goal": " "}, "goal: found the text"),
        ({"most": 0}, "most: found the number 0, expected 1 to 100"),
        ({"split": 3}, "split: found the number 3, expected a template, a Task or a function"),
        ({"part": Task("x", needs=["y"])}, "part: needs: give them to the whole of it"),
        ({"part": reached}, "part: found a function"),
        ({"join": "{"}, "the template '{'"),
    ],
)
async def test_what_is_no_fan_out(options: dict[str, Any], what: str) -> None:
    """Bad input is refused before anything is asked."""
    stage = Stage(splitting())
    with pytest.raises(UsageError) as raised:
        await reached(stage, **options)
    assert what in str(raised.value)
    assert stage.statuses == {}


async def test_going_on_asks_nothing_twice() -> None:
    """After a stop only the parts that had not finished are asked, and the join."""
    stage = Stage(splitting(part1=Reply(seconds=inf)))
    with anyio.move_on_after(100):
        await reached(stage)
    stage.use(splitting())
    result = await reached(stage)
    assert result.ok
    assert [attempt.task for attempt in stage.executor.attempts] == ["f.part[1]", "f.join"]
    stage.use(splitting())
    async with stage.open(run=stage.runs[0]) as run:
        assert (await run.fan_out("Audit it.", key="f", retries=0)).text == "join says so"
    assert stage.executor.attempts == []


async def test_whoever_stops_waiting_stops_it() -> None:
    """A goal whose caller is cancelled ends its parts, and nothing is joined."""
    stage = Stage(splitting(part0=Reply(seconds=inf)))
    async with stage.open() as run:
        with anyio.move_on_after(10):
            await run.fan_out("x", key="f")
    assert stage.statuses["f.part[0]"] is Status.CANCELLED
    assert stage.statuses["f.join"] is Status.CANCELLED
