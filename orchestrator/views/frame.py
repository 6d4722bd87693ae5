"""One picture of a run at work: a pure function of its state, the time and the room there is."""

from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.state import RunState, TaskState
from orchestrator.task import Status
from orchestrator.views.words import SIGNS, clean, clock, dollars, going_on, one_line, plural, tokens

WIDE = 80
"""Columns from which turns, tokens and cost have room."""
FAILURES = 3
"""How many of the last failures stay in sight."""
ECHO = 3
"""Columns left free where the cursor rests: a terminal writes `^C` there, and a line break would shift the picture."""


@dataclass(frozen=True, slots=True)
class Room:
    """The terminal's size, in columns and lines."""

    width: int
    height: int


def picture(state: RunState, run: str, now: float, room: Room) -> RenderableType:
    """Header, a row per running task, the last failures, counts and progress; never taller than the room."""
    failed = [task for task in state.leaves() if task.status is Status.FAILED] if state.counts[Status.FAILED] else []
    failed = failed[len(failed) - min(len(failed), FAILURES, max(room.height - 5, 0)) :]
    rows = max(room.height - 5 - len(failed), 1)
    shown = list(state.running.values())
    if len(shown) > rows > 1:
        rows -= 1  # for the line that says so
    hidden = len(shown) - rows
    parts: list[RenderableType] = [header(state, run, now), running_table(shown[:rows], now, room.width)]
    if hidden > 0 and rows > 1:
        parts.append(Text(f"  … and {hidden} more at work", style="dim"))
    parts.extend(failure(task) for task in failed)
    parts += [counts(state), Constrain(progress(state, now), room.width - ECHO)]
    return Group(*parts)


def header(state: RunState, run: str, now: float) -> RenderableType:
    begun = state.started
    line = Table.grid(expand=True)
    line.add_column(no_wrap=True, overflow="ellipsis")
    line.add_column(justify="right", no_wrap=True)
    about = f" · {begun.upstream} model" if begun and begun.upstream else ""
    width = f" · {begun.concurrent} at once" if begun else ""
    again = f" · {words}" if begun and (words := going_on(begun)) else ""
    line.add_row(Text.assemble((run, "bold"), about, width, again), clock(now - state.started_at))
    return line


def running_table(tasks: list[TaskState], now: float, width: int) -> RenderableType:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=3 if width < WIDE else 2)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=4)
    for _ in range(3 if width >= WIDE else 0):
        table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for task in tasks:
        name = Text.assemble((f"{SIGNS[Status.RUNNING][0]} ", SIGNS[Status.RUNNING][1]), task.id)
        spent = task.input_tokens + task.output_tokens
        figures = [
            plural(task.turns, "turn") if task.turns else "",
            f"{tokens(spent)} tok" if spent else "",
            dollars(task.cost_usd) if task.cost_usd else "",  # the CLI tells it when an attempt ends
        ]
        since = clock(now - (task.started or now))
        table.add_row(name, Text(clean(task.doing or ""), style="dim"), *(figures if width >= WIDE else []), since)
    return table


def failure(task: TaskState) -> Text:
    result = task.result or {}
    sign, colour = SIGNS[Status.FAILED]
    line = Text(no_wrap=True, overflow="ellipsis")
    return (
        line.append(f"{sign} ", colour)
        .append(task.id)
        .append("  ")
        .append(one_line(f"{result.get('outcome')}: {result.get('error')}"), "dim")
    )


def counts(state: RunState) -> Text:
    """`✓ 31 done  ✗ 1 failed  ▶ 8 running  · 10 waiting`, leaving out what there is none of."""
    words = {Status.PENDING: "waiting"}
    line = Text(no_wrap=True, overflow="ellipsis")
    for status in (Status.DONE, Status.FAILED, Status.SKIPPED, Status.CANCELLED, Status.RUNNING, Status.PENDING):
        if number := state.counts[status]:
            sign, colour = SIGNS[status]
            line.append(f"{sign} {number} {words.get(status, status.value)}", colour).append("  ")
    if state.reused:
        line.append(f"({state.reused} from before)  ", "dim")
    line.append(f"{tokens(state.input_tokens + state.output_tokens)} tokens · {dollars(state.cost_usd)}", "dim")
    return line


def progress(state: RunState, now: float) -> RenderableType:
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(ratio=1)
    line.add_column(justify="right", no_wrap=True)
    left = seconds_left(state, now)
    about = f"about {clock(left)} left" if left is not None else ""
    share = f"{state.ended}/{state.total}"
    line.add_row(ProgressBar(total=max(state.total, 1), completed=state.ended), f"{share} {about}".strip())
    return line


def seconds_left(state: RunState, now: float) -> float | None:
    """What remains at the pace so far, in seconds; None until two tasks have ended or when none is left.

    Loops that have not been expanded yet are not known, so it is a lower guess early in a plan.
    """
    ended = state.counts[Status.DONE] + state.counts[Status.FAILED] - state.reused
    left = state.total - state.ended
    if ended < 2 or not left:
        return None
    return (now - state.started_at) / ended * left
