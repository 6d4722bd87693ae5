"""What held a run back, how parallel it was, and how much of its places it used."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.paths import Timed, critical_path
from orchestrator.state import FREE_KINDS, RunState

NEAR = 1.2
"""A run is held back by what it takes no more than so many times as long as."""


class Verdict(StrEnum):
    """How parallel a run was."""

    PARALLEL = "PARALLEL"
    """It took hardly longer than its longest task."""
    PARTIAL = "PARTIAL"
    SEQUENTIAL = "SEQUENTIAL"
    """It took as long as one task after the other."""


class Brake(StrEnum):
    """What held a run back."""

    LIMIT = "limit"
    """How many may be at work at once."""
    LONGEST = "longest task"
    NEEDS = "needs"
    """Tasks that wait for one another, one after the other."""
    RATE = "rate"
    """Waits between attempts."""
    START_UP = "start-up"
    """None of these: time in which no agent was at work yet, as that in which processes start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a task took in a run."""

    id: str
    seconds: float
    """Of work, summed over its attempts."""
    waited: float = 0.0
    """Seconds between its attempts, in which others could work in its place."""
    needs: Sequence[str] = ()
    parent: str | None = None
    is_free: bool = False
    """Whether it takes no place, as what runs no agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Of a whole run."""

    verdict: Verdict
    brake: Brake
    path: tuple[str, ...]
    """The tasks of the longest path, first to last."""
    path_s: float
    """Seconds of work on it."""
    limit_s: float
    """Seconds that all the work takes with every place at work all the time."""
    speedup: float
    """How many times faster than one task after the other."""
    efficiency: float
    """Share of the time of its places in which they were at work, from 0 to 1; places are no more than tasks."""

    @property
    def bound_s(self) -> float:
        """Seconds below which no order would have brought the run."""
        return max(self.path_s, self.limit_s)


def judge(tasks: Sequence[Ran], wall: float, width: int) -> Judgement:
    """Judges a run that took `wall` seconds with at most `width` agents at once.

    Groups that have parts may be among the tasks; their own times do not count.
    """
    leaves = leaves_of(tasks)
    work = work_of(tasks)
    places = max(1, min(width, sum(not task.is_free for task in leaves)))
    path_s, path = critical_path([Timed(task.id, task.seconds, task.needs, task.parent) for task in tasks])
    return Judgement(
        verdict=verdict([task.seconds for task in leaves], wall),
        brake=brake(tasks, wall, places),
        path=tuple(path),
        path_s=path_s,
        limit_s=work / places,
        speedup=work / wall if wall else 1.0,
        efficiency=min(1.0, work / (wall * places)) if wall else 1.0,
    )


def ran_of(state: RunState) -> list[Ran]:
    """What the tasks of a run took that it did itself: not what was there before, nor what never began."""
    found = []
    for task in state.tasks.values():
        if task.started is None or task.finished is None:
            continue
        parent = state.tasks.get(task.parent or "")
        there = task.finished - task.started
        found.append(
            Ran(
                id=task.id,
                seconds=task.worked_s,
                waited=max(there - task.worked_s, 0.0) if task.attempts > 1 else 0.0,
                needs=task.needs,
                parent=parent.id if parent and parent.is_group else None,  # an agent that spawns has work of its own
                is_free=task.kind in FREE_KINDS,
            )
        )
    return found


def work_of(tasks: Sequence[Ran]) -> float:
    """Seconds of work that took places."""
    return sum(task.seconds for task in leaves_of(tasks) if not task.is_free)


def leaves_of(tasks: Sequence[Ran]) -> list[Ran]:
    """All but the groups that have parts."""
    groups = {task.parent for task in tasks}
    return [task for task in tasks if task.id not in groups]


def verdict(seconds: Sequence[float], wall: float) -> Verdict:
    """How parallel a run of tasks with these times was."""
    if len(seconds) < 2 or sum(seconds) <= 1.1 * wall:
        return Verdict.SEQUENTIAL
    return Verdict.PARALLEL if wall <= NEAR * max(seconds) else Verdict.PARTIAL


def brake(tasks: Sequence[Ran], wall: float, places: int) -> Brake:
    """What the run took hardly longer than; failing that, what most of the rest of its time went to."""
    path_s, limit_s = _bounds(tasks, places, waits=False)
    if wall > NEAR * max(path_s, limit_s):
        waited = max(_bounds(tasks, places, waits=True)) - max(path_s, limit_s)
        return Brake.RATE if waited >= (wall - max(path_s, limit_s)) / 2 else Brake.START_UP
    if limit_s > path_s:
        return Brake.LIMIT
    longest = max((task.seconds for task in leaves_of(tasks)), default=0.0)
    return Brake.LONGEST if path_s <= NEAR * longest else Brake.NEEDS


def _bounds(tasks: Sequence[Ran], places: int, *, waits: bool) -> tuple[float, float]:
    """Seconds of the longest path, and of all work with every place at work; with or without waits between attempts.

    Of these only the longest may come on top of the work: in the others' time there are others to work.
    """
    timed = [Timed(task.id, task.seconds + task.waited * waits, task.needs, task.parent) for task in tasks]
    longest = max((task.waited for task in leaves_of(tasks)), default=0.0) * waits
    return critical_path(timed)[0], work_of(tasks) / places + longest
