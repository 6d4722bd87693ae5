"""A run with scripted agents and a journal in memory, and what its journal tells afterwards."""

from contextlib import AbstractAsyncContextManager
from typing import Any

from orchestrator import Limits, Run, open_run
from orchestrator.events import AttemptStarted, Event
from orchestrator.journal.memory import MemoryJournal
from orchestrator.state import RunState
from orchestrator.task import Attempt, Status
from orchestrator.testing import Reply, ScriptedExecutor
from orchestrator.testing.scripted import PLAIN, Script


def wait_forever(_: Attempt) -> Reply:
    return Reply(seconds=1e6)


class Stage:
    """`stage.open()` is `open_run` with this executor and this journal."""

    def __init__(self, script: Script = PLAIN, concurrent: int = 4, usd: float | None = None) -> None:
        self.executor = ScriptedExecutor(script)
        self.journal = MemoryJournal()
        self.limits = Limits(concurrent=concurrent, usd=usd)

    def open(self, **options: Any) -> AbstractAsyncContextManager[Run]:
        named = {"executor": self.executor, "journal": self.journal, "limits": self.limits}
        return open_run("test", **(named | options))

    def use(self, script: Script) -> None:
        """From now on other agents, on the same journal."""
        self.executor = ScriptedExecutor(script)

    def emit(self, run: Run, event: Event) -> None:
        """Puts an event among those of a run at work."""
        run._core.emit(event)

    @property
    def runs(self) -> list[str]:
        """The ids of the journal's runs, in the order of their starts."""
        return list(dict.fromkeys(record.run for record in self.journal.records))

    @property
    def events(self) -> list[Event]:
        return [record.event for record in self.journal.records]

    def of(self, kind: type[Event], task: str | None = None) -> list[Any]:
        """The events of a kind, of one task or of all."""
        return [each for each in self.events if isinstance(each, kind) and task in (None, getattr(each, "task", None))]

    @property
    def state(self) -> RunState:
        """What the journal's records add up to."""
        return RunState.of(self.journal.records)

    @property
    def statuses(self) -> dict[str, Status]:
        return {task.id: task.status for task in self.state.tasks.values()}

    @property
    def asked(self) -> list[str]:
        """The tasks of the attempts, in the order in which they were decided on; trio then starts them in any."""
        return [event.task for event in self.of(AttemptStarted)]

    def prompt(self, task: str) -> str:
        """What the task was asked."""
        return next(attempt.prompt for attempt in self.executor.attempts if attempt.task == task)
