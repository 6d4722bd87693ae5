"""A journal in one SQLite file: one batched writer, any number of readers in this process and others."""

import json
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from sqlite3 import Connection
from threading import Lock
from typing import Any
from urllib.parse import quote

import anyio
from anyio import CapacityLimiter, to_thread

from orchestrator.errors import JournalError, bare_errors
from orchestrator.events import Event, Record, RunFinished
from orchestrator.journal import database
from orchestrator.journal.codec import decode, encode
from orchestrator.journal.driving import drive
from orchestrator.journal.lessons import MOST_LESSONS, PAST_RUNS
from orchestrator.journal.sessions import SqliteSessions
from orchestrator.protocols import Sessions

POLL = 0.05
"""Seconds between two looks of a follower: `PRAGMA data_version` costs a few microseconds."""
BATCH = 1000
"""Records that a reader takes at once, so that a long run is read piece by piece."""


class SqliteJournal:
    """Reads a journal file; see `open_sqlite` for one that also writes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def read(self, run: str, after: int = 0, *, messages: bool = True) -> Sequence[Record]:
        """The run's records behind `after` that are on disk now; of AgentMessages only ResultMessages if so said."""
        records: list[Record] = []
        query = "read_run" if messages else "read_run_without_messages"
        with self._reading() as connection:
            while batch := await self._batch(connection, run, after, CapacityLimiter(1), query):
                after = batch[-1].seq
                records += batch
        return records

    async def follow(self, run: str, after: int = 0) -> AsyncGenerator[Sequence[Record], None]:
        """Batches of the run's records as they come, from this process or another, ending with RunFinished."""
        seen_version, thread = None, CapacityLimiter(1)
        with self._reading() as connection:
            while True:
                version = await to_thread.run_sync(_data_version, connection, limiter=thread)
                if version != seen_version:
                    seen_version, last = version, None
                    while batch := await self._batch(connection, run, after, thread):
                        after, last = batch[-1].seq, batch[-1].event
                        yield batch
                    if isinstance(last, RunFinished):  # and nothing behind it: the run has not been gone on with
                        return
                await anyio.sleep(POLL)

    def drive(self, run: str) -> AbstractContextManager[bool]:
        """Makes this process the one that drives the run; gives whether that came true. Raises JournalError."""
        return drive(self.path.with_name(f"{self.path.name}.runs") / f"{quote(run, safe='')}.lock")

    async def find(self, key: str) -> Sequence[Record]:
        """The TaskFinished records with this key and the status `done`, of all runs, the newest first."""
        return self._decoded(await self._ask("find_key", (key,)))

    async def runs(self, limit: int = 1000, wanted: str = "") -> Sequence[Mapping[str, Any]]:
        """A row per run, newest first; with `wanted` of the runs whose id begins so or that are called so."""
        rows = await self._ask("list_runs", {"most": limit, "wanted": wanted})
        return [dict(zip(_RUN_COLUMNS, row, strict=True)) for row in rows]

    async def history(self, name: str, upstream: str | None) -> Sequence[Mapping[str, Any]]:
        """What is to be learned of the newest tasks of the newest runs of that name and upstream, oldest first."""
        return await to_thread.run_sync(self._history, name, upstream, limiter=CapacityLimiter(1))

    def _history(self, name: str, upstream: str | None) -> Sequence[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = []
        with self._reading() as connection:
            for (run,) in database.read(connection, self.path, "find_same_runs", (name, upstream, PAST_RUNS)):
                found = database.read(connection, self.path, "find_lessons", (run, MOST_LESSONS - len(rows)))
                rows += [{"run": run, "task": task, **lesson} for task, lesson in (json.loads(row[0]) for row in found)]
        return rows[::-1]

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        connection = database.connect_to_read(self.path)
        try:
            yield connection
        finally:
            connection.close()

    async def _ask(self, query: str, arguments: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
        def ask() -> list[Any]:
            with self._reading() as connection:
                return database.read(connection, self.path, query, arguments)

        return await to_thread.run_sync(ask, limiter=CapacityLimiter(1))

    async def _batch(
        self, connection: Connection, run: str, after: int, thread: CapacityLimiter, query: str = "read_run"
    ) -> Sequence[Record]:
        read = partial(database.read, connection, self.path, query, (run, after, BATCH))
        return self._decoded(await to_thread.run_sync(read, limiter=thread))

    def _decoded(self, rows: Sequence[Any]) -> Sequence[Record]:
        try:
            return [decode(*row) for row in rows]
        except JournalError as error:
            raise JournalError(f"{self.path}: {error}") from error


@dataclass(slots=True)
class Change:
    """A change to the transcripts on its way to the disk."""

    query: str
    arguments: Callable[[], Sequence[Any]]
    ended: bool = False
    error: Exception | None = None


class SqliteWriter(SqliteJournal):
    """A journal that is being written by this process."""

    def __init__(self, path: Path, connection: Connection) -> None:
        super().__init__(path)
        self._connection = connection
        self._identity = path.stat()
        self._pending: deque[tuple[database.Row, bool]] = deque()
        self._changes: deque[Change] = deque()
        self._appended = self._written = 0
        self._closing = False
        self._thread = CapacityLimiter(1)  # of its own: others' blocking calls must not keep results from the disk
        self._lock = Lock()
        self._unattended = False
        """Nobody writes in the background: whoever waits for the disk writes."""
        self._wake = anyio.Event()
        self._progress = anyio.Event()
        self.failure: JournalError | None = None
        self.sessions: Sessions | None = SqliteSessions(path, self._ask, self.change)

    def append(self, run: str, event: Event) -> None:
        """Takes the event; `flush` tells when it is on disk."""
        self._pending.append(((time.time(), run, type(event).__name__, encode(event)), event.durable))
        self._appended += 1
        self._wake.set()

    async def flush(self) -> None:
        """Returns once all that was appended so far is on disk. Raises JournalError."""
        target = self._appended
        while self._written < target:
            if self.failure:
                raise self.failure
            await self._wait_or_write()

    async def watch(self) -> None:
        """Raises JournalError as soon as nothing more can be written."""
        while self.failure is None:
            await self._progress.wait()
        raise self.failure

    async def change(self, query: str, arguments: Callable[[], Sequence[Any]]) -> None:
        """Carries out a named query between the batches of events; returns when it is written.

        Its failure is the caller's alone. Raises JournalError, and whatever `arguments` raises.
        """
        change = Change(query, arguments)
        self._changes.append(change)
        self._wake.set()
        while not change.ended:
            await self._wait_or_write()
        if change.error:
            raise change.error

    async def _wait_or_write(self) -> None:
        if self._unattended:
            self._write_pending()
        else:
            await self._progress.wait()

    async def write_until_closed(self) -> None:
        """Writes what is appended, all that has gathered at once, until `close`; no cancellation stops it.

        But for one: when SystemExit gets out of an asyncio task, asyncio cancels every task and heeds no shield. What
        comes after that is written by whoever flushes.
        """
        try:
            with anyio.CancelScope(shield=True):
                while self._pending or self._changes or not self._closing:
                    await self._wake.wait()
                    self._wake = anyio.Event()
                    await to_thread.run_sync(self._write_pending, limiter=self._thread)
                    self._tell_progress()
        finally:
            self._unattended = True
            self._write_pending()
            self._tell_progress()

    def _write_pending(self) -> None:
        with self._lock:  # a thread that nobody waits for any more may still be writing
            self._write_events()
            self._make_changes()

    def _write_events(self) -> None:
        taken = [self._pending.popleft() for _ in range(len(self._pending))]
        if not taken or self.failure:
            return  # what comes after a failure would leave a hole
        rows, durable = [row for row, _ in taken], any(durable for _, durable in taken)
        try:
            database.check_there(self.path, self._identity)
            database.write(self._connection, self.path, rows, durable)
            self._written += len(rows)
        except Exception as error:
            self.failure = error if isinstance(error, JournalError) else JournalError(f"{self.path}: {error!r}")

    def _make_changes(self) -> None:
        for change in [self._changes.popleft() for _ in range(len(self._changes))]:
            try:
                database.check_there(self.path, self._identity)
                database.change(self._connection, self.path, change.query, change.arguments())
            except Exception as error:  # of this change alone: results are written, and the run goes on
                change.error = error
            change.ended = True

    def _tell_progress(self) -> None:
        self._progress.set()
        self._progress = anyio.Event()

    def close(self) -> None:
        """Lets `write_until_closed` end once all is written."""
        self._closing = True
        self._wake.set()


@asynccontextmanager
async def open_sqlite(path: Path) -> AsyncIterator[SqliteWriter]:
    """The journal at `path`, made if need be. On leaving, however it is left, all that was appended is written.

    Raises JournalError when it cannot be opened, is of a newer version, or could not be written.
    """
    connection = await to_thread.run_sync(database.connect, path)
    journal = SqliteWriter(path, connection)
    try:
        with bare_errors():
            async with anyio.create_task_group() as group:
                group.start_soon(journal.write_until_closed)
                try:
                    yield journal
                finally:
                    journal.close()
        await journal.flush()
        if journal.failure:
            raise journal.failure
    finally:
        connection.close()


def _data_version(connection: Connection) -> int:
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


_RUN_COLUMNS = (
    "run", "name", "status", "complete", "pilot", "started", "last_started", "last_event", "wall_s", "tasks", "ok",
    "failed", "cost_usd", "upstream", "plan", "script", "directory", "resumed", "pid", "process_started",
)  # fmt: skip
