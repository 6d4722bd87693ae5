"""What the executor is told of tasks for which there is no place yet."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from running import Stage

from orchestrator import Agent, Limits, Task
from orchestrator.engine import readying
from orchestrator.task import Attempt, Outcome
from orchestrator.testing import Reply, ScriptedExecutor

pytestmark = pytest.mark.anyio


class Ready(ScriptedExecutor):
    """Keeps what it is told to expect."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.expected: list[Attempt] = []

    def expect(self, attempt: Attempt) -> None:
        assert attempt.task not in [each.task for each in self.attempts], "it is at work already"
        self.expected.append(attempt)

    @property
    def names(self) -> list[str]:
        return [attempt.task for attempt in self.expected]


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as are told of at a time, on any machine."""
    monkeypatch.setattr(readying, "cores", lambda: 2)


def ten_seconds(_: Attempt) -> Reply:
    return Reply(seconds=10.0)


async def test_the_next_ones() -> None:
    """While all places are taken the next two are told of, each once, and as they are then run."""
    stage, executor = Stage(concurrent=2), Ready(ten_seconds)
    async with stage.open(executor=executor) as run:
        await run.map("Do {}", range(6), agent=Agent(model="haiku"), fresh=True)
    asked = {attempt.task: (attempt.prompt, attempt.agent, attempt.fresh) for attempt in executor.attempts}
    assert sorted(executor.names) == sorted(asked)[2:]
    assert all((each.prompt, each.agent, each.fresh) == asked[each.task] for each in executor.expected)
    assert not {each.session_id for each in executor.expected} & {each.session_id for each in executor.attempts}


async def test_nothing_while_there_is_a_place() -> None:
    """Tasks that start at once need nothing made ready."""
    stage, executor = Stage(concurrent=6), Ready(ten_seconds)
    async with stage.open(executor=executor) as run:
        await run.map("Do {}", range(6))
    assert not executor.expected


async def test_one_that_is_added_later() -> None:
    """A task that comes while all places are taken is told of as well."""
    stage, executor = Stage(concurrent=1), Ready(ten_seconds)
    async with stage.open(executor=executor) as run:
        run.submit(Task("One", key="one"))
        await anyio.sleep(5.0)
        assert not executor.expected
        run.submit(Task("Two", key="two"))
        await anyio.sleep(1.0)
        assert executor.names == ["two"]


async def test_not_before_its_needs_are_met() -> None:
    """What a task asks is known only then."""
    stage, executor = Stage(concurrent=2), Ready(lambda attempt: Reply(seconds=1.0 if attempt.task == "one" else 10.0))
    async with stage.open(executor=executor) as run:
        run.submit(Task("One", key="one"))
        for key in ("two", "three"):
            run.submit(Task("Else", key=key))
        run.submit(Task("Last", key="last", needs=["one"]))
        await anyio.sleep(0.5)
        assert executor.names == ["three"]
    assert executor.names == ["three", "last"]


async def test_what_goes_on_with_a_session_is_not_told() -> None:
    """Its process is told of the session when it starts."""
    stage, executor = Stage(concurrent=1), Ready(ten_seconds)
    async with stage.open(executor=executor) as run:
        first = await run.agent("One")
        run.submit(Task("Two"))
        assert (await run.resume(first, "Three")).ok
    assert not executor.expected


async def test_what_may_not_start_is_not_told() -> None:
    """A process for a task that the budget will refuse would be in vain."""
    stage, executor = Stage(), Ready(lambda _: Reply(seconds=10.0, cost_usd=1.0))
    limits = Limits(concurrent=1, turns=2)
    async with stage.open(executor=executor, limits=limits) as run:
        results = await run.map("Do {}", range(4))
    refused = [result.task for result in results if result.outcome is Outcome.BUDGET]
    assert refused
    assert not set(executor.names) & set(refused)


async def test_with_a_budget_of_money() -> None:
    """What an agent may spend is granted when it starts, and its process is told when that starts: none is ahead."""
    stage, executor = Stage(), Ready(lambda _: Reply(seconds=10.0, cost_usd=0.1))
    async with stage.open(executor=executor, limits=Limits(concurrent=2, usd=100.0)) as run:
        await run.map("Do {}", range(6))
    assert len(executor.attempts) == 6
    assert not executor.expected


async def test_what_is_done_already_is_not_told(tmp_path: Path) -> None:
    """While it is looked up what tasks are others wait for places, though there will be nothing to do."""
    (given := tmp_path / "given").write_text("It.")
    tasks = [Task(f"Do {number}", key=f"t{number}", inputs=[str(given)]) for number in range(6)]
    stage, executor = Stage(concurrent=2), Ready(ten_seconds)
    for before in (None, 0):
        executor.expected.clear()
        async with stage.open(executor=executor, run=before if before is None else stage.runs[before]) as run:
            for task in tasks:
                run.submit(task)
    assert len(executor.attempts) == len(tasks)
    assert not executor.expected


async def test_the_cores_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """To count them takes as long as all else that a task is told of by."""
    asked: list[int] = []
    monkeypatch.setattr(readying, "cores", lambda: asked.append(1) or 2)
    async with Stage(concurrent=2).open(executor=Ready(ten_seconds)) as run:
        await run.map("Do {}", range(6))
    assert len(asked) == 1
