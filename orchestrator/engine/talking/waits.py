"""Who waits for whom in a run: a pure function of its state finds the circles that would never end."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.state import FINISHED, RunState, TaskState


@dataclass(slots=True)
class Waits:
    """What agents at work wait for, beyond what their tasks needed."""

    state: RunState
    by: dict[str, Counter[str]] = field(default_factory=dict)
    """By who waits: the tasks whose ends they wait for."""

    def begin(self, task: str, others: Iterable[str]) -> None:
        self.by.setdefault(task, Counter()).update(others)

    def end(self, task: str, others: Iterable[str]) -> None:
        self.by[task].subtract(others)
        self.by[task] = +self.by[task]

    def find_circle(self, task: str, other: str) -> str | None:
        """Why the task would wait for ever if it waited for the other's end: `b needs c, c waits for a`; else None."""
        queue = deque([Place(other)])
        known: dict[Place, tuple[Place, str]] = {}
        while queue:
            place = queue.popleft()
            for then, how in self._waited_for(place):
                if then not in known:
                    known[then] = place, f"{place.task} {how} {then.task}"
                    if then.task == task:
                        return ", ".join(reversed(list(way(then, known))))
                    queue.append(then)
        return None

    def _waited_for(self, place: "Place") -> "Iterator[tuple[Place, str]]":
        """What has to happen before it, and how that is said."""
        state = self.state.tasks[place.task]
        if state.status not in FINISHED:
            yield from ((Place(need, over=True), "needs") for need in state.needs if not self.state.tasks[need].is_over)
            yield from ((Place(other), "waits for") for other in self.by.get(place.task, ()))
        if state.is_group or place.over:
            yield from ((Place(part, over=True), "has the part") for part in open_parts(state, self.state))


@dataclass(frozen=True, slots=True)
class Place:
    """The end of a task."""

    task: str
    over: bool = False
    """Also of those that it spawned."""


def way(place: Place, known: Mapping[Place, tuple[Place, str]]) -> Iterator[str]:
    """The steps that led there, the last one first."""
    while place in known:
        place, step = known[place]
        yield step


def open_parts(task: TaskState, state: RunState) -> Iterator[str]:
    return (part for part in task.parts or () if part in state.tasks and not state.tasks[part].is_over)
