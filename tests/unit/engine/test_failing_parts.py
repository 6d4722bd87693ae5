"""A view or a journal that fails."""

# ruff: noqa: PT012 - a run and what is done in it are one thing

import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import anyio
import pytest
from running import Stage

from orchestrator import JournalError, Task, open_run
from orchestrator.events import Event, Record, RunFinished
from orchestrator.journal.memory import MemoryJournal
from orchestrator.task import Attempt
from orchestrator.testing import Reply, ScriptedExecutor

pytestmark = pytest.mark.anyio


class Broken:
    """Fails at the first batch."""

    async def show(self, feed: AsyncIterator[Sequence[Record]]) -> None:
        async for _ in feed:
            raise LookupError("no paper")


class Kept:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def show(self, feed: AsyncIterator[Sequence[Record]]) -> None:
        async for batch in feed:
            self.records.extend(batch)


async def test_a_view_that_raises_does_no_harm(capsys: pytest.CaptureFixture[str]) -> None:
    """The run and the other views go on; what happened to the view is said on stderr."""
    stage, kept = Stage(lambda _: Reply(seconds=1)), Kept()
    async with stage.open(views=[Broken(), kept]) as run:
        results = await run.map("{}", range(5))
    assert all(result.ok for result in results)
    assert [record.event for record in kept.records] == stage.events
    said = capsys.readouterr().err
    assert all(word in said for word in ("the view Broken failed and is off", "LookupError", "no paper"))


async def test_a_view_sees_the_end_of_a_cancelled_run() -> None:
    """A view is shown everything up to RunFinished, also when the run is cancelled from outside."""
    stage, kept = Stage(lambda _: Reply(seconds=1e6)), Kept()
    with anyio.move_on_after(10):
        async with stage.open(views=[kept]) as run:
            await run.agent("x")
    assert [record.event for record in kept.records] == stage.events
    assert isinstance(kept.records[-1].event, RunFinished)


class Fills(MemoryJournal):
    """Has room for so many events."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def append(self, run: str, event: Event) -> None:
        if len(self.records) < self.room:
            super().append(run, event)
        else:
            self.room = -1

    async def flush(self) -> None:
        await super().flush()
        if self.room < 0:
            raise JournalError("the disk is full")


@pytest.mark.parametrize("room", [0, 1, 5, 12, 20])
async def test_a_journal_that_fails_ends_the_run(room: int) -> None:
    """Whenever the journal fails the run ends with that error, with its agents and views."""
    executor = ScriptedExecutor(lambda _: Reply(seconds=5))
    with pytest.raises(JournalError, match="the disk is full"):
        async with open_run(executor=executor, journal=Fills(room), views=[Kept()]) as run:
            for _ in range(20):
                run.submit(Task(prompt="x"))
            await anyio.sleep(3600)
    assert executor.agent.at_once == 0


async def test_nothing_is_paid_that_cannot_be_written_down() -> None:
    """With a journal that fails from the start no agent is asked anything."""
    asked: list[str] = []

    def reply(attempt: Attempt) -> Reply:
        asked.append(attempt.task)
        return Reply()

    with pytest.raises(JournalError, match="the disk is full"):
        async with open_run(executor=ScriptedExecutor(reply), journal=Fills(0)) as run:
            run.submit(Task(prompt="x"))
    assert asked == []


async def test_agents_do_not_work_on_for_a_journal_that_failed() -> None:
    """Agents at work are ended as soon as the journal says that it can keep nothing more, not after their work."""

    class Told(Fills):
        async def watch(self) -> None:
            await anyio.sleep(50)
            raise JournalError("the disk is full")

    executor = ScriptedExecutor(lambda _: Reply(seconds=1e6))
    begun = anyio.current_time()
    with pytest.raises(JournalError, match="the disk is full"):
        async with open_run(executor=executor, journal=Told(100)) as run:
            run.submit(Task(prompt="x"))
    assert anyio.current_time() - begun < 100
    assert executor.agent.at_once == 0


async def test_a_full_disk_ends_the_run(tmp_path: Path) -> None:
    """A SQLite journal that can grow no more ends the run with advice; what was written before is there."""
    path = tmp_path / "journal.db"
    async with open_run("first", executor=ScriptedExecutor(), journal=path) as first:
        await first.agent("x")
    with pytest.raises(JournalError, match="make room on the disk"):
        async with open_run("second", executor=ScriptedExecutor(lambda _: Reply("y" * 100_000)), journal=path) as run:
            run._core._journal._connection.execute("PRAGMA max_page_count = 60")  # type: ignore[attr-defined]
            for _ in range(100):
                await run.agent("x")
    with sqlite3.connect(path) as connection:
        (kept,) = connection.execute("SELECT count(*) FROM events WHERE run = ?", [first.id]).fetchone()
    connection.close()
    assert kept >= 6
