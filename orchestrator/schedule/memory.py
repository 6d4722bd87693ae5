"""Whether the machine has room for another agent: memory is set aside before a process is started.

What is free now is no measure of what can be started: agents that have begun will still grow. So each has its expected
peak set aside, of which what it is measured to use already counts no more.
"""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from orchestrator.events import AttemptFinished, Event, MemoryAwaited, ProcessesMeasured, TaskWaits
from orchestrator.machine import Machine
from orchestrator.plan.model import Limits
from orchestrator.schedule.peaks import Peaks
from orchestrator.schedule.ruling import GO, Ruling, Wait
from orchestrator.state import FINISHED, RunState, TaskState
from orchestrator.task import Outcome

LOOK, WATCH = 1.0, 2.0
"""Seconds from look to look at what is free: while somebody waits for it, and while nobody does."""
SETTLED = 30.0
"""Seconds of work after which an attempt's peak so far tells what such attempts need."""
FLOOR, LEAST_FLOOR = 0.03, 200_000_000
"""The share of the machine's memory, and the bytes, below which what is available must not fall."""
FULL = frozenset({Outcome.OK, Outcome.INVALID_OUTPUT, Outcome.CHECKS_FAILED, Outcome.MAX_TURNS, Outcome.MAX_USD})
"""Outcomes of attempts that came to an end of their own: only these show how much memory such work takes."""


@dataclass(slots=True)
class Held:
    """What is set aside for a task at work. Bytes."""

    name: str
    """What its agent is called."""
    measured: int = 0
    peak: int = 0
    waits: int = 0
    """In how many waits for others of the run its agent is."""
    seen: float | None = None
    """When it was first seen at work, on the event loop's clock (s)."""


@dataclass(frozen=True, slots=True)
class Room:
    """What there is for another agent. Bytes."""

    free: int
    limit: int
    """Of how much."""
    own: bool
    """Whether that is the run's own limit, and not what of the machine's memory may be in use."""


class MemoryRoom:
    """What is set aside for the tasks that are at work."""

    def __init__(self, limits: Limits, state: RunState, machine: Machine | None = None) -> None:
        """`machine` tells what there is where the agents are; None: nobody knows, as for agents elsewhere."""
        self._limit, self._state, self._machine = limits.memory, state, machine
        self.is_limited = machine is not None or limits.memory.size is not None
        """Whether anything is known to go by; else nothing is set aside."""
        self._held: dict[str, Held] = {}
        self._waiting = 0
        """Of those, how many wait for others of the run: they cannot go on before these do."""
        self._measured = self._aside = 0
        """Bytes over all of them: used now; set aside and not used yet."""
        self._all = Peaks()
        self._named: dict[str, Peaks] = {}
        self._again: dict[str, None] = {}
        """Tasks that were at work before and wait to go on: they come before new ones."""
        self._awaited: MemoryAwaited | None = None
        """What somebody has waited for since the last look, and what there was for it."""
        self.why_short = ""
        """Why the last victim was chosen."""
        self._since: float | None = None
        self._told = False
        self._victim: str | None = None
        self._victims: Counter[str] = Counter()

    def heed(self, event: Event) -> None:
        """Learns from what processes were measured to use."""
        held = self._held.get(getattr(event, "task", "")) if self._held else None
        if held is None:
            return
        match event:
            case ProcessesMeasured():
                self._measure(event, held)
            case TaskWaits(waits_for=what):
                self._wait(held, held.waits + (1 if what else -1))
            case AttemptFinished(outcome=outcome) if held.peak and outcome in FULL:
                with self._learning(held.name) as both:
                    for peaks in both:
                        peaks.learn(held.peak)
            case AttemptFinished(task=task, outcome=Outcome.PUT_OFF):
                self._again[task] = None

    def tick(self, now: float) -> Iterator[MemoryAwaited]:
        """Looks at what is free; tells when tasks begin to wait for memory, and when they do no longer."""
        self._settle(now)
        self._choose_victim()
        waits = self._awaited if self._has_places else None
        self._awaited = None
        if waits is None:
            self._since = None
            if self._told:
                self._told = False
                yield MemoryAwaited(awaited=False)
            return
        self._since = now if self._since is None else self._since
        if not self._told and now - self._since >= LOOK:
            self._told = True
            yield waits

    def due(self, now: float) -> float:
        """When to look again at what is free (s, on the event loop's clock)."""
        if not self.is_limited:
            return math.inf
        if self._awaited or self._told or self._since is not None:
            return now + LOOK
        return now + WATCH if len(self._held) > 1 else math.inf

    def rule(self, task: TaskState) -> Ruling:
        """Whether there is room for the task. One agent is let in whatever there is: else nothing would ever happen."""
        if not self.is_limited or len(self._held) == self._waiting:
            return GO
        expected, room = self.expected(task), self.room
        free = max(0, room.free)
        first = task.id in self._again or not self._others_first()
        if first and expected <= free:
            return GO
        if task.attempts:
            self._again[task.id] = None
        self._awaited = self._awaited or MemoryAwaited(
            awaited=True, expected=expected, free=free, limit=room.limit, own=room.own
        )
        return Wait(f"memory: {expected / 1e6:.0f} MB are expected to be needed, {free / 1e6:.0f} MB are free")

    def leave(self, task: str) -> None:
        """Something else keeps the task from starting, perhaps for long: nobody waits for its turn meanwhile."""
        self._again.pop(task, None)

    def reserve(self, task: TaskState) -> None:
        """Sets memory aside for a task that is starting."""
        if not self.is_limited:
            return
        self._again.pop(task.id, None)
        held = self._held[task.id] = Held(task.agent or "")
        self._aside += self._unused(held)

    def release(self, task: str) -> None:
        """The task has ended, or waits for its next attempt. One that has nothing set aside is no error."""
        held = self._held.pop(task, None)
        if held is None:
            return
        self._waiting -= held.waits > 0
        if self._victim == task:
            self._victim = None
        self._measured -= held.measured
        self._aside -= self._unused(held)
        with self._learning(held.name) as both:
            for peaks in both:
                peaks.forget(task)

    def victim(self) -> str | None:
        """The task to put off, since memory has all but run out; None while it has not.

        It is named until it has been released: ending it takes a moment, in which no other has to go as well.
        """
        return self._victim

    def expected(self, task: TaskState) -> int:
        """Bytes that the task's agent is expected to use at its peak."""
        return self._peaks(task.agent or "").expected

    @property
    def room(self) -> Room:
        """What nobody uses, nobody is expected to need, and the limit allows to be used."""
        found = []
        if self._limit.size is not None:
            found.append(Room(self._limit.size - self._measured - self._aside, self._limit.size, own=True))
        if self._machine is not None:
            memory = self._machine()
            kept = round(floor(memory.total) if self._limit.share is None else (1 - self._limit.share) * memory.total)
            found.append(Room(memory.available - self._aside - kept, memory.total - kept, own=False))
        return min(found, key=lambda room: room.free)

    @property
    def _has_places(self) -> bool:
        """Whether there would be places for more agents: else it is not memory that these wait for."""
        return bool(self._again) or self._state.places < self._state.width

    def _peaks(self, name: str) -> Peaks:
        if name not in self._named:
            self._named[name] = Peaks(lambda: self._all.expected)
        return self._named[name]

    def _measure(self, event: ProcessesMeasured, held: Held) -> None:
        self._aside -= self._unused(held)
        self._measured += event.memory - held.measured
        held.measured, held.peak = event.memory, max(held.peak, event.peak)
        self._aside += self._unused(held)
        with self._learning(held.name) as both:
            for peaks in both:
                peaks.see(event.task, held.peak)
        self._choose_victim()

    def _wait(self, held: Held, waits: int) -> None:
        self._waiting += (waits > 0) - (held.waits > 0)
        held.waits = max(0, waits)

    def _unused(self, held: Held) -> int:
        return max(0, self._peaks(held.name).expected - held.measured)

    @contextmanager
    def _learning(self, name: str) -> Iterator[tuple[Peaks, Peaks]]:
        """Gives the peaks of all and of one name; when others are expected of agents now, other sums are set aside."""
        both = (self._all, self._peaks(name))
        before = [peaks.expected for peaks in both]
        yield both
        if before != [peaks.expected for peaks in both]:
            self._aside = sum(map(self._unused, self._held.values()))

    def _settle(self, now: float) -> None:
        """Counts who has been at work for long: where agents take half an hour, the first must not all be awaited."""
        if not self.is_limited:
            return
        settled: Counter[str] = Counter()
        for held in self._held.values():
            held.seen = now if held.seen is None else held.seen
            settled[held.name] += bool(held.peak) and now - held.seen >= SETTLED
        before = sum(peaks.settled for peaks in self._named.values())
        if sum(settled.values()) or before:
            self._all.settled = sum(settled.values())
            for name, peaks in self._named.items():
                peaks.settled = settled[name]
            self._aside = sum(map(self._unused, self._held.values()))

    def _others_first(self) -> bool:
        """Whether somebody waits to go on."""
        for task in [task for task in self._again if self._state.tasks[task].status in FINISHED]:
            del self._again[task]
        return bool(self._again)

    def _choose_victim(self) -> None:
        """The youngest of those that were put off least, but never the last that can go on.

        Of those that are only looked up, and use nothing yet, none is chosen.
        """
        if self._victim is not None or len(self._held) - self._waiting < 2 or not (why := self._shortage()):
            return
        running = self._state.running
        able = [task for task, held in reversed(self._held.items()) if not held.waits and task in running]
        if len(able) < 2:
            return
        self.why_short = why
        self._victim = min(able, key=lambda task: self._victims[task])
        self._victims[self._victim] += 1

    def _shortage(self) -> str | None:
        """Why somebody has to make room; None while nobody has."""
        if self._limit.size is not None and self._measured > self._limit.size:
            return "the run's agents use more memory than they may together (limits.memory)"
        if self._machine is None:
            return None
        memory = self._machine()
        return "the machine's memory has all but run out" if memory.available < floor(memory.total) else None


def floor(total: int) -> int:
    """Bytes that must stay available of so many."""
    return max(LEAST_FLOOR, int(FLOOR * total))
