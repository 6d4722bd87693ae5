"""Blocking functions of a script, as tasks of its run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
from anyio import CapacityLimiter, to_thread

from orchestrator.engine.steps import Call
from orchestrator.engine.telling import told
from orchestrator.events import AttemptFinished, AttemptStarted
from orchestrator.protocols import Emit
from orchestrator.task import Outcome, Result

CALLS = 40
"""How many blocking functions of a run are at work at once."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Makes the calls of one run."""

    emit: Emit
    begun: dict[str, float]
    """When the attempt that is at work began, by task, on the event loop's clock."""
    # Not the threads that everything else shares: functions that block must not keep results from the disk.
    _threads: CapacityLimiter = field(default_factory=partial(CapacityLimiter, CALLS))

    def announce(self, task: str) -> None:
        """Writes down that the function is called."""
        self.emit(AttemptStarted(task=task, attempt=1))

    async def make(self, task: str, step: Call) -> Result:
        """What the function gives, with its time, written down."""
        begun = self.begun[task] = anyio.current_time()
        value, error = await to_thread.run_sync(caught, step.function, limiter=self._threads)
        result = Result(
            task=task,
            outcome=Outcome.OK if error is None else Outcome.RAISED,
            value=value,
            text=value if isinstance(value, str) else "",
            error=None if error is None else told(error),
            attempts=1,
            duration=anyio.current_time() - begun,
        )
        self.emit(
            AttemptFinished(task=task, attempt=1, outcome=result.outcome, error=result.error, duration=result.duration)
        )
        return result


def caught(function: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """What the function gives, or raises: `sys.exit` in a thread of ours must not end the event loop."""
    try:
        return function(), None
    except BaseException as error:
        return None, error
