"""Finished results that a run may take: its own from before, and those of other runs. Each is given once."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any, cast

from orchestrator.events import Record, TaskFinished
from orchestrator.task import Result


@dataclass(frozen=True, slots=True)
class Found:
    """A finished result, and the run that has it."""

    result: Mapping[str, Any]
    run: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The results that one run finds. They are by key, so the order in which they came is no matter."""

    run: str
    _own: dict[str, dict[str, Found]] = field(default_factory=dict)
    """Results of this run by key, then by task."""
    _others: dict[str, list[Found]] = field(default_factory=dict)
    """Results of other runs by key, the newest first."""
    _given: set[tuple[str, str, str]] = field(default_factory=set)
    """Results of other runs that were taken: the key, the run, and the task that has it here."""
    _keys_after: dict[tuple[str, str], str] = field(default_factory=dict)
    """Keys of results by task and the key that the task has since it changed its own inputs."""

    def __len__(self) -> int:
        """How many results of this run there are."""
        return sum(map(len, self._own.values()))

    def __bool__(self) -> bool:
        """Whether there is one that has not been taken yet."""
        return bool(self._own)

    @property
    def tasks(self) -> Set[str]:
        """Those that have a result of this run."""
        return {task for own in self._own.values() for task in own}

    def add_own(self, task: str, key: str, event: TaskFinished) -> None:
        """Adds a result of this run, which its task may have taken from elsewhere."""
        origin = event.result.get("reused")
        own = self._own.setdefault(key, {})
        if origin is None:
            self._keys_after.pop((task, key), None)
        elif origin == self.run:  # it was another task's, unless it was this one's, and is this one's now
            own.pop(next((each for each in own if is_copy(event.result, own[each].result)), task), None)
        else:
            self._given.add((key, str(origin), task))
        if event.key_after is not None:
            self._keys_after[task, event.key_after] = key
        own[task] = Found(event.result, self.run)

    def add_others(self, key: str, records: Iterable[Record]) -> None:
        """Adds finished results of other runs with this key, the newest first. Copies of a result are no others."""
        events = ((record.run, record.event) for record in records if record.run != self.run)
        found = [
            Found(event.result, run)
            for run, event in events
            if isinstance(event, TaskFinished) and event.result.get("reused") is None
        ]
        skipped = Counter(run for given, run, _ in self._given if given == key)
        self._others[key] = []
        for each in found:
            if skipped[each.run]:
                skipped[each.run] -= 1
            else:
                self._others[key].append(each)

    def take_own(self, task: str, key: str) -> Result | None:
        """The task's own result of this run; each is given once. None when there is none."""
        for known in (key, self._keys_after.get((task, key), key)):
            if found := self._take(known, task):
                return self._give(task, known, found)
        return None

    def take_another(self, task: str, key: str, is_free: Callable[[str, str], bool]) -> Result | None:
        """The result of another task that asked the same, here or in other runs. None when there is none.

        `is_free(other, key)` tells whether another task of this run has no use for its own.
        """
        own, others = self._own.get(key, {}), self._others.get(key, [])
        if (other := next((each for each in own if is_free(each, key)), None)) is not None:
            return self._give(task, key, cast("Found", self._take(key, other)))
        return self._give(task, key, others.pop(0)) if others else None

    def _take(self, key: str, task: str) -> Found | None:
        own = self._own.get(key, {})
        found = own.pop(task, None)
        if found and not own:
            del self._own[key]
        return found

    def _give(self, task: str, key: str, found: Found) -> Result:
        origin = found.result.get("reused") or found.run
        if origin != self.run:
            self._given.add((key, origin, task))
        return replace(Result.from_json(found.result), task=task, reused=origin)


def is_copy(copy: Mapping[str, Any], result: Mapping[str, Any]) -> bool:
    """Whether a result that was taken is that result: it has its session and its words."""
    return all(copy[name] == result[name] for name in ("session_id", "text"))
