"""What is known from before: results that need not be paid for again, and attempts that were cut off."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.events import (
    AttemptFinished,
    AttemptStarted,
    Event,
    Record,
    RunStarted,
    SessionStarted,
    TaskFinished,
)
from orchestrator.task import Outcome, Result, Status


@dataclass(slots=True)
class Begun:
    """A task that has begun and has no good result."""

    key: str | None
    place: str | None
    session_id: str | None
    attempts: int
    """How many there have been."""
    cost_usd: float = 0.0
    duration: float = 0.0
    """Seconds of work so far."""
    outcome: Outcome | None = None
    """Of the last attempt; None when nobody was left to see its end."""
    started: bool = False
    """Whether its session was there."""


@dataclass(frozen=True, slots=True)
class Found:
    """A finished result, and the run that has it."""

    result: Mapping[str, Any]
    run: str


@dataclass(slots=True)
class Earlier:
    """One run so far, folded for going on with it. Results are by key, so the order in which they came is no matter."""

    run: str
    begun: dict[str, Begun] = field(default_factory=dict)
    """By task."""
    resumed: int = 0
    """How often the run has been started, the first time included."""
    spent_usd: float = 0.0
    _finished: dict[str, dict[tuple[str, str], Found]] = field(default_factory=dict)
    """By key, then by run and task."""
    _given: set[tuple[str, str, str]] = field(default_factory=set)
    """By key, run and task: what was taken."""
    _places: dict[str, dict[str, str]] = field(default_factory=dict)
    """By task and key: where the task worked."""

    @classmethod
    def of(cls, run: str, records: Iterable[Record]) -> "Earlier":
        earlier = cls(run)
        for record in records:
            earlier.apply(record.event)
        return earlier

    def apply(self, event: Event) -> None:
        """Folds one event of the run in."""
        if fold := _FOLDS.get(type(event)):
            fold(self, event)

    @property
    def count(self) -> int:
        """How many results there are."""
        return sum(map(len, self._finished.values()))

    def add(self, key: str, records: Iterable[Record]) -> None:
        """Adds finished results with this key, the newest first; what is there already comes before them."""
        known = self._finished.setdefault(key, {})
        for record in records:
            event = record.event
            place = (record.run, getattr(event, "task", ""))
            if isinstance(event, TaskFinished) and record.run != self.run and (key, *place) not in self._given:
                known.setdefault((record.run, event.task), Found(event.result, record.run))

    def take(self, task: str, key: str) -> Result | None:
        """A finished result for the key, its own if there is one; each is given once. None when there is none.

        Two tasks that ask the same get a result each: that of either will do for either.
        """
        found = self._finished.get(key)
        if not found:
            return None
        place = (self.run, task) if (self.run, task) in found else next(iter(found))
        known = found.pop(place)
        self._given.add((key, *place))
        return replace(Result.from_json(known.result), task=task, reused=known.result.get("reused") or known.run)

    def place(self, run: str, task: str, key: str, *, again: bool) -> str | None:
        """What the workspace is to be called: as before for the same key, else one that no edition of the task had.

        `again`: the task is to be done anew, whatever there is. None stands for the first one's name.
        """
        places = self._places.get(task, {})
        if not again and key in places:
            return places[key]
        taken = set(places.values())
        names = (f"{run}/{task}" + (f".{number}" if number > 1 else "") for number in range(1, len(taken) + 2))
        free = next(name for name in names if name not in taken)
        return None if free == f"{run}/{task}" else free

    def _run_started(self, event: RunStarted) -> None:
        self.resumed += 1

    def _attempt_started(self, event: AttemptStarted) -> None:
        if event.key is None:
            return
        before = self.begun.get(event.task)
        if before is None or before.key != event.key:
            before = None
        place = event.place or f"{self.run}/{event.task}"
        self.begun[event.task] = Begun(
            key=event.key,
            place=event.place,
            session_id=event.resume or event.session_id,
            attempts=event.attempt,
            cost_usd=before.cost_usd if before else 0.0,
            duration=before.duration if before else 0.0,
            started=event.resume is not None,
        )
        self._places.setdefault(event.task, {})[event.key] = place

    def _session_started(self, event: SessionStarted) -> None:
        if begun := self.begun.get(event.task):
            begun.session_id, begun.started = event.session_id, True

    def _attempt_finished(self, event: AttemptFinished) -> None:
        self.spent_usd += event.cost_usd
        if begun := self.begun.get(event.task):
            begun.cost_usd += event.cost_usd
            begun.duration += event.duration
            begun.outcome = Outcome(event.outcome)

    def _task_finished(self, event: TaskFinished) -> None:
        if event.status != Status.DONE or event.key is None:
            return
        self.begun.pop(event.task, None)
        home = event.result.get("reused") or self.run
        self._finished.setdefault(event.key, {})[self.run, event.task] = Found(event.result, home)


_FOLDS: Mapping[type[Event], Callable[[Earlier, Any], None]] = {
    RunStarted: Earlier._run_started,
    AttemptStarted: Earlier._attempt_started,
    SessionStarted: Earlier._session_started,
    AttemptFinished: Earlier._attempt_finished,
    TaskFinished: Earlier._task_finished,
}
