"""What a script can do with a run, with scripted agents and a clock that jumps."""

import threading
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from running import Stage, wait_forever

from orchestrator import Agent, Outcome, Status, Task, open_run
from orchestrator.events import AttemptFinished, AttemptStarted, RunFinished, RunStarted, TaskFinished
from orchestrator.task import Attempt
from orchestrator.testing import Reply, ScriptedExecutor

pytestmark = pytest.mark.anyio


def by_prompt(attempt: Attempt) -> Reply:
    """`3` works for three seconds and says `3!`."""
    return Reply(f"{attempt.prompt}!", seconds=float(attempt.prompt))


async def test_an_agent_answers() -> None:
    """`agent` gives what the agent said, with the seconds, costs and turns it took."""
    stage = Stage({"agent-1": [Reply("hello", seconds=90, cost_usd=0.5, turns=2)]})
    async with stage.open() as run:
        result = await run.agent("Say hello.")
    assert (result.task, result.ok, result.text, result.turns, result.attempts) == ("agent-1", True, "hello", 2, 1)
    assert (result.cost_usd, result.duration) == (0.5, pytest.approx(90))
    assert stage.of(RunFinished)[0].status == "done"


async def test_the_journal_tells_all_in_order() -> None:
    """A run's journal begins with its start, ends with its end, and has each step of a task between."""
    stage = Stage()
    async with stage.open() as run:
        await run.agent("x", key="a")
    kinds = [type(event).__name__ for event in stage.events]
    assert [kind for kind in kinds if kind != "AgentMessage"] == [
        *("RunStarted", "TaskAdded", "AttemptStarted", "AttemptFinished", "TaskFinished", "RunFinished")
    ]
    assert stage.of(AttemptStarted)[0].session_id == stage.executor.attempts[0].session_id
    assert {record.run for record in stage.journal.records} == {run.id}


async def test_map_keeps_the_items_order() -> None:
    """Results come in the order of the items, whichever ends first."""
    async with Stage(by_prompt).open() as run:
        results = await run.map("{}", [3, 1, 2])
    assert [result.text for result in results] == ["3!", "1!", "2!"]


async def test_map_of_nothing() -> None:
    """No items, no tasks, no results."""
    stage = Stage()
    async with stage.open() as run:
        assert await run.map("{}", []) == []
    assert stage.of(RunFinished)[0].status == "done"


async def test_as_completed_gives_the_first_first() -> None:
    """The stream gives results in the order in which they end."""
    async with Stage(by_prompt).open() as run, run.as_completed("{}", [3, 1, 2]) as stream:
        assert [result.text async for result in stream] == ["1!", "2!", "3!"]


async def test_as_completed_of_nothing() -> None:
    """Without items the stream ends at once."""
    async with Stage().open() as run, run.as_completed("{}", []) as stream:
        assert [result async for result in stream] == []


async def test_leaving_as_completed_cancels_the_rest() -> None:
    """Whoever takes the first result and leaves has the others cancelled: those that run and those that wait."""
    stage = Stage(by_prompt, concurrent=2)
    async with stage.open() as run:
        async with run.as_completed("{}", [1, 500, 501, 502], key="t") as stream:
            first = await anext(stream)
        begun = anyio.current_time()
    assert first.text == "1!"
    assert anyio.current_time() - begun < 1
    assert list(stage.statuses.values()) == [Status.DONE, Status.CANCELLED, Status.CANCELLED, Status.CANCELLED]


async def test_an_exception_in_as_completed_comes_out_as_it_is() -> None:
    """What the block raises is raised, not a group of it, and the tasks are cancelled."""
    stage = Stage(wait_forever)
    with pytest.raises(LookupError, match="mine"):
        async with stage.open() as run, run.as_completed("{}", [1, 2]):
            raise LookupError("mine")
    assert set(stage.statuses.values()) == {Status.CANCELLED}


@pytest.mark.parametrize("width", [1, 3, 50])
async def test_width(width: int) -> None:
    """As many run at once as allowed, no more and no fewer, and the time is what that takes."""
    stage = Stage(lambda _: Reply(seconds=10), concurrent=width)
    async with stage.open() as run:
        begun = anyio.current_time()
        await run.map("{}", range(50))
        took = anyio.current_time() - begun
    assert stage.executor.most_at_once == width
    assert took == pytest.approx(10 * -(-50 // width), rel=0.01)


async def test_needs_are_waited_for() -> None:
    """A task starts after those that it names, as an id, a handle or a result."""
    stage = Stage(lambda attempt: Reply(seconds=5.0 if attempt.task == "slow" else 1.0))
    async with stage.open() as run:
        quick = await run.agent("x", key="quick")
        slow = run.submit(Task(prompt="x", key="slow"))
        await run.agent("x", key="last", needs=[quick, slow, "quick"])
    order = [(type(event).__name__, event.task) for event in stage.events if hasattr(event, "task")]
    assert order.index(("TaskFinished", "slow")) < order.index(("AttemptStarted", "last"))


async def test_a_failed_need_skips() -> None:
    """A task whose need failed is skipped and says why; the run counts as failed, and nothing is raised."""
    stage = Stage({"a": [Reply("no key", outcome=Outcome.AUTH)]})
    async with stage.open() as run:
        bad = run.submit(Task(prompt="x", key="a"))
        result = await run.agent("x", key="b", needs=[bad])
    assert (result.outcome, result.error) == (Outcome.SKIPPED, "it needs a, which is failed")
    assert stage.statuses == {"a": Status.FAILED, "b": Status.SKIPPED}
    assert stage.of(RunFinished)[0].status == "failed"
    assert stage.asked == ["a"]


async def test_retries_wait_and_add_up() -> None:
    """An attempt that can be mended is made again after its wait; the result has the sums of all attempts."""
    bad = Reply("busy", outcome=Outcome.OVERLOADED, cost_usd=0.25, seconds=3600)
    stage = Stage({"a": [bad, bad, Reply("done", cost_usd=0.5, seconds=1, turns=2)]})
    async with stage.open() as run:
        begun = anyio.current_time()
        result = await run.agent("x", key="a", retries=2)
        took = anyio.current_time() - begun
    assert (result.ok, result.text, result.attempts, result.cost_usd, result.turns) == (True, "done", 3, 1.0, 4)
    assert result.duration == pytest.approx(7201)
    assert took == pytest.approx(7201 + 5 + 10, abs=1)
    assert [event.retry_in for event in stage.of(AttemptFinished)] == [5.0, 10.0, None]
    assert len({event.session_id for event in stage.of(AttemptStarted)}) == 3


async def test_retries_end() -> None:
    """After the last allowed attempt the last failure is the result."""
    stage = Stage(lambda attempt: Reply(f"try {attempt.number}", outcome=Outcome.CRASHED))
    async with stage.open() as run:
        result = await run.agent("x", retries=2)
    assert (result.outcome, result.error, result.attempts) == (Outcome.CRASHED, "try 3", 3)


async def test_what_cannot_be_mended_is_not_tried_again() -> None:
    """A wrong key is not tried twice."""
    stage = Stage(lambda _: Reply(outcome=Outcome.AUTH))
    async with stage.open() as run:
        await run.agent("x", retries=5)
    assert len(stage.executor.attempts) == 1


async def test_a_timeout_ends_an_attempt() -> None:
    """`timeout` is a limit for each attempt, given in words too."""
    stage = Stage(wait_forever)
    async with stage.open() as run:
        result = await run.agent("x", timeout="10m", retries=1)
    assert (result.outcome, result.attempts, result.duration) == (Outcome.TIMEOUT, 2, pytest.approx(1200))


async def test_call_gives_the_value() -> None:
    """A blocking function runs in a thread, beside a full house, and gives what it returns; it is in the journal."""
    stage = Stage(lambda _: Reply(seconds=5), concurrent=1)
    async with stage.open() as run:
        run.submit(Task(prompt="x"))
        where = await run.call(threading.current_thread, key="where")
        assert await run.call(lambda a, b: [a, b], 1, b=2) == [1, 2]
    assert where is not threading.current_thread()
    assert stage.statuses["where"] is Status.DONE
    assert stage.of(TaskFinished, "lambda-1")[0].result["value"] == [1, 2]


async def test_call_raises_what_the_function_raises() -> None:
    """The function's own exception comes out; the journal has the task as failed, and the run goes on."""
    stage = Stage()

    def broken() -> None:
        raise LookupError("mine")

    async with stage.open() as run:
        with pytest.raises(LookupError, match="mine"):
            await run.call(broken)
        assert (await run.agent("x")).ok
    assert stage.of(TaskFinished, "broken-1")[0].result["error"] == "LookupError: mine"


async def test_a_spent_budget_stops_launches() -> None:
    """Once the run's money is spent nothing new starts; what waited is cancelled and says why."""
    stage = Stage(lambda _: Reply(cost_usd=0.5, seconds=1), concurrent=1, usd=1.0)
    async with stage.open() as run:
        results = await run.map("{}", range(5))
    assert [result.outcome for result in results] == [Outcome.OK, Outcome.OK, *[Outcome.BUDGET] * 3]
    assert results[-1].error == "the run's budget of 1 USD is spent (1 USD so far): resume it with more, as --usd 2"
    assert len(stage.executor.attempts) == 2
    assert run.report().status == "failed"


async def test_an_attempt_may_spend_what_is_left() -> None:
    """An agent is given most of what the run has left, or its own limit if that is lower."""
    stage = Stage(lambda _: Reply(cost_usd=0.25), concurrent=1, usd=1.0)
    async with stage.open() as run:
        await run.agent("x")
        await run.agent("x")
        await run.agent("x", agent=Agent(usd=0.1))
    assert [attempt.agent.usd for attempt in stage.executor.attempts] == [1.0, 0.63, 0.1]


async def test_a_spent_budget_stops_retries() -> None:
    """Once the run's money is spent, a failed attempt is not made again."""
    stage = Stage(lambda _: Reply(cost_usd=1.0, outcome=Outcome.CRASHED), usd=1.0)
    async with stage.open() as run:
        result = await run.agent("x", retries=3)
    assert result.attempts == 1


@pytest.mark.parametrize("text", ["\ud800 half a character", "\x00", "x" * 3_000_000], ids=["surrogate", "nul", "long"])
@pytest.mark.parametrize("journal", ["memory", "sqlite"])
async def test_whatever_an_agent_says_is_kept(text: str, journal: str, tmp_path: Path) -> None:
    """Odd text does no harm to the run or its journal."""
    place: Any = "memory" if journal == "memory" else tmp_path / "journal.db"
    with anyio.fail_after(3600):
        async with open_run(executor=ScriptedExecutor(lambda _: Reply(text)), journal=place) as run:
            assert (await run.agent("x")).ok
    assert run.report().ok


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), {1: 2}, {"x", 1}, object], ids=["nan", "inf", "numbered", "set", "class"]
)
@pytest.mark.parametrize("journal", ["memory", "sqlite"])
async def test_whatever_a_function_returns_is_kept(value: Any, journal: str, tmp_path: Path) -> None:
    """A value that JSON does not know does no harm to the run or its journal."""
    place: Any = "memory" if journal == "memory" else tmp_path / "journal.db"
    with anyio.fail_after(3600):
        async with open_run(executor=ScriptedExecutor(), journal=place) as run:
            assert await run.call(lambda: value) is value
    assert run.report().ok


async def test_two_thousand_tasks() -> None:
    """Two thousand tasks, each after the one ten before it, complete, each after its need, and in little time."""
    stage = Stage(lambda _: Reply(seconds=1), concurrent=10)
    begun = time.process_time()  # not the clock on the wall: others may be at work here
    async with stage.open() as run:
        for number in range(2000):
            run.submit(Task(prompt="x", key=str(number), needs=(str(number - 10),) if number >= 10 else ()))
    assert run.report().succeeded == 2000
    assert stage.executor.most_at_once == 10
    place = {task: index for index, task in enumerate(stage.asked)}
    assert all(place[str(number)] > place[str(number - 10)] for number in range(10, 2000))
    assert time.process_time() - begun < 20


async def test_keys_are_counted() -> None:
    """Tasks without a key are called after what made them, past names that are taken."""
    stage = Stage()
    async with stage.open() as run:
        await run.agent("x", key="agent-2")
        await run.agent("x")
        await run.agent("x")
        await run.map("{}", [1])
        await run.map("{}", [1], key="mine")
    assert stage.asked == ["agent-2", "agent-1", "agent-3", "map-1[0]", "mine[0]"]


async def test_what_the_run_gives_to_its_tasks(tmp_path: Path) -> None:
    """A run's agent and workspace are those of tasks that name none; relative paths are relative to its directory."""
    for words in ("init --quiet", "commit --quiet --allow-empty --message first"):
        await anyio.run_process(["git", *words.split()], cwd=tmp_path)
    stage = Stage()
    async with stage.open(agent=Agent(model="sonnet"), workspace="worktree", directory=tmp_path) as run:
        await run.agent("x")
        await run.agent("x", agent=Agent(model="opus"), workspace="./sub")
        await run.agent("x", workspace="directory")
    first, second, third = stage.executor.attempts
    assert (first.agent.model, first.workspace.kind, first.workspace.path) == ("sonnet", "worktree", str(tmp_path))
    assert (second.agent.model, second.workspace.kind) == ("opus", "here")
    assert Path(second.workspace.path or "") == tmp_path / "sub"
    assert (third.workspace.kind, third.workspace.path) == ("directory", None)


async def test_the_run_says_what_it_is(tmp_path: Path) -> None:
    """The first event has the run's name, limits, directory and process; the id begins with the name."""
    stage = Stage(concurrent=7, usd=2.5)
    async with stage.open(directory=tmp_path) as run:
        assert run.report().status == "running"
    begun: RunStarted = stage.of(RunStarted)[0]
    assert (begun.name, begun.concurrent, begun.usd, begun.directory) == ("test", 7, 2.5, str(tmp_path))
    assert run.id.startswith("test-")
    assert run.report().status == "done"
