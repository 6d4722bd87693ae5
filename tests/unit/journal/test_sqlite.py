"""The journal on disk: other processes, old and damaged files, full disks."""

# ruff: noqa: PT012 - a journal and what is done with it are one thing

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from elsewhere import added, output, python

from orchestrator.errors import JournalError
from orchestrator.events import RunFinished, TaskFinished
from orchestrator.journal import database
from orchestrator.journal.sqlite import SqliteJournal, open_sqlite
from orchestrator.task import Outcome, Result
from orchestrator.testing.samples import finished, run_started, sample_events

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "journal.db"


async def test_a_result_is_on_disk_before_flush_returns(path: Path) -> None:
    """A process that opens the file right after `flush` finds the result."""
    count = "SELECT count(*) FROM events WHERE kind = 'TaskFinished'"
    code = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])"
    async with open_sqlite(path) as journal:
        for number in range(1, 4):
            journal.append("r", finished(Result(task="t", outcome=Outcome.OK), "done"))
            await journal.flush()
            assert await to_thread.run_sync(output, python(code, path, count)) == str(number)


async def test_results_are_written_past_the_cache(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch with a result in it is written with `synchronous=FULL`; one without is not."""
    written: list[tuple[str, bool]] = []
    write = database.write

    def spy(connection: Any, path: Path, rows: Any, durable: bool) -> None:
        write(connection, path, rows, durable)
        level = connection.execute("PRAGMA synchronous").fetchone()[0]
        written.extend((kind, level == 2) for _, _, kind, _ in rows)

    monkeypatch.setattr(database, "write", spy)
    async with open_sqlite(path) as journal:
        for event in (added("a"), finished(Result(task="a", outcome=Outcome.OK), "done"), added("b")):
            journal.append("r", event)
            await journal.flush()
    assert written == [("TaskAdded", False), ("TaskFinished", True), ("TaskAdded", False)]


async def test_another_process_follows_while_it_is_written(path: Path) -> None:
    """A follower elsewhere sees the events of a run that is still going on, and ends with it."""
    follow = """
        import sys, anyio
        from pathlib import Path
        from orchestrator.journal.sqlite import SqliteJournal
        async def main():
            async for batch in SqliteJournal(Path(sys.argv[1])).follow("r"):
                for record in batch:
                    print(getattr(record.event, "task", "end"), flush=True)
        anyio.run(main)
    """
    async with open_sqlite(path) as journal:
        journal.append("r", added("first"))
        await journal.flush()
        with python(follow, path) as process:
            assert process.stdout is not None
            assert await to_thread.run_sync(process.stdout.readline) == "first\n"
            journal.append("r", added("second"))
            await journal.flush()
            assert await to_thread.run_sync(process.stdout.readline) == "second\n"
            journal.append("r", RunFinished(status="done", wall=1.0))
            await journal.flush()
            assert await to_thread.run_sync(output, process) == "end"


async def test_two_processes_write_at_once(path: Path) -> None:
    """Two writers in two processes that share a file lose nothing, and each run keeps its order."""
    write = """
        import sys, anyio
        from pathlib import Path
        from orchestrator.events import TaskAdded
        from orchestrator.journal.sqlite import open_sqlite
        async def main(path, run):
            async with open_sqlite(Path(path)) as journal:
                for number in range(500):
                    journal.append(run, TaskAdded(task=str(number), title="t", task_kind="agent"))
                    if number % 5 == 0:
                        await journal.flush()
        anyio.run(main, *sys.argv[1:])
    """
    for process in [python(write, path, run) for run in ("one", "two")]:
        await to_thread.run_sync(output, process)
    for run in ("one", "two"):
        records = await SqliteJournal(path).read(run)
        assert [record.event.task for record in records] == [str(number) for number in range(500)]  # type: ignore[attr-defined]


async def test_many_events_keep_their_order(path: Path) -> None:
    """Twenty thousand events come back in the order in which they were appended, read as a whole or followed."""
    async with open_sqlite(path) as journal:
        for number in range(20_000):
            journal.append("r", added(str(number)))
        journal.append("r", RunFinished(status="done", wall=1.0))
        await journal.flush()
        followed = [record async for batch in journal.follow("r") for record in batch]
        assert followed == list(await journal.read("r"))
    assert [record.event.task for record in followed[:-1]] == [str(number) for number in range(20_000)]  # type: ignore[attr-defined]


async def test_leaving_writes_what_was_appended(path: Path) -> None:
    """Without a flush, with an exception and when cancelled: on leaving, all is on disk."""
    with pytest.raises(LookupError):
        async with open_sqlite(path) as journal:
            journal.append("r", added("a"))
            raise LookupError
    with anyio.CancelScope() as scope:
        async with open_sqlite(path) as journal:
            journal.append("r", added("b"))
            scope.cancel()
            await anyio.sleep_forever()
    assert [record.event.task for record in await SqliteJournal(path).read("r")] == ["a", "b"]  # type: ignore[attr-defined]


async def test_an_unknown_kind_of_event_is_told(path: Path) -> None:
    """An event of a kind that only a newer version knows is an error in words."""
    async with open_sqlite(path) as journal:
        await journal.flush()
        connection = sqlite3.connect(path)
        connection.execute("INSERT INTO events (at, run, kind, data) VALUES (1.0, 'r', 'Tomorrow', '{}')")
        connection.commit()
        connection.close()
        with pytest.raises(JournalError, match="'Tomorrow', which this version does not know: install a newer one"):
            await journal.read("r")


def a_text_file(path: Path) -> Path:
    path.parent.mkdir()
    path.write_text("this is no database, and longer than a header of a hundred bytes" * 10)
    return path


def below_a_file(path: Path) -> Path:
    path.parent.mkdir()
    (path.parent / "file").write_text("")
    return path.parent / "file" / "journal.db"


def a_folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def in_a_folder_that_takes_none(_: Path) -> Path:
    return Path("/proc/self/journal.db")


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (a_text_file, "this file is no journal: move it away"),
        (below_a_file, "set ORCHESTRATOR_HOME"),
        (a_folder, "set ORCHESTRATOR_HOME"),
        (in_a_folder_that_takes_none, "set ORCHESTRATOR_HOME"),
    ],
)
async def test_a_place_that_will_not_do_is_told(path: Path, make: Callable[[Path], Path], advice: str) -> None:
    """What is no journal, or cannot be one, is a JournalError that names the file and says what to do."""
    place = make(path)
    with pytest.raises(JournalError) as raised:
        async with open_sqlite(place):
            pass
    assert str(place) in str(raised.value)
    assert advice in str(raised.value)


async def test_no_journal_yet(path: Path) -> None:
    """Reading where nothing was ever written is an error in words, and makes no file."""
    with pytest.raises(JournalError, match="there is no journal here yet"):
        await SqliteJournal(path).runs()
    assert not path.exists()


async def test_a_full_disk(path: Path) -> None:
    """When the disk is full `flush` raises with advice, nothing hangs, and what was written before is there."""
    with pytest.raises(JournalError, match="make room on the disk"):
        async with open_sqlite(path) as journal:
            journal.append("r", added("before"))
            await journal.flush()
            journal._connection.execute("PRAGMA max_page_count = 20")
            with pytest.raises(JournalError, match="make room on the disk"):
                for number in range(100):
                    journal.append("r", added(f"{number}" * 10_000))
                    await journal.flush()
            with pytest.raises(JournalError, match="make room on the disk"):
                await journal.flush()
    records = await SqliteJournal(path).read("r")
    assert records[0].event == added("before")
    numbers = [record.event.task for record in records[1:]]  # type: ignore[attr-defined]
    assert numbers == [f"{number}" * 10_000 for number in range(len(numbers))]


def test_a_full_disk_of_the_operating_system(path: Path) -> None:
    """A write that the system refuses is told just so, and the file is whole afterwards."""
    code = """
        import resource, signal, sys, anyio
        from pathlib import Path
        from orchestrator.errors import JournalError
        from orchestrator.events import TaskAdded
        from orchestrator.journal.sqlite import SqliteJournal, open_sqlite
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        async def main(path):
            try:
                async with open_sqlite(path) as journal:
                    journal.append("r", TaskAdded(task="before", title="t", task_kind="agent"))
                    await journal.flush()
                    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
                    for number in range(100):
                        journal.append("r", TaskAdded(task="x" * 10_000, title="t", task_kind="agent"))
                        await journal.flush()
            except JournalError as error:
                print(error)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            print((await SqliteJournal(path).read("r"))[0].event.task)
        anyio.run(main, Path(sys.argv[1]))
    """
    said, first = output(python(code, path)).splitlines()
    assert "what was written before is safe" in said
    assert first == "before"


async def test_an_event_that_cannot_be_written_hangs_nobody(path: Path) -> None:
    """Text that no encoding has reaches the disk in some form, or is a JournalError; nobody waits for ever."""
    with anyio.fail_after(60):
        async with open_sqlite(path) as journal:
            journal.append("r", added("\ud800"))
            await journal.flush()
            assert len(await journal.read("r")) == 1


async def test_a_killed_writer_loses_nothing_flushed(path: Path) -> None:
    """After SIGKILL the file opens, and has everything up to the last flush."""
    code = """
        import os, signal, sys, anyio
        from pathlib import Path
        from orchestrator.events import TaskAdded
        from orchestrator.journal.sqlite import open_sqlite
        async def main(path):
            async with open_sqlite(path) as journal:
                for number in range(50):
                    journal.append("r", TaskAdded(task=str(number), title="t", task_kind="agent"))
                    await journal.flush()
                os.kill(os.getpid(), signal.SIGKILL)
        anyio.run(main, Path(sys.argv[1]))
    """
    process = python(code, path)
    await to_thread.run_sync(lambda: process.communicate(timeout=60))
    assert process.returncode == -9
    async with open_sqlite(path) as journal:
        assert len(await journal.read("r")) == 50


async def test_the_file_is_private(path: Path) -> None:
    """The folder that is made for the journal is for its owner alone: it holds what agents read and wrote."""
    async with open_sqlite(path):
        assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_a_path_with_odd_signs(tmp_path: Path) -> None:
    """A path with signs that mean something in a URI is read where it was written."""
    path = tmp_path / "a?b#c%20 d" / "journal.db"
    async with open_sqlite(path) as journal:
        journal.append("r", run_started("n"))
        await journal.flush()
        assert len(await journal.read("r")) == 1


async def test_every_event_is_json_for_others(path: Path) -> None:
    """Any program can read the file: a row per event, its fields as JSON."""
    async with open_sqlite(path) as journal:
        for event in sample_events():
            journal.append("r", event)
        await journal.flush()
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT kind, data FROM events WHERE run = 'r' ORDER BY seq").fetchall()
    connection.close()
    assert [kind for kind, _ in rows] == [type(event).__name__ for event in sample_events()]
    assert all(isinstance(json.loads(data), dict) for _, data in rows)
    assert TaskFinished.__name__ in {kind for kind, _ in rows}
