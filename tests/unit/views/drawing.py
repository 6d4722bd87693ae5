"""Runs made up for the views, and what rich makes of them in a terminal of a given size."""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.cells import cell_len
from rich.console import Console, RenderableType

from orchestrator.events import (
    AgentMessage,
    AttemptFinished,
    AttemptStarted,
    Event,
    Record,
    RunFinished,
    RunStarted,
    TaskAdded,
    TaskExpanded,
    TaskFinished,
    TaskSpawned,
)
from orchestrator.report import RunReport, report_of
from orchestrator.state import RunState
from orchestrator.task import Outcome, Result, Status, Usage

BEGUN = 1_700_000_000.0
"""When every run here began (Unix time, s): 22:13:20 UTC."""
RUN = "audit-abc123"
STEERING = "evil \x1b[2J\x1b]0;t\x07 \x9b8m \r\x08 \u202e [bold]x[/bold]"
"""What an agent might say to steer a terminal, or rich."""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def drawn(picture: RenderableType, width: int, *, colour: bool = False, height: int = 24) -> list[str]:
    """The picture's lines in a terminal of that size."""
    out = io.StringIO()
    console = Console(
        file=out, width=width, height=height, force_terminal=True, no_color=not colour, color_system="standard",
        legacy_windows=False, highlight=False,
    )  # fmt: skip
    console.print(picture)
    return out.getvalue().removesuffix("\n").split("\n")


def plain(lines: Iterable[str]) -> list[str]:
    """The lines without colours and spaces at their end."""
    return [COLOUR.sub("", line).rstrip() for line in lines]


def widest(lines: Iterable[str]) -> int:
    """Columns of the widest line."""
    return max((cell_len(line) for line in plain(lines)), default=0)


def controls(text: str) -> list[str]:
    """Characters in the text that could steer a terminal, apart from colours, tabs and line ends."""
    return [letter for letter in COLOUR.sub("", text) if not letter.isprintable() and letter not in "\t\n"]


def begun(concurrent: int = 4, upstream: str | None = "offline") -> RunStarted:
    return RunStarted(
        name="audit", concurrent=concurrent, usd=None, upstream=upstream, plan=None, pid=1, process_started=BEGUN,
        directory="/", version="1",
    )  # fmt: skip


def result(task: str, outcome: Outcome = Outcome.OK, **given: Any) -> Result:
    """A result with round figures."""
    usage = Usage(input_tokens=3000, output_tokens=40)
    return replace(
        Result(task=task, outcome=outcome, text="All is well.", usage=usage, cost_usd=0.02, turns=2, duration=10.0),
        **given,
    )


def ended(given: Result, status: Status, *, loop: bool = False) -> TaskFinished:
    return TaskFinished(task=given.task, status=status, result=given.to_json(), loop=loop)


class Story:
    """A run that is told event by event, a second each unless a time is given."""

    def __init__(self, first: Event | None = None) -> None:
        self.records: list[Record] = []
        self.add(first or begun(), at=0.0)

    def add(self, *events: Event, at: float | None = None) -> "Story":
        """Adds events that happen `at` seconds after the beginning."""
        for event in events:
            moment = BEGUN + (len(self.records) if at is None else at)
            self.records.append(Record(len(self.records) + 1, moment, RUN, event))
        return self

    def tasks(self, names: Sequence[str]) -> "Story":
        """Adds tasks that wait."""
        return self.add(*(TaskAdded(task=name, title=name, task_kind="agent") for name in names), at=0.0)

    def loop(self, name: str, count: int) -> "Story":
        """Adds a loop with that many parts."""
        parts = [f"{name}[{index}]" for index in range(count)]
        self.add(TaskAdded(task=name, title=name, task_kind="loop"), TaskExpanded(task=name, parts=parts), at=0.0)
        return self.add(*(TaskAdded(task=part, title=part, task_kind="agent", parent=name) for part in parts), at=0.0)

    def group(self, name: str, parts: Mapping[str, str], kind: str = "plan", parent: str | None = None) -> "Story":
        """Adds a group with parts of these kinds by id, itself a part of `parent` if that is said."""
        if name not in self.state.tasks:
            self.add(TaskAdded(task=name, title=name, task_kind=kind, parent=parent), at=0.0)
        self.add(TaskExpanded(task=name, parts=list(parts)), at=0.0)
        return self.add(
            *(TaskAdded(task=part, title=part, task_kind=each, parent=name) for part, each in parts.items()), at=0.0
        )

    def spawn(self, task: str, child: str) -> "Story":
        """The agent at work on a task adds another."""
        self.add(TaskSpawned(task=task, attempt=1, child=child, asked={"prompt": "help"}))
        return self.add(TaskAdded(task=child, title=child, task_kind="agent", parent=task))

    def close_group(self, name: str, outcome: Outcome = Outcome.OK, at: float = 9.0, **given: Any) -> "Story":
        """Ends a group."""
        usual: dict[str, Any] = {"text": "", "usage": Usage(), "cost_usd": 0.0, "turns": 0, "duration": 0.0}
        return self.add(ended(result(name, outcome, **(usual | given)), outcome.status, loop=True), at=at)

    def start(self, name: str, doing: str | None = None, turns: int = 0, at: float = 1.0) -> "Story":
        """Starts a task; with `doing` its agent says something."""
        self.add(AttemptStarted(task=name, attempt=1), at=at)
        if doing is not None:
            message = AgentMessage(
                task=name, attempt=1, type="AssistantMessage", doing=doing, turns=turns, input_tokens=1000
            )
            self.add(message, at=at)
        return self

    def end(self, name: str, outcome: Outcome = Outcome.OK, at: float = 5.0, **given: Any) -> "Story":
        """Ends a task."""
        whole = result(name, outcome, **given)
        if outcome not in (Outcome.SKIPPED, Outcome.CANCELLED, Outcome.UNNEEDED):
            self.add(
                AttemptFinished(
                    task=name, attempt=1, outcome=outcome, cost_usd=whole.cost_usd, duration=whole.duration
                ),
                at=at,
            )
        return self.add(ended(whole, outcome.status), at=at)

    def close(self, status: str = "done", wall: float = 20.0) -> "Story":
        """Ends the run."""
        return self.add(RunFinished(status=status, wall=wall), at=wall)

    @property
    def state(self) -> RunState:
        """What it adds up to."""
        state = RunState()
        state.apply_all(self.records)
        return state

    @property
    def report(self) -> RunReport:
        return report_of(RUN, self.state, now=BEGUN + 20)
