"""The lines view: a line per step, for logs, pipes and CI."""

import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import TextIO

from orchestrator.events import (
    ApiSignal,
    AttemptFinished,
    AttemptStarted,
    BudgetReached,
    CheckFinished,
    Event,
    MemoryAwaited,
    MessageSent,
    Published,
    Record,
    RegimeChanged,
    RequestNoted,
    RunFinished,
    RunForecast,
    RunStarted,
    TaskExpanded,
    TaskFinished,
    TaskSpawned,
    TaskWaits,
    WidthChanged,
)
from orchestrator.state import RunState
from orchestrator.task import Outcome, Result, Status
from orchestrator.views.costs import reached_words, spent_words
from orchestrator.views.regimes import governed_words, waiting_words
from orchestrator.views.verdicts import forecast_words
from orchestrator.views.words import answering, awaited, going_on, one_line, plural, span, spoken, verdict
from orchestrator.views.writing import LineWriter

LONG = 10.0
"""Seconds of a CLI's wait for the API from which on each has a line; of shorter ones the first in a row."""


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
            about = f", {words}" if (words := answering(event.upstream)) else ""
            again = f", {words}" if (words := going_on(event)) else ""
            text = f"run {run}: {event.concurrent} at once{about}{again}"
        case TaskExpanded():
            return expanded_line(event, state)
        case AttemptStarted():
            text = f"{event.task}: started" if event.attempt == 1 else f"{event.task}: attempt {event.attempt}"
            text += ", in the same session" if event.resume else ""
        case CheckFinished(exit_code=code):
            text = f"{event.task}: {verdict(code)}: {event.command} ({span(event.duration)})"
        case AttemptFinished(retry_in=float() as wait):
            when = "when the limit is reset" if event.outcome == Outcome.QUOTA else f"in {span(wait)}"
            text = f"{event.task}: {event.outcome}: {event.error}; again {when}"
        case TaskFinished(loop=False):
            text = _task_line(event, state, run)
        case TaskFinished():
            return group_line(event, state)
        case RunForecast():
            begun = state.started
            text = forecast_words(event, begun.concurrent if begun else 1, begun.pilot if begun else None)
        case TaskSpawned() | TaskWaits() | MessageSent() | Published():
            text = f"{event.task}: {spoken(event)}"
        case RunFinished():
            text = f"run {run}: {event.status} after {span(event.wall)}"
        case _:
            return limits_line(event, state, run)
    return one_line(text)


def limits_line(event: Event, state: RunState, run: str) -> str | None:
    """What the run's limits, the account's and the gateway have to say."""
    match event:
        case RequestNoted(note="fault" | "alike" as note):  # one that does not match is told by its task's end
            return one_line(f"{event.task}: {'fault played' if note == 'fault' else 'replay'}: {event.text}")
        case ApiSignal(source="cli", retry_after=float() as wait):
            task = state.tasks[event.task]
            if task.api and (task.api_tries == 1 or wait >= LONG):
                return one_line(f"{event.task}: {waiting_words(event)}")
        case BudgetReached():
            return one_line(f"run {run}: {reached_words(event)}")
        case MemoryAwaited():
            return one_line(awaited(event))
        case WidthChanged() | RegimeChanged():
            return one_line(governed_words(event, state.last_at))
    return None


def expanded_line(event: TaskExpanded, state: RunState) -> str | None:
    """`check: 12 items`, `backend: plan of 3 tasks`, `title: vote of 3`; None for a group that has no parts yet."""
    group = state.tasks[event.task]
    found, before = len(event.parts), len(group.parts or ()) - len(event.parts)
    if not found and (event.more or before):
        return None
    of_items = group.kind == "pipeline" and event.parts[:1] == [f"{event.task}[0]"]
    what = (
        _parts("loop" if of_items else group.kind, event.parts)
        if not before
        else f"{found} more, {before + found} so far"
    )
    of = f", the first of {event.of}" if event.of is not None and event.of > found else ""
    return one_line(f"{event.task}: {what}{of}")


def _parts(kind: str, parts: Sequence[str]) -> str:
    number = len(parts)
    match kind:
        case "vote" if parts[-1].endswith(".judge"):
            return f"vote of {number - 1}, and a judge"
        case "vote":
            return f"vote of {number}"
        case "plan":
            return f"plan of {plural(number, 'task')}"
        case "pipeline":
            return f"pipeline of {plural(number, 'stage')}"
        case "group":
            return plural(number, "task")
    return plural(number, "item")


def group_line(event: TaskFinished, state: RunState) -> str | None:
    """How a group ended; None for one that is itself an item of a loop: there may be very many of these."""
    group = state.tasks[event.task]
    above = state.tasks.get(group.parent) if group.parent is not None else None
    if above is not None and above.kind == "loop":
        return None
    result = event.result
    said = [event.task, event.status, *([result["outcome"]] if event.status == Status.FAILED else [])]
    said += [words] if (words := result["error"] or result.get("note")) else []
    took = f" ({span(group.finished - group.started)})" if group.started and group.finished else ""
    return one_line(f"{': '.join(said)}{took}")


def _task_line(event: TaskFinished, state: RunState, run: str) -> str:
    result = event.result
    said = [event.task, event.status, *([result["outcome"]] if event.status == Status.FAILED else [])]
    if result["error"]:
        said.append(result["error"])
    if result.get("reused"):
        said.append("from before" if result["reused"] == run else f"from run {result['reused']}")
        return f"{': '.join(said)} [{state.ended}/{state.total}]"
    figures = f" ({span(result['duration'])}, {spent_words(Result.from_json(result))})"
    return (
        f"{': '.join(said)}{figures if result['attempts'] or result['duration'] else ''} [{state.ended}/{state.total}]"
    )
