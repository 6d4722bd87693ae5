"""Places that agents lend while they wait: never more at work than there are places, and nobody waits for ever."""

import anyio
import pytest
from colleagues import SPAWNS, TALKS, add, most_at_work, stage
from running import Stage

from orchestrator import Outcome, Status
from orchestrator.engine.lending import Lending
from orchestrator.events import AttemptStarted, TaskFinished, TaskWaits
from orchestrator.protocols import CallTool
from orchestrator.state import RunState
from orchestrator.task import Attempt
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio


async def test_whoever_comes_back_is_next() -> None:
    """A place that is given back is taken at once, not by the next task in the queue before its agent is awake."""

    async def boss(call: CallTool) -> None:
        await call("read_messages", {"wait_s": 1})

    story = stage(1, boss=boss, **{f"t{number}": Reply(seconds=50) for number in range(5)})
    async with story.open() as run:
        add(run, "boss")
        for number in range(5):
            add(run, f"t{number}")
    assert [event.task for event in story.of(TaskFinished)][:2] == ["t0", "boss"]
    assert most_at_work(story) == 1


async def test_an_agent_that_dies_while_it_waits() -> None:
    """Its next attempt begins once there is a place for it: another may be at work in the one that it had lent."""

    async def boss(call: CallTool) -> None:
        await call("spawn_task", {"name": "x", "prompt": "x"})
        with anyio.move_on_after(5):
            await call("await_tasks", {})

    def script(attempt: Attempt) -> Reply:
        if attempt.task == "boss.x":
            return Reply(seconds=100)
        dies = attempt.number == 1
        return Reply(seconds=5, act=boss if dies else None, outcome=Outcome.CRASHED if dies else Outcome.OK)

    story = Stage(script, 1)
    async with story.open() as run:
        add(run, "boss", SPAWNS, retries=1)
    assert set(story.statuses.values()) == {Status.DONE}
    turns = [event for event in story.events if isinstance(event, AttemptStarted | TaskFinished)]
    assert [event.task for event in turns] == ["boss", "boss.x", "boss.x", "boss", "boss"]


async def test_a_call_that_is_broken_off_ends_its_wait() -> None:
    """An agent whose call is interrupted while it waits, and that goes on, waits no more: the journal says so."""

    async def boss(call: CallTool) -> None:
        await call("spawn_task", {"name": "x", "prompt": "x"})
        with anyio.move_on_after(5):
            await call("await_tasks", {})
        await anyio.sleep(20)

    story = stage(2, boss=boss, boss__x=Reply(seconds=100))
    async with story.open() as run:
        add(run, "boss", SPAWNS)
    assert set(story.statuses.values()) == {Status.DONE}
    assert [event.waits_for for event in story.of(TaskWaits, "boss")] == ["boss.x", None]


async def test_an_agent_whose_call_is_broken_off_is_at_work() -> None:
    """It goes on beside the one that has its place; nobody else is started until one of them has ended."""

    async def boss(call: CallTool) -> None:
        with anyio.move_on_after(5):
            await call("read_messages", {"wait_s": 600})
        await anyio.sleep(100)

    story = stage(1, boss=boss, x=Reply(seconds=10), y=Reply(seconds=10))
    async with story.open() as run:
        add(run, "boss")
        add(run, "x")
        add(run, "y")
    assert [event.task for event in story.of(TaskFinished)] == ["x", "boss", "y"]


@pytest.mark.parametrize("width", [1, 2])
async def test_two_waits_of_one_agent(width: int) -> None:
    """An agent that waits for two things at once lends one place, and has it back once both have come."""

    async def boss(call: CallTool) -> None:
        await call("spawn_task", {"name": "x", "prompt": "x"})
        async with anyio.create_task_group() as group:
            group.start_soon(call, "read_messages", {"wait_s": 1})
            group.start_soon(call, "await_tasks", {})

    story = stage(width, boss=boss, boss__x=Reply(seconds=30), other=Reply(seconds=10))
    async with story.open() as run:
        add(run, "boss", TALKS.model_copy(update={"spawn": SPAWNS.spawn}))
        add(run, "other")
    assert set(story.statuses.values()) == {Status.DONE}
    assert most_at_work(story) <= width + 1  # the first of its waits is told to be over


async def test_a_place_that_is_held_to_look_something_up() -> None:
    """Nobody takes a place back that a task holds while it is looked up what it is."""
    lending, back = Lending(RunState(), 1, lambda: None), anyio.Event()
    lending.state.places = 1

    async def agent() -> None:
        async with lending.lent("boss"):
            lending.looking = 1
        back.set()

    async with anyio.create_task_group() as group:
        group.start_soon(agent)
        await anyio.wait_all_tasks_blocked()
        lending.give_back()
        await anyio.wait_all_tasks_blocked()
        assert not back.is_set()
        lending.looking = 0
        lending.give_back()
        await back.wait()
