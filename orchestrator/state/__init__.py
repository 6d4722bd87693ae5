"""What a run's events add up to. The engine and every view fold the same events into it."""

from orchestrator.state.calls import Calls
from orchestrator.state.run import RunState
from orchestrator.state.task import FINISHED, FREE_KINDS, GROUPS, TaskState

__all__ = ["FINISHED", "FREE_KINDS", "GROUPS", "Calls", "RunState", "TaskState"]
