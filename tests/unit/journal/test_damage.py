"""Faults of the disk: read-only, locked, full, damaged, gone. Each is said, and what was there stays."""

# ruff: noqa: PT012 - a journal and what is done with it are one thing

import os
import random
import re
import shutil
import sqlite3
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from anyio import to_thread
from elsewhere import added, output, python, rows

from orchestrator.cli import inspecting
from orchestrator.cli.exits import WRONG_INPUT, guarded
from orchestrator.errors import JournalError
from orchestrator.events import RunFinished
from orchestrator.journal import database
from orchestrator.journal.sqlite import SqliteJournal, open_sqlite
from orchestrator.task import Outcome, Result
from orchestrator.testing.samples import finished, sample_events

pytestmark = pytest.mark.anyio

WRITE = """
    import sys, anyio
    from pathlib import Path
    from orchestrator.errors import JournalError
    from orchestrator.events import TaskAdded
    from orchestrator.journal.sqlite import open_sqlite
    async def main(path):
        try:
            async with open_sqlite(path) as journal:
                journal.append("r", TaskAdded(task="more", title="t", task_kind="agent"))
                await journal.flush()
        except JournalError as error:
            print(error)
    anyio.run(main, Path(sys.argv[1]))
"""

FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "journal.db"


async def fill(path: Path, runs: int = 1) -> None:
    """A journal with some runs in it, in its one file alone."""
    async with open_sqlite(path) as journal:
        for number in range(runs):
            for event in sample_events():
                journal.append(f"r-{number}", event)
        assert journal.sessions is not None
        await journal.sessions.append({"project_key": "p", "session_id": "s"}, [{"type": "user", "text": "x" * 9999}])


@pytest.mark.parametrize("what", ["file", "folder"])
async def test_a_read_only_place(path: Path, what: str) -> None:
    """A file or a folder that may not be written to is said with advice, and the events stay."""
    await fill(path)
    before = rows(path)
    place = path if what == "file" else path.parent
    place.chmod(0o400 if what == "file" else 0o500)
    said = await to_thread.run_sync(lambda: output(python(WRITE, path, heeding_modes=True)))
    place.chmod(0o700)
    assert said.startswith(f"{path}: ")
    assert "writable, or set ORCHESTRATOR_HOME" in said
    assert rows(path) == before


async def test_locked_for_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that another program holds on to is said in opening and in writing; later it takes events again."""
    await fill(path)
    monkeypatch.setattr(database, "PATIENCE", 0.05)
    other = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(JournalError, match=r"journal\.db: database is locked: .* end it"):
        async with open_sqlite(path) as journal:
            assert journal.sessions is not None
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalError, match="locked"):
                await journal.sessions.append({"project_key": "p", "session_id": "s"}, [{"type": "user"}])
            assert len(await journal.runs()) == 1, "reading needs no lock"
            journal.append("r", added("lost"))
            await journal.flush()
    other.execute("COMMIT")
    other.close()
    async with open_sqlite(path) as journal:
        journal.append("r", added("kept"))
        await journal.flush()
        assert [record.event for record in await journal.read("r")] == [added("kept")]


async def test_a_full_disk_in_opening(path: Path) -> None:
    """When there is no room for a new journal this is said; with room the same place will do."""
    code = FULL + textwrap.dedent(WRITE)
    said = await to_thread.run_sync(lambda: output(python(code, path)))
    assert said.startswith(f"{path}: ")
    assert "the space on it" in said
    await fill(path)


async def test_no_room_for_a_transcript(path: Path) -> None:
    """A transcript that finds no room is told to whoever wrote it; the run goes on, and its results are kept."""
    noise = random.Random(1).randbytes(2_000_000).hex()
    key = {"project_key": "p", "session_id": "s"}
    async with open_sqlite(path) as journal:
        assert journal.sessions is not None
        await journal.sessions.append(key, [{"type": "user"}])
        journal._connection.execute("PRAGMA max_page_count = 40")
        with pytest.raises(JournalError, match="make room on the disk"):
            await journal.sessions.append(key, [{"type": "user", "text": noise}])
        journal.append("r", finished(Result(task="t", outcome=Outcome.OK), "done"))
        await journal.flush()
        assert await journal.sessions.load(key) == [{"type": "user"}]
    assert len(rows(path)) == 1


async def test_what_is_no_json_is_the_callers_fault(path: Path) -> None:
    """Lines that no JSON can say are refused, and what comes after them is written."""
    key = {"project_key": "p", "session_id": "s"}
    async with open_sqlite(path) as journal:
        assert journal.sessions is not None
        with pytest.raises(TypeError):
            await journal.sessions.append(key, [{"type": object()}])
        await journal.sessions.append(key, [{"type": "user"}])
        assert await journal.sessions.load(key) == [{"type": "user"}]


async def test_a_transcript_after_the_journal_is_closed(path: Path) -> None:
    """Who writes to a journal that is closed is told so, and does not wait for ever."""
    async with open_sqlite(path) as journal:
        pass
    assert journal.sessions is not None
    with pytest.raises(JournalError):
        await journal.sessions.append({"project_key": "p", "session_id": "s"}, [{"type": "user"}])


@pytest.mark.parametrize("how", ["the folder is deleted", "the file is moved", "another file is there"])
async def test_a_journal_that_vanishes(path: Path, how: str) -> None:
    """When the file is no longer where it was, writing fails: what SQLite wrote then would be nowhere."""
    with pytest.raises(JournalError, match="moved or deleted while it was being written"):
        async with open_sqlite(path) as journal:
            journal.append("r", added("before"))
            await journal.flush()
            if how == "the folder is deleted":
                shutil.rmtree(path.parent)
            else:
                path.rename(path.with_name("elsewhere.db"))
            if how == "another file is there":
                path.write_bytes(b"")
            journal.append("r", RunFinished(status="done", wall=1.0))
            await journal.flush()


async def use_all(path: Path) -> None:
    """Opens the journal, and does with it all that can be done."""
    async with open_sqlite(path) as journal:
        assert journal.sessions is not None
        for row in await journal.runs():
            await journal.read(row["run"])
        await journal.find("k")
        await journal.sessions.load({"project_key": "p", "session_id": "s"})
        await journal.sessions.append({"project_key": "p", "session_id": "s"}, [{"type": "user"}])
        for event in sample_events():
            journal.append("new", event)
        await journal.flush()
        await journal.read("new")


async def fault(path: Path) -> str | None:
    """What is said of the journal when all is done with it that can be done; None when nothing is."""
    try:
        await use_all(path)
    except JournalError as error:
        return str(error)
    return None


async def test_garbage_anywhere(path: Path) -> None:
    """Whichever page is overwritten, by noise or by zeros: there is a JournalError with the path, or all is well."""
    await fill(path, runs=5)
    whole, noise = path.read_bytes(), random.Random(1)
    told = 0
    for page in range(len(whole) // 4096):
        for garbage in (noise.randbytes(2048), bytes(4096)):
            place = path.with_name(f"{page}-{garbage[0]}.db")
            place.write_bytes(whole[: page * 4096 + 64] + garbage + whole[page * 4096 + 64 + len(garbage) :])
            said = await fault(place)
            told += said is not None
            assert said is None or re.match(rf"{place}: .*: ", said), said
    assert told > len(whole) // 4096


async def test_an_event_that_is_damaged(path: Path) -> None:
    """Fields that are no JSON, or not those of the event, are told with the event's number and what to do."""
    await fill(path)
    for damaged in ("{}", "[1]", "7"):
        connection = sqlite3.connect(path)
        connection.execute("UPDATE events SET data = ? WHERE kind = 'TaskAdded'", [damaged])
        connection.commit()
        connection.close()
        with pytest.raises(JournalError, match=rf"{path}: event 2 is damaged \(.*\): .*\.recover"):
            await SqliteJournal(path).read("r-0")


async def test_a_transcript_that_is_damaged(path: Path) -> None:
    """A piece of a transcript that cannot be unpacked is told; the events are read as ever."""
    await fill(path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE transcripts SET lines = substr(lines, 1, 40)")
    connection.commit()
    connection.close()
    async with open_sqlite(path) as journal:
        assert journal.sessions is not None
        with pytest.raises(JournalError, match=rf"{path}: the transcript of a session is damaged"):
            await journal.sessions.load({"project_key": "p", "session_id": "s"})
        assert len(await journal.read("r-0")) == len(sample_events())


def truncated(path: Path) -> None:
    os.truncate(path, 3 * 4096)


def of_zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def of_tomorrow(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def with_garbage(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))


def gone(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize(
    ("harm", "advice"),
    [
        (truncated, "move the journal away"),
        (of_zeros, "this file is no journal: move it away"),
        (emptied, "no run is in this journal yet"),
        (of_tomorrow, "install that one"),
        (with_garbage, "move the journal away"),
        (gone, "start a run, or set ORCHESTRATOR_HOME"),
    ],
)
def test_the_command_line_says_it(
    apart_from_the_user: Path, capsys: pytest.CaptureFixture[str], harm: Callable[[Path], None], advice: str
) -> None:
    """A journal that cannot be read ends `runs` and `show` with exit code 2 and a line: path, what, advice."""
    path = apart_from_the_user / "orchestrator" / "journal.db"
    output(python(WRITE, path))
    harm(path)
    before = path.read_bytes() if path.exists() else None
    for command in (lambda: inspecting.runs("20", False), lambda: inspecting.show(None, None, False)):
        assert guarded(command) == WRONG_INPUT
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith(f"{path}: ")
        assert advice in err
    assert (path.read_bytes() if path.exists() else None) == before, "what was there did not stay"
