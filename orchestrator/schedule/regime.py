"""Whether agents are started at all: go, hold until a usage limit is reset, try one, or stop."""

import math
from collections.abc import Iterator

from orchestrator.events import Event, RegimeChanged
from orchestrator.plan.model import Limits
from orchestrator.schedule.ruling import GO, Ruling
from orchestrator.state import RunState


class Regime:
    """What a run's signals have made of it."""

    def __init__(self, limits: Limits, state: RunState) -> None:
        self._limits, self._state = limits, state

    def heed(self, event: Event, now: float, clock: float) -> Iterator[RegimeChanged]:
        """What the event changes. `now`: on the event loop's clock (s); `clock`: Unix time."""
        yield from ()

    def tick(self, now: float, clock: float) -> Iterator[RegimeChanged]:
        """What the time changes."""
        yield from ()

    @property
    def due(self) -> float:
        """When the time will change something, on the event loop's clock (s)."""
        return math.inf

    def rule(self) -> Ruling:
        """Whether a task may start, as far as the account goes."""
        return GO

    def waits_after(self, outcome: str) -> bool:
        """Whether an attempt that ended so is followed by another once the limit is reset."""
        return False
