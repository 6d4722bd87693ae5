"""Everything that this program raises on purpose.

OrchestratorError
├── PlanError             a plan file is wrong (all its faults at once)
├── UsageError            an option, an argument or the set-up is wrong
├── TaskFailed            a task did not succeed, under fail_fast=True
├── JournalError          the journal cannot be opened, read or written
└── InternalError         a fault of ours
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


class OrchestratorError(Exception):
    """Something went wrong in the orchestrator."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a plan file."""

    file: str
    line: int
    """Counted from 1; 0 when the fault is the file as a whole."""
    path: str
    """Where in the plan, as `tasks.check.returns`; empty for the plan as a whole."""
    what: str
    """What was found, what is expected, and what to do."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.path}: {self.what}" if self.path else f"{place}: {self.what}"


class PlanError(OrchestratorError):
    """The plan is wrong."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.file, fault.line, fault.path)))
        super().__init__("\n".join(map(str, self.faults)))


class UsageError(OrchestratorError):
    """An option, an argument or the set-up is wrong."""


class TaskFailed(OrchestratorError):  # noqa: N818 - what happened, as users say it
    """A task did not succeed, and the run was told to stop at the first such task."""


class JournalError(OrchestratorError):
    """The journal cannot be opened, read or written."""


class InternalError(OrchestratorError):
    """A fault of ours: please report it."""


@contextmanager
def bare_errors() -> Iterator[None]:
    """Around a task group: an error that came alone leaves it as itself, and not as a group of one."""
    try:
        yield
    except BaseExceptionGroup as group:
        lone: BaseException = group
        while isinstance(lone, BaseExceptionGroup) and len(lone.exceptions) == 1:
            lone = lone.exceptions[0]
        if lone is group:
            raise
        if not isinstance(lone, Exception) and (cancelled := _asyncio_is_ending()):
            # SystemExit is on its way out already. Raised a second time it would break off asyncio's own clean-up,
            # and threads would be left that keep the program from ending.
            raise cancelled from group
        raise lone from lone.__cause__


def _asyncio_is_ending() -> BaseException | None:
    """What to raise in an asyncio task that asyncio itself has cancelled; None anywhere else."""
    asyncio = sys.modules.get("asyncio")
    try:
        task = asyncio and asyncio.current_task()
    except RuntimeError:  # trio
        return None
    return asyncio.CancelledError() if asyncio and task and task.cancelling() else None
