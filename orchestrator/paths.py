"""Tasks that wait for each other: in which order they can be gone through, and the longest path through them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple, Protocol


class Placed(Protocol):
    """A task's place among others."""

    @property
    def id(self) -> str: ...

    @property
    def needs(self) -> Sequence[str]:
        """Ids of tasks that must end before it starts."""
        ...

    @property
    def parent(self) -> str | None:
        """The group that it is a part of: a loop, a vote, a nested plan."""
        ...


@dataclass(frozen=True, slots=True)
class Timed:
    """A task that takes so long; a group that has parts takes as long as they do, and its own seconds do not count."""

    id: str
    seconds: float
    needs: Sequence[str] = ()
    parent: str | None = None
    is_free: bool = False
    """Whether it takes no place, as what runs no agent."""


class Point(NamedTuple):
    """The end of a task, or the start of a group that has parts."""

    task: str
    is_start: bool = False


def points_before(tasks: Sequence[Placed]) -> dict[Point, list[Point]]:
    """Each point with those that come right before it. Needs and parents that are not among `tasks` are left out.

    A group starts after its needs, its parts end after it has started, and it ends after its parts. As many arrows as
    there are needs and parts: what waits for a group waits for one point, however many parts it has.
    """
    known = {task.id for task in tasks}
    groups = {task.parent: None for task in tasks if task.parent is not None and task.parent in known}
    before = {Point(group): [Point(group, is_start=True)] for group in groups}
    for task in tasks:
        mine = [Point(need) for need in task.needs if need in known]
        if task.parent is not None and task.parent in groups:
            mine.append(Point(task.parent, is_start=True))
            before[Point(task.parent)].append(Point(task.id))
        before[Point(task.id, is_start=task.id in groups)] = mine
    return before


def in_order(before: Mapping[Point, Sequence[Point]]) -> list[Point]:
    """The points, each after those that come before it. Raises ValueError when they wait for each other in a circle."""
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError as error:
        circle = " → ".join(point.task for point in error.args[1])
        raise ValueError(f"these tasks wait for each other in a circle: {circle}") from None


def critical_path(tasks: Sequence[Timed]) -> tuple[float, list[str]]:
    """The longest path in seconds, and the tasks on it, first to last, groups that have parts left out.

    No number of places makes a run of these tasks shorter. Raises ValueError for tasks that wait in a circle.
    """
    before = points_before(tasks)
    seconds = own_seconds(tasks, before)
    ends: dict[Point, float] = {}
    last: dict[Point, Point | None] = {}
    for point in in_order(before):
        last[point] = latest = max(before[point], key=ends.__getitem__, default=None)
        ends[point] = seconds.get(point, 0.0) + (0.0 if latest is None else ends[latest])
    final = max(ends, key=ends.__getitem__, default=None)
    return 0.0 if final is None else ends[final], _back(final, last, seconds)


def own_seconds(tasks: Sequence[Timed], before: Mapping[Point, object]) -> dict[Point, float]:
    """What each point takes that is no group's: the others take no time themselves."""
    return {Point(task.id): task.seconds for task in tasks if Point(task.id, is_start=True) not in before}


def _back(point: Point | None, last: Mapping[Point, Point | None], seconds: Mapping[Point, float]) -> list[str]:
    path = []
    while point is not None:
        if point in seconds:
            path.append(point.task)
        point = last[point]
    return path[::-1]


def lower_bound(tasks: Sequence[Timed], width: int) -> float:
    """Seconds below which no order brings a run of these tasks, `width` at once: its longest path, or work / width."""
    return max(critical_path(tasks)[0], work_of(tasks) / width)


def work_of(tasks: Sequence[Timed]) -> float:
    """Seconds of work that takes places, summed over all that are no groups with parts."""
    groups = {task.parent for task in tasks}
    return sum(task.seconds for task in tasks if task.id not in groups and not task.is_free)
