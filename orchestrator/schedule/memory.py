"""Whether the machine has room for another agent: memory is set aside before a process is started."""

import math

from orchestrator.events import Event
from orchestrator.plan.model import Limits
from orchestrator.schedule.ruling import GO, Ruling
from orchestrator.state import RunState, TaskState


class MemoryRoom:
    """What is set aside for the tasks that are at work."""

    def __init__(self, limits: Limits, state: RunState) -> None:
        self._limits, self._state = limits, state

    def heed(self, event: Event) -> None:
        """Learns from what processes were measured to use."""

    def rule(self, task: TaskState) -> Ruling:
        """Whether there is room for the task."""
        return GO

    def reserve(self, task: TaskState) -> None:
        """Sets memory aside for a task that is starting."""

    def release(self, task: str) -> None:
        """The task has ended. One that has nothing set aside is no error."""

    def due(self, now: float) -> float:
        """When to look again at what is free (s, on the event loop's clock)."""
        return math.inf

    def victim(self) -> str | None:
        """The task to put off, since memory has all but run out; None while it has not."""
        return None
