"""The tasks at work as an outline: each below its group, folded until it fits into so many lines."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestrator.state import RunState, TaskState
from orchestrator.tree import relative


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the outline."""

    label: str
    """What the task is called below the group that it stands under; of a line without a task that group's name."""
    depth: int = 0
    task: TaskState | None = None
    """None for a line that says how many found no room."""
    folded: int = 0
    """How many tasks at work the line stands for, besides its own."""


@dataclass(slots=True, eq=False)
class Knot:
    """A task that is at work, or has tasks at work below it."""

    task: TaskState
    runs: bool = False
    below: "list[Knot]" = field(default_factory=list)
    at_work: int = 0
    """Tasks at work, itself and those below it."""

    @property
    def lines(self) -> int:
        """How many it takes with all below it."""
        return 1 if self.at_work == 1 else 1 + sum(each.lines for each in self.below)


def flat(state: RunState, rows: int) -> list[Line]:
    """The tasks at work in the order of their start, by their full ids."""
    shown = list(state.running.values())
    fitting = rows if len(shown) <= rows else max(rows - 1, 1)
    lines = [Line(task.id, 0, task) for task in shown[:fitting]]
    return lines + ([Line("", folded=len(shown) - fitting)] if fitting < min(len(shown), rows) else [])


def outline(state: RunState, rows: int) -> list[Line]:
    """The tasks at work below their groups, in at most `rows` lines (1 or more)."""
    top = knots(state)
    if sum(_whole(knot) for knot in top) > rows:
        return _fit(top, 0, rows, None, "")
    return [line for knot in top for line in _open(knot, 0, _whole(knot), None)]


def knots(state: RunState) -> list[Knot]:
    """The top of the tree of what is at work; what began first comes first."""
    found: dict[str, Knot] = {}
    top: list[Knot] = []
    for task in state.running.values():
        _knot(task, state, found, top).runs = True
    for knot in reversed(found.values()):  # whatever is above a knot was found before it
        knot.below.sort(key=_began)
        knot.at_work = knot.runs + sum(each.at_work for each in knot.below)
    return sorted(top, key=_began)


def _knot(task: TaskState, state: RunState, found: dict[str, Knot], top: list[Knot]) -> Knot:
    """The task's knot, put below that of its parent."""
    if task.id in found:
        return found[task.id]
    parent = state.tasks.get(task.parent) if task.parent is not None else None
    beside = top if parent is None else _knot(parent, state, found, top).below
    knot = found[task.id] = Knot(task)
    beside.append(knot)
    return knot


def _began(knot: Knot) -> float:
    return knot.task.started or 0.0


def _whole(knot: Knot) -> int:
    """Lines for a knot at the top: a group has a line of its own there, also above a single task."""
    return knot.lines + (knot.at_work == 1 and not knot.runs)


def _open(knot: Knot, depth: int, rows: int, above: str | None) -> list[Line]:
    """A knot in as many lines as it wants, or fewer; a group above a single task is told by that task alone."""
    if rows == 1 or (rows == 2 and len(knot.below) > 1):
        return [_folded(knot, depth, above)]
    label = relative(knot.task.id, above)
    return [Line(label, depth, knot.task), *_fit(knot.below, depth + 1, rows - 1, knot.task.id, label)]


def _folded(knot: Knot, depth: int, above: str | None) -> Line:
    while knot.at_work == 1 and not knot.runs:
        (knot,) = knot.below
    return Line(relative(knot.task.id, above), depth, knot.task, knot.at_work - knot.runs)


def _fit(beside: Sequence[Knot], depth: int, rows: int, above: str | None, name: str) -> list[Line]:
    """Knots of one group in at most `rows` lines; those that find no room are counted."""
    if len(beside) > rows:
        hidden = sum(knot.at_work for knot in beside[rows - 1 :])
        return [*(_folded(knot, depth, above) for knot in beside[: rows - 1]), Line(name, depth, folded=hidden)]
    given = shares([knot.lines for knot in beside], rows)
    return [line for knot, share in zip(beside, given, strict=True) for line in _open(knot, depth, share, above)]


def shares(wanted: Sequence[int], rows: int) -> list[int]:
    """`rows` lines shared out: a line for each, and the rest evenly among those that want more."""
    given = [1] * len(wanted)
    left = rows - len(wanted)
    for waiting, index in zip(
        range(len(wanted), 0, -1), sorted(range(len(wanted)), key=wanted.__getitem__), strict=True
    ):
        more = min(wanted[index] - 1, left // waiting)
        given[index] += more
        left -= more
    return given
