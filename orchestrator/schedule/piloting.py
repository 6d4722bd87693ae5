"""Piloting: from the first items of each loop to what the whole would take."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.events import RunForecast
from orchestrator.schedule.estimate import Earlier, Estimates
from orchestrator.schedule.outlook import Foreseen, outlook
from orchestrator.state import FREE_KINDS, RunState, TaskState
from orchestrator.task import Status

Over = Mapping[str, Sequence[str]]
"""By group the groups whose parts' results its items were made of."""
Moves = Sequence[tuple[str, str]]
"""What ids begin with, and what they are to begin with."""


def outlook_of_pilot(whole: "Whole", width: int) -> RunForecast | None:
    """The forecast of the whole run, what the pilot did included; None when nothing of it succeeded.

    A loop gets as many parts as it has items; one over what a loop gave that was cut short, more in proportion.
    """
    tasks = whole.state.tasks.values()
    estimates = Estimates(filter(None, (learned(task, whole.state) for task in tasks)))
    return outlook(list(whole.tasks()), estimates, width, "its pilot")


def learned(task: TaskState, state: RunState) -> Earlier | None:
    """What a task took; nothing, if its own condition left it out; None where that is not known."""
    if task.status is Status.DONE and task.result is not None and not task.is_group:
        return Earlier(task.id, task.agent, task.result["duration"], task.result["cost_usd"], task.kind)
    needs_met = all(state.tasks[need].lets(task) for need in task.needs)
    if task.status is Status.SKIPPED and needs_met and task.kind not in FREE_KINDS:
        return Earlier(task.id, task.agent, 0.0, 0.0, task.kind)
    return None


@dataclass(slots=True)
class Whole:
    """A run as it would be had its loops taken all their items."""

    state: RunState
    over: Over
    _counts: dict[str, int] = field(default_factory=dict)

    def tasks(self) -> Iterator[Foreseen]:
        for task in self.state.tasks.values():
            if task.parent is None:
                yield from self._grown(task, task.id, None, [])

    def count(self, group: str) -> int:
        """How many parts it would have."""
        if group not in self._counts:
            task = self.state.tasks[group]
            there = len(task.parts or ())
            self._counts[group] = there  # should they be made of each other
            share = max((self._share(each) for each in self.over.get(group, ())), default=1.0)
            self._counts[group] = max(there, round((task.of or there) * share))
        return self._counts[group]

    def _share(self, group: str) -> float:
        """How many times as many parts it would have as it has."""
        task = self.state.tasks.get(group)
        return self.count(group) / len(task.parts) if task and task.is_group and task.parts else 1.0

    def _grown(self, task: TaskState, name: str, parent: str | None, moves: Moves) -> Iterator[Foreseen]:
        """The task under a name, and all below it."""
        needs = [moved(need, moves) for need in task.needs]
        yield Foreseen(name, task.kind, task.agent, needs, parent)
        parts = [self.state.tasks[part] for part in task.parts or ()]
        for part in parts:
            yield from self._grown(part, moved(part.id, moves), name, moves)
        for index in range(len(parts), self.count(task.id) if parts else 0):
            model, new = parts[index % len(parts)], f"{name}[{index}]"
            yield from self._grown(model, new, name, [(model.id, new), *moves])


def moved(task: str, moves: Moves) -> str:
    """The id in the place of the first beginning that it has."""
    for old, new in moves:
        if task == old or task.startswith((f"{old}[", f"{old}.")):
            return new + task[len(old) :]
    return task
