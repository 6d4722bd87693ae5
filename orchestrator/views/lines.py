"""The lines view: a line per step, for logs, pipes and CI."""

import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import TextIO

from orchestrator.events import (
    AttemptFinished,
    AttemptStarted,
    CheckFinished,
    Event,
    MessageSent,
    Published,
    Record,
    RunFinished,
    RunStarted,
    TaskExpanded,
    TaskFinished,
    TaskSpawned,
    TaskWaits,
)
from orchestrator.state import RunState
from orchestrator.task import Status
from orchestrator.views.words import dollars, going_on, one_line, plural, span, spoken, verdict
from orchestrator.views.writing import LineWriter


class LinesView:
    """Says what begins, ends and is tried again, with the time of day (UTC) and how far the run has come."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._writer = LineWriter(stream or sys.stderr)
        self._state = RunState()

    async def show(self, feed: AsyncIterator[Sequence[Record]]) -> None:
        """See `orchestrator.protocols.View`."""
        async for batch in feed:
            await self._writer.write(list(self._lines(batch)))

    def _lines(self, batch: Sequence[Record]) -> Iterator[str]:
        for record in batch:
            self._state.apply(record.event, record.at)
            if text := line(record.event, self._state, record.run):
                moment = datetime.fromtimestamp(record.at, UTC).strftime("%H:%M:%S")
                yield f"{moment} {text}"


def line(event: Event, state: RunState, run: str) -> str | None:
    """The event in a line; None for those that need none. `state` has it folded in already."""
    match event:
        case RunStarted():
            about = f", {event.upstream} model" if event.upstream else ""
            again = f", {words}" if (words := going_on(event)) else ""
            text = f"run {run}: {event.concurrent} at once{about}{again}"
        case TaskExpanded():
            text = f"{event.task}: {plural(len(event.parts), 'item')}"
        case AttemptStarted():
            text = f"{event.task}: started" if event.attempt == 1 else f"{event.task}: attempt {event.attempt}"
            text += ", in the same session" if event.resume else ""
        case CheckFinished(exit_code=code):
            text = f"{event.task}: {verdict(code)}: {event.command} ({span(event.duration)})"
        case TaskSpawned() | MessageSent() | Published() | TaskWaits(waits_for=str()):
            text = f"{event.task}: {spoken(event)}"
        case AttemptFinished(retry_in=float() as wait):
            text = f"{event.task}: {event.outcome}: {event.error}; again in {span(wait)}"
        case TaskFinished(loop=False):
            text = _task_line(event, state, run)
        case RunFinished():
            text = f"run {run}: {event.status} after {span(event.wall)}"
        case _:
            return None
    return one_line(text)


def _task_line(event: TaskFinished, state: RunState, run: str) -> str:
    result = event.result
    said = [event.task, event.status, *([result["outcome"]] if event.status == Status.FAILED else [])]
    if result["error"]:
        said.append(result["error"])
    if result.get("reused"):
        said.append("from before" if result["reused"] == run else f"from run {result['reused']}")
        return f"{': '.join(said)} [{state.ended}/{state.total}]"
    figures = f" ({span(result['duration'])}, {plural(result['turns'], 'turn')}, {dollars(result['cost_usd'])})"
    return (
        f"{': '.join(said)}{figures if result['attempts'] or result['duration'] else ''} [{state.ended}/{state.total}]"
    )
