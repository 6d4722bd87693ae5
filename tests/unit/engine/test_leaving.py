"""What a run takes, and how it is left: wrong arguments, interruptions, results that cannot be kept."""

# ruff: noqa: PT012 - a run and what is done in it are one thing

import sys
from typing import Any

import anyio
import pytest
from running import Stage

from orchestrator import Outcome, Status, Task, UsageError, open_run
from orchestrator.events import AttemptFinished, RunFinished, TaskFinished
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_a_script_that_is_interrupted(error: type[BaseException]) -> None:
    """Ctrl-C and `sys.exit` in the block get out, and the journal says that the run was cancelled."""
    stage = Stage(lambda _: Reply(seconds=1e6))
    with pytest.raises(error):
        async with stage.open() as run:
            handle = run.submit(Task("x", key="a"))
            await anyio.sleep(1)
            raise error
    assert stage.of(RunFinished)[0].status == "cancelled"
    assert (await handle.result()).outcome is Outcome.CANCELLED


async def test_a_blocking_function_that_exits() -> None:
    """`sys.exit` in a called function is raised where it was called, and told like any other error."""
    stage = Stage()
    async with stage.open() as run:
        with pytest.raises(SystemExit):
            await run.call(sys.exit, 5, key="leave")
        good = await run.agent("x")
    assert good.ok
    assert stage.of(TaskFinished)[0].result["error"] == "SystemExit: 5"


async def test_a_value_that_cannot_be_written_down() -> None:
    """A number that has no text fails its own call only."""
    stage = Stage()
    async with stage.open() as run:
        with pytest.raises(UsageError, match="its value cannot be written down"):
            await run.call(lambda: 10**5000)
        assert (await run.agent("x")).ok


async def test_cancelled_while_it_waits_for_its_next_attempt() -> None:
    """The attempt has ended once, and the wait is no work."""
    stage = Stage({"a": [Reply("busy", seconds=5, outcome=Outcome.OVERLOADED)]})
    async with stage.open() as run:
        handle = run.submit(Task("x", key="a", retries=3))
        while not stage.of(AttemptFinished):
            await anyio.sleep(0.1)
        handle.cancel()
        result = await handle.result()
    assert (result.outcome, result.duration) == (Outcome.CANCELLED, pytest.approx(5))
    assert [event.outcome for event in stage.of(AttemptFinished)] == [Outcome.OVERLOADED]


async def test_a_loop_that_is_interrupted(tmp_path: Any) -> None:
    """A loop some of whose parts were at work was not cancelled before it started."""
    (tmp_path / "plan.yaml").write_text("tasks: {l: {foreach: [1, 2], prompt: 'x'}}")
    stage = Stage(lambda _: Reply(seconds=1e6), concurrent=1)
    with anyio.move_on_after(5):
        async with stage.open() as run:
            await run.plan(tmp_path / "plan.yaml")
    ends = {event.task: event for event in stage.of(TaskFinished)}
    assert {event.status for event in ends.values()} == {Status.CANCELLED}
    assert ends["l"].result["error"] == ends["l[0]"].result["error"] == "it was cancelled"
    assert ends["l[1]"].result["error"] == "it was cancelled before it started"


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("hello", "found str, expected a Task"),
        (Task("x", retries="2"), "retries: found the text '2', expected a whole number"),  # type: ignore[arg-type]
        (Task("x", retries=-1), "retries: found the number -1, expected a whole number, 0 or more"),
        (Task("x", retries=True), "retries: found true"),
        (Task("x", key=3), "key: found 3, expected 1 to 200 printable characters"),  # type: ignore[arg-type]
        (Task("x", key=""), "key: found ''"),
        (Task("x", key="a\nb"), r"key: found 'a\\nb'"),
        (Task("x", key="k" * 201), "expected 1 to 200"),
    ],
)
async def test_tasks_that_are_none(task: Any, said: str) -> None:
    """What is wrong with a task is said when it is given, and nothing else suffers."""
    async with Stage().open() as run:
        with pytest.raises(UsageError, match=said):
            run.submit(task)
        assert (await run.agent("x")).ok


async def test_arguments_that_are_none() -> None:
    """Limits that are no Limits, and an async function for a thread, are refused."""
    with pytest.raises(UsageError, match="expected Limits, as"):
        async with open_run(limits={"concurrent": 3}):  # type: ignore[arg-type]
            pass
    async with Stage().open() as run:
        with pytest.raises(UsageError, match="it is an async function"):
            await run.call(anyio.sleep, 1)


async def test_an_items_own_fields_come_first() -> None:
    """A mapping's `index` and `item` are what the template means."""
    stage = Stage()
    async with stage.open() as run:
        await run.map("{index} {item}", [{"index": 7, "item": "q"}])
    assert stage.executor.attempts[0].prompt == "7 q"
