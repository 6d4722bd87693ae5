"""Estimates: what a task is expected to take and to cost, from what tasks of earlier runs did."""

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import fmean
from typing import Any, Protocol

from orchestrator.paths import Placed
from orchestrator.state import FREE_KINDS, GROUPS

NEWEST = 10
"""How many of the newest are averaged: agents' times spread widely, and prompts change from run to run."""
GUESS_SECONDS = 60.0
"""For a task when nothing is known of any. Only the forecast depends on the figure: with equal times the order goes by
the number of tasks that are still to come. A minute is an agent's few turns with tools."""
GUESS_USD = 0.1
"""A guess as well, for a few turns with tools."""


class Basis(StrEnum):
    """What an estimate was made from; the first of these that has something."""

    TASK = "task"
    """What the task itself did before."""
    LOOP = "loop"
    """Other parts of the same loop or vote."""
    AGENT = "agent"
    """Other tasks of the same agent."""
    ANY = "any"
    """All other tasks: better than a constant, since it is of the same project and models."""
    GUESS = "guess"
    """Nothing: a constant."""
    NONE = "none"
    """None is needed: it runs no agent."""


class Expected(Placed, Protocol):
    """A task that is to come."""

    @property
    def kind(self) -> str: ...

    @property
    def agent(self) -> str | None:
        """The name of its agent; None for the run's own."""
        ...


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a task of an earlier run took and cost, and where it stood there."""

    task: str
    agent: str | None = None
    """The name of its agent; None for the run's own."""
    seconds: float | None = None
    """None when it is not known. Of a group from its first part's beginning to its end."""
    usd: float | None = None
    kind: str = "agent"
    run: str = ""
    parent: str | None = None
    needs: Sequence[str] = ()
    parts: int | None = None
    """How many a group had."""

    @property
    def id(self) -> str:
        return self.task


@dataclass(frozen=True, slots=True)
class Estimate:
    value: float
    basis: Basis


class Estimates:
    """Means over the newest earlier tasks that are most like the one in question."""

    def __init__(self, earlier: Iterable[Earlier] = ()) -> None:
        """`earlier`: tasks that succeeded, and groups, oldest first."""
        rows = list(earlier)
        agents, free = [row for row in rows if row.kind not in FREE_KINDS], [row for row in rows if row.kind == "call"]
        self.runs = frozenset(row.run for row in rows)
        """Which runs they are of."""
        self._groups = [row for row in rows if row.kind in GROUPS]
        self._seconds = _Means(((row.task, row.agent, row.seconds) for row in agents), GUESS_SECONDS)
        self._usd = _Means(((row.task, row.agent, row.usd) for row in agents), GUESS_USD)
        self._free_seconds = _Means((row.task, None, row.seconds) for row in free)
        self._group_seconds = _Means((row.task, None, row.seconds) for row in self._groups)
        self._alike = {alike: row for row in self._groups for alike in reversed(_itself(row.task))}
        self._parts: dict[tuple[str, str], dict[str, Earlier]] = defaultdict(dict)
        """By run and group."""
        for row in rows:
            if row.parent is not None:
                self._parts[row.run, row.parent][row.task] = row

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> "Estimates":
        """From what `Journal.history` gives."""
        return cls(Earlier(**row) for row in rows)

    @property
    def has_costs(self) -> bool:
        """Whether anything is known of what tasks cost."""
        return bool(self._usd)

    def seconds(self, task: str, agent: str | None = None, kind: str = "agent") -> Estimate:
        if kind in FREE_KINDS:
            means = self._group_seconds if kind in GROUPS else self._free_seconds
            found = means.itself(task)
            # A group of which nothing is known counts as one agent; what runs none takes no time to speak of.
            return found or (self._seconds.of("", agent) if kind in GROUPS else Estimate(0.0, Basis.NONE))
        return self._seconds.of(task, agent)

    def usd(self, task: str, agent: str | None = None, kind: str = "agent") -> Estimate:
        return Estimate(0.0, Basis.NONE) if kind in FREE_KINDS else self._usd.of(task, agent)

    def expect(self, task: Expected) -> float:
        """Seconds that the task is expected to take."""
        return self.seconds(task.id, task.agent, task.kind).value

    def expect_usd(self, task: Expected) -> float | None:
        """US dollars that the task is expected to cost; None when nothing is known of any."""
        found = self.usd(task.id, task.agent, task.kind)
        return None if found.basis is Basis.GUESS else found.value

    def parts(self, group: str) -> list[Earlier] | None:
        """What came of the newest group alike, as parts of `group`, with the parts of groups among them.

        None when there was none. Parts that had not succeeded are there with seconds and cost unknown.
        """
        alike = next((self._alike[key] for key in _itself(group) if key in self._alike), None)
        if alike is None:
            return None
        below = [self._moved(row, alike.task, group) for row in self._below(alike)]
        there = {row.task for row in below}
        missing = [part for index in range(alike.parts or 0) if (part := f"{group}[{index}]") not in there]
        known = sum(row.parent == group for row in below)
        missing = missing[: max((alike.parts or 0) - known, 0)]
        return [*below, *(Earlier(part, alike.agent, None, None, parent=group) for part in missing)]

    def _below(self, group: Earlier) -> Iterator[Earlier]:
        for part in self._parts.get((group.run, group.task), {}).values():
            yield part
            yield from self._below(part)

    def _moved(self, row: Earlier, old: str, new: str) -> Earlier:
        def moved(task: str) -> str:
            inside = task == old or task.startswith((f"{old}[", f"{old}."))
            return new + task[len(old) :] if inside else task

        parent = moved(row.parent) if row.parent else None
        return replace(row, task=moved(row.task), parent=parent, needs=[moved(need) for need in row.needs])


class _Means:
    """One figure of tasks, by what they have in common."""

    def __init__(self, known: Iterable[tuple[str, str | None, float | None]], guess: float = 0.0) -> None:
        newest: dict[tuple[Basis, str | None], deque[float]] = defaultdict(lambda: deque(maxlen=NEWEST))
        for task, agent, value in known:
            if value is not None:
                for alike in _alike(task, agent):
                    newest[alike].append(value)
        self._means = {alike: Estimate(fmean(values), alike[0]) for alike, values in newest.items()}
        self._guess = Estimate(guess, Basis.GUESS)

    def __len__(self) -> int:
        return len(self._means)

    def of(self, task: str, agent: str | None) -> Estimate:
        if not self._means:
            return self._guess
        return next((self._means[alike] for alike in _alike(task, agent) if alike in self._means), self._guess)

    def itself(self, task: str) -> Estimate | None:
        """From the task itself, or others of its loop, alone."""
        return next((self._means[alike] for alike in _itself(task) if alike in self._means), None)


def _alike(task: str, agent: str | None) -> list[tuple[Basis, str | None]]:
    """Under what a task is found, the closest first."""
    return [*_itself(task), (Basis.AGENT, agent), (Basis.ANY, None)]


def _itself(task: str) -> list[tuple[Basis, str | None]]:
    """The task, and the loop that it is of: a loop's parts are its id with a number in brackets."""
    loop = re.sub(r"\[\d+\]", "", task)
    return [(Basis.TASK, task), *([(Basis.LOOP, loop)] if loop != task else [])]
