"""Which task of a run is meant by a name, and which records are of it."""

from collections.abc import Collection, Sequence

from orchestrator.errors import UsageError
from orchestrator.events import Event, TaskAdded
from orchestrator.plan.words import did_you_mean, listed
from orchestrator.state import GROUPS

BELOW = (".", "[")
"""What follows a group's name in the ids of its parts."""


def find_task(name: str, known: Collection[str], run: str) -> str:
    """The task of that id, or what several ids begin with, as `backend.`.

    Raises UsageError when the run has nothing of that name.
    """
    plain = name.rstrip(".")
    if name in known:
        return name
    if plain in known or below(plain, known):
        return plain
    top = [task for task in known if not any(sign in task for sign in BELOW)]
    there = f"it has {listed(top or known)}" if known else "it has none yet"
    raise UsageError(f"run {run} has no task {name!r}{did_you_mean(name, known)}; {there}")


def below(name: str, known: Collection[str]) -> list[str]:
    """The tasks whose ids go on from there."""
    return [task for task in known if is_below(task, name)]


def is_below(task: str, name: str) -> bool:
    return task.startswith(name) and task[len(name) : len(name) + 1] in BELOW


def check_task(name: str, events: Sequence[Event], run: str, *, going: bool) -> None:
    """Raises UsageError for a task that the run does not have; of one that is still `going` parts may come later."""
    added = {event.task: event.task_kind for event in events if isinstance(event, TaskAdded)}
    if not (going and any(kind in GROUPS and is_below(name, task) for task, kind in added.items())):
        find_task(name, added, run)


class Wanted:
    """Tells the records of a task, or of a group and all that is below it; the events themselves say what that is."""

    def __init__(self, name: str | None) -> None:
        self._all = name is None
        self._name = (name or "").rstrip(".")
        self._tasks: set[str] = set()
        self._groups: set[str] = set()

    def takes(self, event: Event) -> bool:
        """Whether it is one of them; to be asked of each of a run's events, in their order."""
        if self._all:
            return True
        if isinstance(event, TaskAdded) and self._is_of_it(event):
            self._tasks.add(event.task)
            if event.task_kind in GROUPS:
                self._groups.add(event.task)
        return getattr(event, "task", None) in self._tasks

    def _is_of_it(self, added: TaskAdded) -> bool:
        there = self._name in self._tasks  # then what is below it says so
        by_name = added.task == self._name or (not there and is_below(added.task, self._name))
        return by_name or added.parent in self._groups
