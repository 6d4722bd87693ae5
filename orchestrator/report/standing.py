"""Where tasks stand in their run's tree, and how."""

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.state import GROUPS, RunState, TaskState
from orchestrator.task import Outcome, Status
from orchestrator.tree import NONE, Tally, tallies, walk


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a task stands in the run's tree, and how."""

    kind: str
    """`agent`, `call`, `write`, or a group: `loop`, `pipeline`, `vote`, `plan`, `group`."""
    parent: str | None
    """The group that it is a part of, or the task that spawned it."""
    depth: int
    """Counted from 0."""
    status: Status
    outcome: Outcome | None
    """None for what has not ended."""
    parts: tuple[str, ...]
    """The tasks right below it."""
    done: int
    """How many of the tasks below it, at any depth, have succeeded; groups are counted by their parts."""
    total: int
    """How many there are."""
    seconds: float | None
    """From its beginning to its end; None for what never began or has not ended."""
    peak_memory: int = 0
    """The most bytes that its agent's processes used; 0 when they were not measured."""

    @property
    def is_group(self) -> bool:
        return self.kind in GROUPS


def ordered(state: RunState) -> Iterator[TaskState]:
    """All tasks in the order in which they were added, what is below a task right behind it."""
    return (task for task, _ in walk(state))


def standings(state: RunState, *, going: bool) -> dict[str, Standing]:
    """Where each task stands; `going`: whether the run's process lives, or ended the run itself."""
    counted = tallies(state)
    return {
        task.id: _standing(task, depth, counted.get(task.id, NONE), status_of(task, going=going))
        for task, depth in walk(state)
    }


def _standing(task: TaskState, depth: int, tally: Tally, status: Status) -> Standing:
    return Standing(
        kind=task.kind,
        parent=task.parent,
        depth=depth,
        status=status,
        outcome=Outcome(task.result["outcome"]) if task.result else None,
        parts=tuple(task.parts or ()),
        done=tally.done,
        total=tally.total,
        seconds=seconds_of(task) if task.started and task.finished else None,
        peak_memory=task.peak_memory,
    )


def status_of(task: TaskState, *, going: bool) -> Status:
    """Where nothing goes on any more, no task is running."""
    return task.status if going or task.status is not Status.RUNNING else Status.CANCELLED


def seconds_of(task: TaskState) -> float:
    """From its beginning to its end; 0 for what never began or has not ended."""
    return (task.finished - task.started) if task.started and task.finished else 0.0
