"""One picture of a run at work: a pure function of its state, the time and the room there is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.state import RunState, TaskState
from orchestrator.task import Status
from orchestrator.tree import NONE, Tally, is_nested, tallies
from orchestrator.views.costs import budget_words
from orchestrator.views.outline import Line, flat, outline
from orchestrator.views.regimes import regime_line
from orchestrator.views.words import (
    SIGNS,
    answering,
    clean,
    clock,
    dollars,
    going_on,
    one_line,
    plural,
    size,
    span,
    tokens,
)

WIDE = 80
"""Columns from which turns, tokens and cost have room."""
LOW = 8
"""Lines of a terminal that has room for counts and tasks alone."""
FAILURES = 3
"""How many of the last failures stay in sight."""
ECHO = 3
"""Columns left free where the cursor rests: a terminal writes `^C` there, and a line break would shift the picture."""
SILENT = 30.0
"""Seconds without a message after which an agent that thinks is said to be silent: its API may be slow."""
BETWEEN = " · "
LEAST_CLOCK = 5
"""Columns that the time has, however much is said before it."""
INDENT = 2
"""Columns per level of the tree."""
DEEPEST = 5
"""Levels that are indented: below that names would have no room."""


@dataclass(frozen=True, slots=True)
class Room:
    """The terminal's size, in columns and lines."""

    width: int
    height: int


def picture(state: RunState, run: str, now: float, room: Room) -> RenderableType:
    """Header, a row per running task, the last failures, counts and progress; never taller than the room."""
    failed = [task for task in state.leaves() if task.status is Status.FAILED] if state.counts[Status.FAILED] else []
    failed = failed[len(failed) - min(len(failed), FAILURES, max(room.height - 5, 0)) :]
    nested = is_nested(state)
    held = [line] if room.height > LOW and (line := regime_line(state, now)) else []
    top = header(state, run, now, room)
    taken = len(failed) + len(held) + len(top) - 1
    lines = (outline if nested else flat)(state, max(room.height - 5 - taken, 1))
    hidden = lines.pop().folded if lines and lines[-1].task is None and not lines[-1].depth else 0
    parts: list[RenderableType] = [*top, *held]
    parts.append(running_table(lines, tallies(state) if nested else {}, now, room.width))
    if hidden:
        parts.append(Text(f"  … and {hidden} more at work", style="dim"))
    parts.extend(failure(task) for task in failed)
    parts += [counts(state), Constrain(progress(state, now), room.width - ECHO)]
    return Group(*parts)


def header(state: RunState, run: str, now: float, room: Room) -> list[RenderableType]:
    """The run and its time; what finds no room beside them goes below, a thing whole or not at all, but for
    the first."""
    took = clock(now - state.started_at)
    first, rest = fitting([Text(run, style="bold"), *facts(state, now)], room.width - max(len(took), LEAST_CLOCK) - 1)
    line = Table.grid(expand=True)
    line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    line.add_column(justify="right", no_wrap=True, min_width=LEAST_CLOCK)
    line.add_row(first, took)
    if not rest or room.height <= LOW:
        return [line]
    below = Text("  ", no_wrap=True, overflow="ellipsis")
    return [line, below.append_text(fitting(rest, room.width - ECHO)[0])]


def fitting(pieces: Sequence[Text], width: int) -> tuple[Text, Sequence[Text]]:
    """As many of the pieces, from the first on, as go into a line, and the others."""
    line = pieces[0].copy()
    for number, piece in enumerate(pieces[1:], 1):
        if cell_len(line.plain) + len(BETWEEN) + cell_len(piece.plain) > width:
            return line, pieces[number:]
        line.append(BETWEEN).append_text(piece)
    return line, ()


def facts(state: RunState, now: float) -> Iterator[Text]:
    """How the run stands, what matters most first."""
    begun = state.started
    if begun and (words := answering(begun.upstream)):
        yield Text(words)
    if begun:
        yield Text(f"{state.width} at once")
    if state.paused_until > now:
        yield Text(f"API paused {span(state.paused_until - now)}", style="yellow")
    if state.memory_awaited:
        used = f"{size(state.memory)}{BETWEEN}" if state.memory else ""
        yield Text.assemble(used, ("waiting for memory", "yellow"))
    yield from map(Text, budget_words(state, now))
    if state.memory and not state.memory_awaited:
        yield Text(size(state.memory))
    if begun and (words := going_on(begun)):
        yield Text(words)
    if state.forecast:
        yield Text(f"forecast {clock(state.forecast.wall_s)}")


def running_table(lines: Sequence[Line], below: Mapping[str, Tally], now: float, width: int) -> RenderableType:
    """A row per task at work, and per group above them; `below` has how far the tasks below each have come."""
    wide = width >= WIDE
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=2 if wide and not below else 3)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=4)
    for _ in range(3 if wide else 0):
        table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for line in lines:
        name, doing = called(line), said(line, below, now)
        since = clock(now - (line.task.started or now)) if line.task else ""
        table.add_row(name, doing, *(figures(line.task) if wide else []), since)
    return table


def called(line: Line) -> Text:
    """`▶ [3].verify` for a task, `▾ check` for a group above those that follow, `▸ check` for one that is folded."""
    indent = " " * INDENT * min(line.depth, DEEPEST)
    if line.task is None:
        return Text(f"{indent}… and {line.folded} more", style="dim")
    if line.task.status is Status.RUNNING and not line.task.is_group:
        sign, colour = SIGNS[Status.RUNNING]
        return Text.assemble(indent, (f"{sign} ", colour), clean(line.label))
    return Text.assemble(indent, ("▸ " if line.folded else "▾ ", "dim"), (clean(line.label), "bold"))


def said(line: Line, below: Mapping[str, Tally], now: float) -> Text:
    """What an agent does; how far a group has come; how many tasks at work a folded line stands for."""
    if line.task is None:
        return Text(f"at work in {clean(line.label)}", style="dim")
    words = [f"{line.folded} at work" + (" below it" if line.task.runs_agent else "")] if line.folded else []
    if line.task.status is Status.RUNNING and not line.task.is_group:
        style = "yellow" if line.task.api or line.task.queued else "dim"
        return Text(" · ".join([*words, *doing(line.task, now)]), style=style)
    tally = below.get(line.task.id, NONE)
    failed = [f"{tally.failed} failed"] if tally.failed else []
    return Text(" · ".join([f"{tally.ended}/{tally.total}", *failed, *words]), style=SIGNS[Status.RUNNING][1])


def doing(task: TaskState, now: float) -> Iterator[str]:
    """What an agent does, with how long it waits: in the queue, until its CLI asks again, or for a word in thought."""
    if not task.doing:
        return
    yield clean(task.doing)
    if task.queued:
        yield f"in the queue for {clock(now - task.queued_at)}"
        return
    left = task.api_at + (task.api.retry_after or 0.0) - now if task.api else 0.0
    silent = now - task.heard_at if task.doing == "thinking" else 0.0
    if left > 0:
        yield f"again in {left:.0f} s"
    elif silent >= SILENT:
        yield f"no word for {clock(silent)}"


def figures(task: TaskState | None) -> list[str]:
    """Turns, tokens and cost of an agent, as far as they are known."""
    if task is None or task.is_group:
        return ["", "", ""]
    spent = task.input_tokens + task.output_tokens
    return [
        plural(task.turns, "turn") if task.turns else "",
        f"{tokens(spent)} tok" if spent else "",
        dollars(task.cost_usd) if task.cost_usd else "",  # the CLI tells it when an attempt ends
    ]


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
