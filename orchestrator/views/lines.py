"""The lines view: a line per step, for logs, pipes and CI."""

import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import TextIO

from orchestrator.events import (
    AttemptFinished,
    AttemptStarted,
    Event,
    Record,
    RunFinished,
    RunStarted,
    TaskExpanded,
    TaskFinished,
)
from orchestrator.state import RunState
from orchestrator.views.words import clean, dollars, plural, span, upstream_note


class LinesView:
    """Says what begins, ends and is tried again, with the time of day (UTC) and how far the run has come."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._state = RunState()

    async def show(self, feed: AsyncIterator[Sequence[Record]]) -> None:
        """See `orchestrator.protocols.View`."""
        async for batch in feed:
            for record in batch:
                self._state.apply(record.event, record.at)
                if text := line(record.event, self._state, record.run):
                    moment = datetime.fromtimestamp(record.at, UTC).strftime("%H:%M:%S")
                    print(f"{moment} {text}", file=self._stream, flush=True)


def line(event: Event, state: RunState, run: str) -> str | None:
    """The event in a line; None for those that need none. `state` has it folded in already."""
    match event:
        case RunStarted():
            note = upstream_note(event.upstream)
            text = f"run {run}: {event.concurrent} at once" + (f" ({note})" if note else "")
        case TaskExpanded():
            text = f"{event.task}: {plural(len(event.parts), 'item')}"
        case AttemptStarted():
            text = f"{event.task}: started" if event.attempt == 1 else f"{event.task}: attempt {event.attempt}"
        case AttemptFinished(retry_in=float() as wait):
            text = f"{event.task}: {event.outcome}: {event.error}; again in {span(wait)}"
        case TaskFinished(loop=False):
            text = _task_line(event, state)
        case RunFinished():
            text = f"run {run}: {event.status} after {span(event.wall)}"
        case _:
            return None
    return clean(text)


def _task_line(event: TaskFinished, state: RunState) -> str:
    result = event.result
    figures = f"{span(result['duration'])}, {plural(result['turns'], 'turn')}, {dollars(result['cost_usd'])}"
    why = f": {result['outcome']}: {' '.join(result['error'].split())}" if result["error"] else ""
    return f"{event.task}: {event.status}{why} ({figures}) [{state.ended}/{state.total}]"
