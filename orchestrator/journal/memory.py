"""A journal in memory: gone with its process."""

import json
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import anyio.lowlevel

from orchestrator.events import (
    AgentMessage,
    AttemptFinished,
    Event,
    Record,
    RunFinished,
    RunStarted,
    TaskAdded,
    TaskFinished,
)
from orchestrator.journal.codec import decode, encode
from orchestrator.journal.lessons import MOST_LESSONS, PAST_RUNS
from orchestrator.journal.lines import Place, place, without_repeats
from orchestrator.protocols import Sessions
from orchestrator.state import GROUPS


class MemoryJournal:
    """Keeps the records in a list. Events pass the same codec as on their way to a disk and back."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.sessions: Sessions | None = MemorySessions()
        self._driven: set[str] = set()
        self._more = anyio.Event()

    def append(self, run: str, event: Event) -> None:
        self.records.append(decode(len(self.records) + 1, time.time(), run, type(event).__name__, encode(event)))
        self._more.set()
        self._more = anyio.Event()

    async def flush(self) -> None:
        await anyio.lowlevel.checkpoint()

    async def watch(self) -> None:
        await anyio.sleep_forever()

    async def read(self, run: str, after: int = 0, *, messages: bool = True) -> Sequence[Record]:
        of_run = [record for record in self.records[after:] if record.run == run]
        return of_run if messages else [each for each in of_run if not is_in_between(each.event)]

    async def follow(self, run: str, after: int = 0) -> AsyncGenerator[Sequence[Record], None]:
        last: Event | None = None
        while True:
            more, batch = self._more, await self.read(run, after)
            after = len(self.records)
            if batch:
                last = batch[-1].event
                yield batch
            elif isinstance(last, RunFinished):
                return
            else:
                await more.wait()

    @contextmanager
    def drive(self, run: str) -> Iterator[bool]:
        if run in self._driven:
            yield False
            return
        self._driven.add(run)
        try:
            yield True
        finally:
            self._driven.remove(run)

    async def find(self, key: str) -> Sequence[Record]:
        return [record for record in reversed(self.records) if is_result(record.event, key)]

    async def history(self, name: str, upstream: str | None) -> Sequence[Mapping[str, Any]]:
        starts = [(each.run, each.event) for each in reversed(self.records) if isinstance(each.event, RunStarted)]
        same = dict.fromkeys(run for run, event in starts if (event.name, event.upstream) == (name, upstream))
        rows = [row for run in list(same)[:PAST_RUNS] for row in lessons_of(run, self.records)]
        return rows[:MOST_LESSONS][::-1]

    async def runs(self, limit: int = 1000, wanted: str = "") -> Sequence[Mapping[str, Any]]:
        starts = [record.run for record in reversed(self.records) if isinstance(record.event, RunStarted)]
        rows = [row_of([record for record in self.records if record.run == run]) for run in dict.fromkeys(starts)]
        return [row for row in rows if row["run"].startswith(wanted) or row["name"] == wanted][:limit]


def lessons_of(run: str, records: Sequence[Record]) -> Iterator[Mapping[str, Any]]:
    """What is to be learned of the run's tasks, the newest first."""
    for record in reversed(records):
        if record.run == run and isinstance(record.event, TaskFinished) and record.event.lesson is not None:
            yield {"run": run, "task": record.event.task, **record.event.lesson}


def is_result(event: Event, key: str) -> bool:
    """Whether it is the end of a task with this key that was done."""
    return isinstance(event, TaskFinished) and (event.key, event.status) == (key, "done")


def row_of(records: Sequence[Record]) -> Mapping[str, Any]:
    """What there is to know of a run: it counts from its last start on, but for its cost and its beginning."""
    starts = [record for record in records if isinstance(record.event, RunStarted)]
    last = [record.event for record in records if record.seq >= starts[-1].seq]
    begun = starts[-1].event
    ended = next((event for event in reversed(last) if isinstance(event, RunFinished)), None)
    finished = [event.status for event in last if isinstance(event, TaskFinished) and not event.loop]
    assert isinstance(begun, RunStarted)
    return {
        "run": records[0].run,
        "name": begun.name,
        "status": ended.status if ended else None,
        "complete": ended.complete if ended else None,
        "pilot": begun.pilot,
        "started": starts[0].at,
        "last_started": starts[-1].at,
        "last_event": records[-1].at,
        "wall_s": ended.wall if ended else None,
        "tasks": sum(isinstance(event, TaskAdded) and event.task_kind not in GROUPS for event in last),
        "ok": finished.count("done"),
        "failed": finished.count("failed"),
        "cost_usd": sum(record.event.cost_usd for record in records if isinstance(record.event, AttemptFinished)),
        "upstream": begun.upstream,
        "plan": begun.plan,
        "script": begun.script,
        "directory": begun.directory,
        "resumed": begun.resumed,
        "pid": begun.pid,
        "process_started": begun.process_started,
    }


class MemorySessions:
    """Keeps the transcripts in a dict, as JSON. See `protocols.Sessions`."""

    def __init__(self) -> None:
        self._lines: defaultdict[Place, list[str]] = defaultdict(list)
        self._changed: dict[Place, float] = {}

    async def append(self, key: Any, entries: list[Any]) -> None:
        await anyio.lowlevel.checkpoint()
        if entries:
            where = place(key)
            self._lines[where] += [json.dumps(entry) for entry in entries]
            self._changed.pop(where, None)  # the newest is the last
            self._changed[where] = time.time()

    async def load(self, key: Any) -> list[Any] | None:
        await anyio.lowlevel.checkpoint()
        lines = self._lines.get(place(key))
        return None if lines is None else list(without_repeats(map(json.loads, lines)))

    async def list_sessions(self, project_key: str) -> list[Any]:
        await anyio.lowlevel.checkpoint()
        return [
            {"session_id": session, "mtime": int(at * 1000)}
            for (project, session, subpath), at in self._changed.items()
            if project == project_key and not subpath
        ]

    async def delete(self, key: Any) -> None:
        await anyio.lowlevel.checkpoint()
        wanted = place(key)
        for where in list(self._lines):
            if where == wanted or (not wanted[2] and where[:2] == wanted[:2]):
                del self._lines[where], self._changed[where]

    async def list_subkeys(self, key: Any) -> list[str]:
        await anyio.lowlevel.checkpoint()
        project, session, _ = place(key)
        return sorted(where[2] for where in self._lines if where[:2] == (project, session) and where[2])

    async def find_session(self, session_id: str) -> Any | None:
        await anyio.lowlevel.checkpoint()
        found = [where for where in self._changed if where[1] == session_id and not where[2]]
        return {"project_key": found[-1][0], "session_id": session_id} if found else None


def is_in_between(event: Event) -> bool:
    """Whether it is a message of an agent that is still at work."""
    return isinstance(event, AgentMessage) and event.type != "ResultMessage"


@asynccontextmanager
async def open_memory() -> AsyncIterator[MemoryJournal]:
    """A new, empty journal."""
    yield MemoryJournal()
