"""Estimates: what a task is expected to take and to cost, from what tasks of earlier runs did."""

import re
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean

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


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a task of an earlier run took and cost."""

    task: str
    agent: str | None
    """The name of its agent; None for the run's own."""
    seconds: float | None
    """None when it is not known."""
    usd: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    value: float
    basis: Basis


class Estimates:
    """Means over the newest earlier tasks that are most like the one in question."""

    def __init__(self, earlier: Iterable[Earlier] = ()) -> None:
        """`earlier`: tasks that succeeded, oldest first."""
        self._seconds = _Means(GUESS_SECONDS)
        self._usd = _Means(GUESS_USD)
        for each in earlier:
            self._seconds.learn(each.task, each.agent, each.seconds)
            self._usd.learn(each.task, each.agent, each.usd)

    def seconds(self, task: str, agent: str | None = None) -> Estimate:
        return self._seconds.of(task, agent)

    def usd(self, task: str, agent: str | None = None) -> Estimate:
        return self._usd.of(task, agent)


class _Means:
    """One figure of tasks, by what they have in common."""

    def __init__(self, guess: float) -> None:
        self._guess = guess
        self._newest: dict[tuple[Basis, str | None], deque[float]] = defaultdict(lambda: deque(maxlen=NEWEST))

    def learn(self, task: str, agent: str | None, value: float | None) -> None:
        if value is not None:
            for alike in _alike(task, agent):
                self._newest[alike].append(value)

    def of(self, task: str, agent: str | None) -> Estimate:
        for alike in _alike(task, agent):
            if alike in self._newest:
                return Estimate(fmean(self._newest[alike]), alike[0])
        return Estimate(self._guess, Basis.GUESS)


def _alike(task: str, agent: str | None) -> list[tuple[Basis, str | None]]:
    """Under what a task is found, the closest first. A loop's parts are its id with a number in brackets."""
    loop = re.sub(r"\[\d+\]", "", task)
    parts = [(Basis.LOOP, loop)] if loop != task else []
    return [(Basis.TASK, task), *parts, (Basis.AGENT, agent), (Basis.ANY, None)]
