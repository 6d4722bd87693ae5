"""What a script says of its tasks: templates, needs, types, and what is refused."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, field_validator
from running import Stage

from orchestrator import Outcome, Task, UsageError
from orchestrator.events import TaskFinished
from orchestrator.testing import Reply
from workspaces import WorkspaceSpec

pytestmark = pytest.mark.anyio


class Point(BaseModel):
    x: int
    y: int


@dataclass
class Pair:
    left: str
    right: str


@pytest.mark.parametrize(
    ("template", "item", "prompt"),
    [
        ("Look at {}.", "this", "Look at this."),
        ("Look at {item}, no. {index}.", "this", "Look at this, no. 0."),
        ("{a} and {b[c]}", {"a": "x", "b": {"c": 1}}, "x and 1"),
        ("{x}/{y}", Point(x=1, y=2), "1/2"),
        ("{left}-{right}", Pair("l", "r"), "l-r"),
        ("{{literal}} {}", "{braces}", "{literal} {braces}"),
        ("{:>5}", 42, "   42"),
    ],
)
async def test_templates_are_filled(template: str, item: Any, prompt: str) -> None:
    """A template takes an item's fields, itself or its number, and leaves the item's own braces alone."""
    stage = Stage()
    async with stage.open() as run:
        await run.map(template, [item])
    assert [attempt.prompt for attempt in stage.executor.attempts] == [prompt]


@pytest.mark.parametrize(
    ("template", "item"),
    [
        ("{nothing}", {"a": 1}),
        ("{nothing}", "text"),
        ("{z}", Point(x=1, y=2)),
        ("{} {}", "one"),
        ("{item.nothing}", "text"),
        ("{item[key]}", [1]),
        ("{item:>9}", [1]),
        ("Give {me this", "text"),
        ("{x:d}", {"x": "text"}),
    ],
)
async def test_templates_that_do_not_fit_are_refused(template: str, item: Any) -> None:
    """A template that wants what the item lacks is refused in words, and no task is added."""
    stage = Stage()
    async with stage.open() as run:
        with pytest.raises(UsageError):
            await run.map(template, [item])
    assert not stage.statuses


async def test_map_with_a_function() -> None:
    """A function makes a prompt, or a whole task, of each item."""
    stage = Stage()
    async with stage.open() as run:
        await run.map(lambda item: f"no. {item}", [1])
        await run.map(lambda item: Task(prompt=f"task {item}", timeout=7.0), [2])
        with pytest.raises(UsageError, match="the function gave int"):
            await run.map(lambda item: item, [3])
    assert [attempt.prompt for attempt in stage.executor.attempts] == ["no. 1", "task 2"]
    assert stage.executor.attempts[1].timeout == 7.0


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (Task(prompt="x", needs=("nobody",)), "needs 'nobody', which is no task of this run"),
        (Task(prompt="x", key="taken"), "task 'taken': this run has a task of that name already"),
        (Task(prompt=" \n"), "prompt: found the text .*, expected what the agent is asked, as text"),
        (Task(prompt=5), "prompt: found the number 5, expected what the agent is asked, as text"),  # type: ignore[arg-type]
        (Task(prompt="x", fresh="yes"), "fresh: found the text 'yes', expected true or false"),  # type: ignore[arg-type]
        (Task(prompt="x", checks="pytest", retries=-1), "checks: .*\n.*retries: found the number -1, expected a whole"),
        (Task(prompt="x", returns=5), "returns: found the number 5"),
        (Task(prompt="x", returns={"type": "nonsense"}), "not a valid JSON schema"),
        (Task(prompt="x", returns="missing.json"), "missing.json"),
        (Task(prompt="x", workspace=5), "workspace: found the number 5"),  # type: ignore[arg-type]
        (Task(prompt="x", workspace="nope"), "workspace: found the text 'nope', expected one of directory, here"),
        (Task(prompt="x", workspace=WorkspaceSpec(kind="worktre")), r"did you mean worktree\?"),
        (Task(prompt="x", needs="taken"), "needs: found the text 'taken', expected a list of ids or handles"),
        (Task(prompt="x", needs=(5,)), "needs: found the number 5, expected the id or handle"),  # type: ignore[arg-type]
        (Task(prompt="x", rehearsal=({"sai": 1},)), r"rehearsal\[0\]: found the text 'sai' \(did you mean say\?\)"),
        (Task(prompt="x", rehearsal={"say": "a"}), "rehearsal: found a mapping, expected a list of steps"),  # type: ignore[arg-type]
    ],
)
async def test_wrong_tasks_are_refused(task: Task, words: str) -> None:
    """A task that cannot run is refused when it is submitted, in words, and leaves no trace."""
    stage = Stage()
    async with stage.open() as run:
        await run.agent("x", key="taken")
        with pytest.raises(UsageError, match=words):
            run.submit(task)
    assert list(stage.statuses) == ["taken"]


async def test_needs_by_id_handle_and_result() -> None:
    """What a task needs is named by its id, by its handle, or by its result."""
    stage = Stage()
    async with stage.open() as run:
        one = run.submit(Task("one"))
        two = run.submit(Task("two", needs=[one]))
        three = run.submit(Task("three", needs=(await two.result(), one.task)))
        assert (await three.result()).ok
    assert [attempt.prompt for attempt in stage.executor.attempts] == ["one", "two", "three"]


async def test_a_batch_is_added_whole_or_not_at_all() -> None:
    """When one name of a batch is taken, none of its tasks is added."""
    stage = Stage()
    async with stage.open() as run:
        await run.agent("x", key="m[1]")
        with pytest.raises(UsageError, match="of that name already"):
            await run.map("{}", [1, 2], key="m")
    assert list(stage.statuses) == ["m[1]"]


class Even(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def check(cls, number: int) -> int:
        if number % 2:
            raise ValueError("odd")
        return number


async def test_returns_gives_a_model() -> None:
    """With a pydantic model the agent is asked for its schema, and the value is an instance."""
    stage = Stage({"a": [Reply(value={"number": 4})]})
    async with stage.open() as run:
        result = await run.agent("x", key="a", returns=Even)
    assert result.value == Even(number=4)
    assert stage.executor.attempts[0].schema == Even.model_json_schema()
    assert stage.of(TaskFinished)[0].result["value"] == {"number": 4}


async def test_a_value_that_the_model_refuses_is_asked_for_again() -> None:
    """A value that fulfils the schema but not the model's own checks goes back to the same session, twice at most."""
    stage = Stage({"a": [Reply(value={"number": 3}), Reply(value={"number": 4})], "b": [Reply(value={"number": 3})]})
    async with stage.open() as run:
        good = await run.agent("x", key="a", returns=Even)
        bad = await run.agent("x", key="b", returns=Even, retries=0)
    assert (good.ok, good.attempts, good.value) == (True, 2, Even(number=4))
    first, second = stage.executor.attempts[:2]
    assert (second.resume, second.otherwise) == (first.session_id, "x")
    assert "odd" in second.prompt
    assert (bad.outcome, bad.attempts, bad.value) == (Outcome.INVALID_OUTPUT, 3, None)
    assert "odd" in (bad.error or "")


async def test_returns_a_schema_from_a_file(tmp_path: Path) -> None:
    """A path to a JSON schema is read; the value stays plain data."""
    (tmp_path / "s.json").write_text('{"type": "object"}')
    stage = Stage({"a": [Reply(value={"x": 1})]})
    async with stage.open() as run:
        result = await run.agent("x", key="a", returns=tmp_path / "s.json")
    assert result.value == {"x": 1}
    assert stage.executor.attempts[0].schema == {"type": "object"}
