"""Journals that an earlier version wrote, and what becomes of them."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from anyio import to_thread
from elsewhere import VERSION_1, make_version_1, output, python, rows, schema, version

from orchestrator.errors import JournalError
from orchestrator.events import RunFinished, TaskFinished
from orchestrator.journal import database
from orchestrator.journal.sqlite import SqliteJournal, open_sqlite
from orchestrator.testing.samples import run_started

pytestmark = pytest.mark.anyio

VERSION_2 = VERSION_1 | {
    "events_by_key": """CREATE INDEX events_by_key ON events (json_extract(data, '$.key'))
        WHERE kind = 'TaskFinished'""",
    "transcripts": """CREATE TABLE transcripts (
        seq         INTEGER PRIMARY KEY,
        at          REAL NOT NULL,
        project_key TEXT NOT NULL,
        session_id  TEXT NOT NULL,
        subpath     TEXT NOT NULL,  -- empty for the session's own transcript, else its subagent's
        lines       BLOB NOT NULL   -- a JSON array, compressed as xz
    ) STRICT""",
    "transcripts_by_project": "CREATE INDEX transcripts_by_project ON transcripts (project_key, session_id, subpath)",
    "transcripts_by_session": "CREATE INDEX transcripts_by_session ON transcripts (session_id)",
}
"""This version's schema. A later one adds to it, in a migration of its own."""

OPEN = """
    import sys
    from pathlib import Path
    from orchestrator.journal import database
    database.connect(Path(sys.argv[1])).close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "journal.db"


async def test_a_new_file_has_the_schema(path: Path) -> None:
    """Migrating from nothing gives the current version, and earlier versions' tables as they were."""
    async with open_sqlite(path):
        pass
    assert version(path) == database.VERSION == 2
    assert schema(path) == {name: " ".join(sql.split()) for name, sql in VERSION_2.items()}
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


async def test_the_first_version_is_migrated(path: Path) -> None:
    """A journal of the first version gets this one's schema, and every event of it stays as it was."""
    make_version_1(path)
    before = rows(path)
    async with open_sqlite(path) as journal:
        assert rows(path) == before
        assert len(await journal.read("first-1")) + len(await journal.read("second-1")) == len(before) == 47
    assert version(path) == 2
    assert schema(path) == {name: " ".join(sql.split()) for name, sql in VERSION_2.items()}


async def test_runs_of_the_first_version_are_read_and_gone_on_with(path: Path) -> None:
    """Every query reads what the first version wrote, and a run of it takes new events."""
    make_version_1(path)
    async with open_sqlite(path) as journal:
        second, first = await journal.runs()
        assert (first["run"], first["name"], first["status"], first["wall_s"]) == ("first-1", "first", "failed", 12.5)
        assert (first["tasks"], first["ok"], first["failed"], first["cost_usd"]) == (4, 1, 1, 1.0)
        assert (first["resumed"], first["script"], first["plan"]) == (0, None, "plan.yaml")
        assert (second["run"], second["status"]) == ("second-1", None)
        assert [record async for batch in journal.follow("first-1") for record in batch][-1].event == RunFinished(
            status="failed", wall=12.5
        )
        assert await journal.find("key") == []
        assert journal.sessions is not None
        assert await journal.sessions.find_session("1") is None
        journal.append("second-1", run_started("second", resumed=1))
        done = next(record.event for record in await journal.read("first-1") if isinstance(record.event, TaskFinished))
        journal.append("second-1", replace(done, key="key"))
        await journal.flush()
        assert [record.event for record in await journal.find("key")] == [replace(done, key="key")]
        assert (await journal.runs())[0]["resumed"] == 1


async def test_the_first_version_is_read_before_it_is_migrated(path: Path) -> None:
    """Who only reads cannot migrate, and reads a journal of the first version as it is."""
    make_version_1(path)
    journal = SqliteJournal(path)
    assert [row["run"] for row in await journal.runs()] == ["second-1", "first-1"]
    assert await journal.find("key") == []
    assert version(path) == 1


@pytest.mark.parametrize("make", [make_version_1, lambda path: None], ids=["the first version", "nothing"])
async def test_some_at_once_migrate_once(path: Path, make) -> None:  # type: ignore[no-untyped-def]
    """Processes that open a file together, an old one or none, all get it at this version, with all its events."""
    make(path)
    before = rows(path) if path.exists() else []
    for process in [python(OPEN, path) for _ in range(4)]:
        await to_thread.run_sync(output, process)
    assert (version(path), rows(path)) == (2, before)


def test_a_migration_that_fails_half_way(path: Path) -> None:
    """When the disk is full half-way, the file stays of its version, with all events; with room it is migrated."""
    make_version_1(path, copies=600)
    before = rows(path)
    code = """
        import resource, signal, sys
        from pathlib import Path
        from orchestrator.errors import JournalError
        from orchestrator.journal import database
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))
        try:
            database.connect(Path(sys.argv[1]))
        except JournalError as error:
            print(error)
    """
    said = output(python(code, path))
    assert said.startswith(f"{path}: ")
    assert "what was written before is safe" in said
    assert (version(path), rows(path), schema(path).keys()) == (1, before, VERSION_1.keys())
    database.connect(path).close()
    assert (version(path), rows(path)) == (2, before)


async def test_a_newer_file_is_refused(path: Path) -> None:
    """A journal of a later version is neither written nor read; the error says what to do."""
    async with open_sqlite(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for attempt in (lambda: open_sqlite(path).__aenter__(), lambda: SqliteJournal(path).read("r")):
        with pytest.raises(JournalError, match=r"version 99, expected .* install that one"):
            await attempt()
