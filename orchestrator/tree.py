"""The tree of a run's tasks: groups with their parts, and agents' tasks with those that they spawned."""

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.state import RunState, TaskState
from orchestrator.task import Status

PENDING, RUNNING, DONE, FAILED = Status.PENDING, Status.RUNNING, Status.DONE, Status.FAILED  # looked up very often


@dataclass(slots=True)
class Tally:
    """How far the tasks below a task have come; groups are counted by their parts."""

    total: int = 0
    ended: int = 0
    done: int = 0
    failed: int = 0

    def add(self, other: "Tally") -> None:
        self.total += other.total
        self.ended += other.ended
        self.done += other.done
        self.failed += other.failed

    def count(self, status: Status) -> None:
        """Takes one task into account."""
        self.total += 1
        if status is DONE:
            self.done += 1
        elif status is FAILED:
            self.failed += 1
        if status is not PENDING and status is not RUNNING:
            self.ended += 1


NONE = Tally()
"""Of a task that has none below it."""


def walk(state: RunState) -> Iterator[tuple[TaskState, int]]:
    """All tasks with their depth, in the order in which they were added, what is below a task right behind it."""
    below: dict[str | None, list[TaskState]] = {}
    for task in state.tasks.values():
        below.setdefault(task.parent if task.parent in state.tasks else None, []).append(task)
    waiting = [(task, 0) for task in reversed(below.get(None, ()))]
    while waiting:
        task, depth = waiting.pop()
        yield task, depth
        waiting.extend((part, depth + 1) for part in reversed(below.get(task.id, ())))


def tallies(state: RunState) -> dict[str, Tally]:
    """By task, for those that have tasks below them."""
    found: dict[str, Tally] = {}
    for task in reversed(state.tasks.values()):  # a task is added after the one that it is below of
        if task.parent is None:
            continue
        above = found.get(task.parent)
        if above is None:
            above = found[task.parent] = Tally()
        if task.counts:
            above.count(task.status)
        if task.parts is not None and (own := found.get(task.id)):
            above.add(own)
    return found


def is_nested(state: RunState) -> bool:
    """Whether anything is more than one level deep."""
    for task in state.tasks.values():
        above = state.tasks.get(task.parent) if task.parent is not None else None
        if above is not None and above.parent is not None:
            return True
    return False


def relative(task: str, above: str | None) -> str:
    """The id as it is told below another task: `[3].verify` below `check`, `report` below `backend`."""
    if above is None or not task.startswith(above) or task[len(above) : len(above) + 1] not in (".", "["):
        return task
    return task[len(above) :].removeprefix(".") or task
