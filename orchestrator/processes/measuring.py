"""Measures what the processes of the attempts at work use, and tells each attempt's listener what has changed."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import anyio
from anyio import CapacityLimiter, to_thread

from orchestrator.errors import bare_errors
from orchestrator.processes.usage import Scanner, Usage

SHARE = 0.02
"""Of one core: more than this the looks take of no machine."""
LOOKS = 1.0
"""Seconds from look to look, at least."""
YOUNG, YOUNG_LOOKS = 2.0, 0.25
"""Attempts that are younger grow quickest, and may be over before the first second is; both in seconds."""
STEP, PART = 20_000_000, 0.1
"""What has to have changed to be told of: so many bytes, and that part of what was told last."""
OFTEN = 20
"""After so many times that changes below the peak were told, the pause between two such doubles, and so on: an attempt
whose memory goes up and down for hours makes some hundred rows. New peaks are told at once: each is 10 % more."""

Tell = Callable[[int, int, float], None]
"""Told bytes now, bytes at the peak, and seconds of processor time."""


@dataclass(slots=True)
class Meter:
    """What one attempt is known to use."""

    tell: Tell
    begun: float
    """When, on the event loop's clock, s."""
    spent_before: float = 0.0
    """Seconds of processor time that the processes had taken when this attempt was given them."""
    now: int = 0
    peak: int = 0
    cpu_s: float = 0.0
    told: int = 0
    told_peak: int = 0
    told_at: float = -inf
    times: int = 0
    """How often a change below the peak was told."""

    def take(self, usage: Usage, now: float) -> None:
        """What was measured now (s, on the event loop's clock)."""
        self.now, self.peak = usage.memory, max(self.peak, usage.memory)
        self.cpu_s = max(self.cpu_s, usage.cpu_s - self.spent_before)
        risen = self.peak - self.told_peak >= max(STEP, PART * self.told_peak)
        changed = abs(self.now - self.told) >= max(STEP, PART * self.told)
        if risen or (changed and now - self.told_at >= self.pause):
            self.times += not risen
            self._say(now)

    def end(self) -> None:
        """Nothing is at work any more. One that was over before it could be measured has nothing to tell."""
        if self.peak:
            self.now = 0
            self._say(inf)

    @property
    def pause(self) -> float:
        """Seconds between two times that a change below the peak is told."""
        return float(LOOKS * (2 ** (self.times // OFTEN) - 1))

    def _say(self, now: float) -> None:
        self.told, self.told_peak, self.told_at = self.now, self.peak, now
        self.tell(self.now, self.peak, self.cpu_s)


@dataclass(slots=True)
class Measuring:
    """The attempts that are measured."""

    scanner: Scanner = field(default_factory=Scanner)
    _meters: dict[str, Meter] = field(default_factory=dict)
    _some: anyio.Event = field(default_factory=anyio.Event)
    _thread: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))

    @contextmanager
    def measured(self, lease: Path, tell: Tell, spent_before: float = 0.0) -> Iterator[Meter]:
        """A block in which the processes under the lease are measured; `tell` is called in this event loop.

        `spent_before`: seconds of processor time that they had taken for others.
        """
        meter = self._meters[str(lease)] = Meter(tell, anyio.current_time(), spent_before)
        self._some.set()
        try:
            yield meter
        finally:
            del self._meters[str(lease)]
            meter.end()

    async def run(self) -> None:
        """Measures, as long as there is anything to measure, until it is cancelled."""
        cost = 0.0
        while True:
            await self._some.wait()
            pause = max(self._interval(), cost / SHARE)
            await anyio.sleep(pause)
            before = self.scanner.spent_s
            await self._look(pause * SHARE)
            cost = self.scanner.spent_s - before
            if not self._meters:
                self._some = anyio.Event()

    def _interval(self) -> float:
        since = anyio.current_time() - YOUNG
        return YOUNG_LOOKS if any(meter.begun > since for meter in self._meters.values()) else LOOKS

    async def _look(self, seconds: float) -> None:
        """Measures once, which may take so much processor time."""
        found = await to_thread.run_sync(self.scanner.scan, list(self._meters), seconds, limiter=self._thread)
        now = anyio.current_time()
        for lease, usage in found.items():
            if meter := self._meters.get(lease):  # else it has ended meanwhile
                meter.take(usage, now)


@asynccontextmanager
async def open_measuring() -> AsyncIterator[Measuring]:
    """Measures as long as the block lasts."""
    with bare_errors():
        async with anyio.create_task_group() as group:
            measuring = Measuring()
            group.start_soon(measuring.run)
            yield measuring
            group.cancel_scope.cancel()
