"""The one module that speaks to SQLite: opening, migrating, writing a batch, reading."""

import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from orchestrator.errors import JournalError
from orchestrator.journal.codec import RECOVER

PATIENCE = 30.0
"""Seconds that one waits for another process that holds the journal."""
Row = tuple[float, str, str, str]
"""at, run, kind, data"""

_FILES = resources.files("orchestrator.journal")
QUERIES = dict(re.findall(r"-- name: (\w+)\n(.*?;)", _FILES.joinpath("queries.sql").read_text("utf-8"), re.DOTALL))
MIGRATIONS = sorted((entry.name, entry.read_text("utf-8")) for entry in _FILES.joinpath("migrations").iterdir())
VERSION = len(MIGRATIONS)


def connect(path: Path) -> sqlite3.Connection:
    """A connection that writes; the file and its folder are made if need be, and brought to this version's schema."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # prompts and answers are the user's alone
        connection = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE, check_same_thread=False)
        try:
            set_wal(connection)
            migrate(connection, path)
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise explained(error, path) from error
    return connection


def set_wal(connection: sqlite3.Connection) -> None:
    """Turns on write-ahead logging. SQLite does not wait here for another process that does the same, so we do."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)  # in a thread of the journal's own


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. Raises JournalError when there is no journal yet."""
    if path.is_dir():
        raise JournalError(f"{path}: found a folder, expected a journal: set ORCHESTRATOR_HOME to another folder")
    if not path.exists():
        raise JournalError(
            f"{path}: there is no journal here yet: start a run, or set ORCHESTRATOR_HOME to where one is"
        )
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro",
            uri=True,
            isolation_level=None,
            timeout=PATIENCE,
            check_same_thread=False,
        )
        try:
            if not check_version(connection, path):
                raise JournalError(f"{path}: no run is in this journal yet")
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise explained(error, path) from error
    return connection


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """The schema's version. Raises JournalError when it is newer than this program."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise JournalError(
            f"{path}: found a journal of version {version}, expected {VERSION} or lower: a newer version of "
            "claude-agent-orchestrator wrote it; install that one, or set ORCHESTRATOR_HOME to another folder"
        )
    return version


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Brings the schema to this version, a step per transaction; two processes at once do it once."""
    while check_version(connection, path) < VERSION:
        with transaction(connection):
            version = check_version(connection, path)
            if version < VERSION:
                for statement in statements(MIGRATIONS[version][1]):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")


def statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one. (`executescript` would commit the transaction that they are to be in.)"""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def check_there(path: Path, identity: os.stat_result) -> None:
    """Raises JournalError unless the file is the one that was opened: SQLite would write on into one that is gone."""
    with suppress(FileNotFoundError, NotADirectoryError):
        if os.path.samestat(path.stat(), identity):
            return
    raise JournalError(
        f"{path}: the journal was moved or deleted while it was being written: what is written from now on would be "
        "lost; put it back, or start the run anew"
    )


def write(connection: sqlite3.Connection, path: Path, rows: Sequence[Row], durable: bool) -> None:
    """Appends the events in one transaction; with `durable` it returns when the disk has them."""
    try:
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        with transaction(connection):
            connection.executemany(QUERIES["add_event"], rows)
    except sqlite3.Error as error:
        raise explained(error, path) from error


def change(connection: sqlite3.Connection, path: Path, query: str, arguments: Sequence[Any]) -> None:
    """Carries out a named query that changes something; the disk has it some time later."""
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        with transaction(connection):
            connection.execute(QUERIES[query], arguments)
    except sqlite3.Error as error:
        raise explained(error, path) from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is changed in the block, or nothing of it. Waits for another process that writes."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has rolled back already
            connection.execute("ROLLBACK")
        raise


def read(
    connection: sqlite3.Connection, path: Path, query: str, arguments: Sequence[Any] | Mapping[str, Any]
) -> list[Any]:
    """All rows of a named query."""
    try:
        return connection.execute(QUERIES[query], arguments).fetchall()
    except sqlite3.Error as error:
        raise explained(error, path) from error


def explained(error: sqlite3.Error | OSError, path: Path) -> JournalError:
    """What went wrong with the file, and what to do."""
    said = str(error)
    advice = next((advice for sign, advice in _ADVICE.items() if sign in said), "check the file and its folder")
    return JournalError(f"{path}: {said}: {advice}")


_ADVICE = {
    "disk is full": "make room on the disk; what was written before is safe",
    "No space left": "make room on the disk; what was written before is safe",
    "disk I/O error": "check the disk and the space on it; what was written before is safe",
    "readonly": "make the file and its folder writable, or set ORCHESTRATOR_HOME to a folder that is",
    "Permission denied": "make the folder writable, or set ORCHESTRATOR_HOME to one that is",
    "Read-only file system": "set ORCHESTRATOR_HOME to a folder that can be written",
    "unable to open": "check that the folder exists and is yours, or set ORCHESTRATOR_HOME to another",
    "locked": "another program has held the journal for more than 30 s: end it, or set ORCHESTRATOR_HOME to another",
    "Could not decode": f"the journal is damaged: {RECOVER}",
    "not a database": "this file is no journal: move it away, or set ORCHESTRATOR_HOME to another folder",
    "malformed": f"the journal is damaged: {RECOVER}",
    "Not a directory": "set ORCHESTRATOR_HOME to a folder",
    "File exists": "set ORCHESTRATOR_HOME to a folder",
    "Is a directory": "check that the folder exists and is yours, or set ORCHESTRATOR_HOME to another",
    "No such file": "check that the folder exists and is yours, or set ORCHESTRATOR_HOME to another",
}
