"""Ways in which tasks and runs are stopped before their end."""

# ruff: noqa: PT012 - a run and what is done in it are one thing

from typing import Any

import anyio
import pytest
from running import Stage, wait_forever

from orchestrator import Outcome, Status, Task, TaskFailed, UsageError
from orchestrator.events import AttemptStarted, RunFinished, TaskFinished
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio


async def test_fail_fast() -> None:
    """Under `fail_fast` the first failure cancels the rest and is raised with the task's name and its cause."""
    stage = Stage({"bad": [Reply("no key", outcome=Outcome.AUTH, seconds=5)], "long": [Reply(seconds=1e6)]})
    with pytest.raises(TaskFailed, match="task 'bad': auth: no key"):
        async with stage.open(fail_fast=True) as run:
            run.submit(Task(prompt="x", key="long"))
            run.submit(Task(prompt="x", key="bad"))
            run.submit(Task(prompt="x", key="after", needs=("long",)))
    assert stage.statuses == {"long": Status.CANCELLED, "bad": Status.FAILED, "after": Status.CANCELLED}
    assert stage.of(RunFinished)[0].status == "failed"


async def test_fail_fast_reaches_who_waits() -> None:
    """The block that awaits a result under `fail_fast` is left with TaskFailed, not with a cancellation."""
    with pytest.raises(TaskFailed):
        async with Stage({"agent-1": [Reply(outcome=Outcome.AUTH)]}).open(fail_fast=True) as run:
            await run.agent("x")
            raise AssertionError("the block went on")


async def test_without_fail_fast_others_go_on() -> None:
    """A failure is a result, and the others end as they would."""
    stage = Stage({"map-1[0]": [Reply(outcome=Outcome.AUTH)]})
    async with stage.open() as run:
        results = await run.map("{}", [1, 2, 3])
    assert [result.ok for result in results] == [False, True, True]
    report = run.report()
    assert (report.status, report.succeeded, report.failed) == ("failed", 2, 1)


async def test_cancelling_a_running_task() -> None:
    """`cancel` ends a task at work, and what needs it is skipped."""
    stage = Stage(wait_forever)
    async with stage.open() as run:
        handle = run.submit(Task(prompt="x", key="a"))
        after = run.submit(Task(prompt="x", key="b", needs=("a",)))
        await anyio.sleep(1)
        handle.cancel()
        result = await handle.result()
        assert (await after.result()).outcome is Outcome.SKIPPED
    assert result.outcome is Outcome.CANCELLED
    assert stage.executor.agent.at_once == 0


async def test_cancelling_a_task_at_once() -> None:
    """`cancel` right after `submit` ends the task too."""
    stage = Stage(lambda _: Reply(seconds=1e6))
    async with stage.open() as run:
        handle = run.submit(Task(prompt="x", key="a", timeout=100.0, retries=0))
        handle.cancel()
        assert (await handle.result()).outcome is Outcome.CANCELLED


async def test_cancelling_a_waiting_task() -> None:
    """`cancel` keeps a task that waits for a place, or for a need, from ever starting."""
    stage = Stage(lambda _: Reply(seconds=10), concurrent=1)
    async with stage.open() as run:
        run.submit(Task(prompt="x", key="a"))
        for_place = run.submit(Task(prompt="x", key="b"))
        for_need = run.submit(Task(prompt="x", key="c", needs=("a",)))
        await anyio.sleep(1)
        for_place.cancel()
        for_need.cancel()
        assert (await for_place.result()).outcome is Outcome.CANCELLED
        assert (await for_need.result()).outcome is Outcome.CANCELLED
    assert stage.asked == ["a"]


async def test_a_task_cancelled_while_a_place_becomes_free_does_not_start() -> None:
    """A task that is cancelled in the same moment in which its turn comes is not started."""
    stage = Stage(lambda attempt: Reply(seconds=10 if attempt.task == "a" else 1e6), concurrent=1)
    async with stage.open() as run:
        first = run.submit(Task(prompt="x", key="a"))
        second = run.submit(Task(prompt="x", key="b", timeout=100.0, retries=0))
        await anyio.sleep(1)
        second.cancel()
        first.cancel()
        await second.result()
        await first.result()
    assert stage.asked == ["a"]
    assert len(stage.of(TaskFinished, "b")) == 1
    assert not stage.of(AttemptStarted, "b")


async def test_cancelling_what_has_ended_changes_nothing() -> None:
    """`cancel` after the end leaves the result as it is."""
    stage = Stage()
    async with stage.open() as run:
        handle = run.submit(Task(prompt="x", key="a"))
        result = await handle.result()
        handle.cancel()
        assert await handle.result() is result
    assert len(stage.of(TaskFinished)) == 1


async def test_a_cancelled_task_keeps_its_costs() -> None:
    """What earlier attempts have cost is in the result of a task that is cancelled while it waits for the next."""
    stage = Stage(lambda _: Reply(outcome=Outcome.RATE_LIMITED, cost_usd=0.5))
    async with stage.open() as run:
        handle = run.submit(Task(prompt="x", key="a"))
        await anyio.sleep(5)
        handle.cancel()
        assert (await handle.result()).cost_usd == 0.5
    assert run.report().cost_usd == stage.state.cost_usd


async def test_an_exception_in_the_block() -> None:
    """What the block raises comes out as it is; what ran or waited is cancelled, and the run has crashed."""
    stage = Stage(wait_forever, concurrent=1)
    with pytest.raises(LookupError, match="mine"):
        async with stage.open() as run:
            run.submit(Task(prompt="x", key="a"))
            run.submit(Task(prompt="x", key="b"))
            await anyio.sleep(1)
            raise LookupError("mine")
    assert stage.statuses == {"a": Status.CANCELLED, "b": Status.CANCELLED}
    assert stage.of(RunFinished)[0].status == "crashed"
    assert stage.executor.agent.at_once == 0


async def test_cancellation_from_outside() -> None:
    """Cancelling the block ends its agents; the run and its tasks are journaled as cancelled."""
    stage = Stage(wait_forever)
    with anyio.move_on_after(3600) as scope:
        async with stage.open() as run:
            await run.map("{}", [1, 2, 3])
    assert scope.cancelled_caught
    assert set(stage.statuses.values()) == {Status.CANCELLED}
    assert stage.of(RunFinished)[0].status == "cancelled"
    assert stage.of(RunFinished)[0].wall == pytest.approx(3600)


async def test_whoever_stops_waiting_stops_the_task() -> None:
    """A wait that times out cancels its task, and the run goes on."""
    stage = Stage({"long": [Reply(seconds=1e6)]})
    async with stage.open() as run:
        with anyio.move_on_after(60) as scope:
            await run.agent("x", key="long")
        assert scope.cancelled_caught
        assert (await run.agent("x", key="next")).ok
    assert stage.statuses == {"long": Status.CANCELLED, "next": Status.DONE}


async def test_a_task_submitted_in_a_cancelled_scope_starts() -> None:
    """A task belongs to the run, not to the scope in which it was submitted."""
    async with Stage().open() as run:
        with anyio.CancelScope() as scope:
            scope.cancel()
            handle = run.submit(Task(prompt="x"))
        with anyio.move_on_after(100):
            assert (await handle.result()).ok
            return
    raise AssertionError("the task never started")


async def test_a_waiter_outside_learns_of_a_cancelled_run() -> None:
    """Who waits for a result in a task of their own gets one, however the run ends."""
    stage = Stage({"bad": [Reply(outcome=Outcome.AUTH, seconds=5)], "long": [Reply(seconds=1e6)]})
    got: list[Outcome] = []

    async def wait(handle: Any) -> None:
        got.append((await handle.result()).outcome)

    with anyio.move_on_after(100):
        async with anyio.create_task_group() as group:
            with pytest.raises(TaskFailed):
                async with stage.open(fail_fast=True) as run:
                    group.start_soon(wait, run.submit(Task(prompt="x", key="long")))
                    run.submit(Task(prompt="x", key="bad"))
    assert got == [Outcome.CANCELLED]


async def test_nothing_can_be_submitted_after_the_end() -> None:
    """A run that has ended refuses tasks in words."""
    stage = Stage()
    async with stage.open() as run:
        pass
    with pytest.raises(UsageError, match="ended"):
        run.submit(Task(prompt="x"))
    assert isinstance(stage.events[-1], RunFinished)
