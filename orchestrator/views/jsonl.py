"""The jsonl view: every event as a line of JSON, for programs."""

import json
import sys
from collections.abc import AsyncIterator, Sequence
from typing import TextIO

from orchestrator.events import Record
from orchestrator.views.writing import LineWriter


class JsonlView:
    """Writes `{"seq", "at", "run", "kind", …the event's fields}` per line."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._writer = LineWriter(stream or sys.stderr)

    async def show(self, feed: AsyncIterator[Sequence[Record]]) -> None:
        """See `orchestrator.protocols.View`."""
        async for batch in feed:
            await self._writer.write([json.dumps(to_json(record), ensure_ascii=False) for record in batch])


def to_json(record: Record) -> dict[str, object]:
    """The record as one flat mapping."""
    head = {"seq": record.seq, "at": record.at, "run": record.run, "kind": type(record.event).__name__}
    return head | record.event.to_json()
