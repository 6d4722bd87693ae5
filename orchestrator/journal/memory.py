"""A journal in memory: gone with its process."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel

from orchestrator.events import Event, Record, RunFinished
from orchestrator.journal.codec import decode, encode
from orchestrator.state import RunState
from orchestrator.task import Status


class MemoryJournal:
    """Keeps the records in a list. Events pass the same codec as on their way to a disk and back."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._more = anyio.Event()

    def append(self, run: str, event: Event) -> None:
        self.records.append(decode(len(self.records) + 1, time.time(), run, type(event).__name__, encode(event)))
        self._more.set()
        self._more = anyio.Event()

    async def flush(self) -> None:
        await anyio.lowlevel.checkpoint()

    async def read(self, run: str, after: int = 0) -> Sequence[Record]:
        return [record for record in self.records[after:] if record.run == run]

    async def follow(self, run: str, after: int = 0) -> AsyncGenerator[Sequence[Record], None]:
        while True:
            more, batch = self._more, await self.read(run, after)
            after = len(self.records)
            if batch:
                yield batch
                if isinstance(batch[-1].event, RunFinished):
                    return
            else:
                await more.wait()

    async def runs(self, limit: int = 1000, wanted: str = "") -> Sequence[Mapping[str, Any]]:
        rows = [self._row(run) for run in reversed(dict.fromkeys(record.run for record in self.records))]
        return [row for row in rows if row["run"].startswith(wanted) or row["name"] == wanted][:limit]

    def _row(self, run: str) -> Mapping[str, Any]:
        state = RunState()
        state.apply_all(record for record in self.records if record.run == run)
        begun, ended = state.started, state.finished
        return {
            "run": run,
            "name": begun.name if begun else None,
            "status": ended.status if ended else None,
            "started": state.started_at,
            "last_event": state.last_at,
            "wall_s": ended.wall if ended else None,
            "tasks": state.total,
            "ok": state.counts[Status.DONE],
            "failed": state.counts[Status.FAILED],
            "cost_usd": state.cost_usd,
            "upstream": begun.upstream if begun else None,
            "plan": begun.plan if begun else None,
            "pid": begun.pid if begun else None,
            "process_started": begun.process_started if begun else None,
        }


@asynccontextmanager
async def open_memory() -> AsyncIterator[MemoryJournal]:
    """A new, empty journal."""
    yield MemoryJournal()
