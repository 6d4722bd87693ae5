"""What a run takes from before: results that are there already, sessions that were cut off, places that exist."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from anyio import CapacityLimiter

from orchestrator.engine import keys
from orchestrator.engine.earlier import Begun, Earlier
from orchestrator.engine.keys import Identity
from orchestrator.engine.steps import Ask
from orchestrator.engine.telling import parsed
from orchestrator.protocols import Journal
from orchestrator.schedule.retry import How, next_try
from orchestrator.task import Outcome, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a run takes from before, and what it does not."""

    earlier: Earlier
    anywhere: bool = False
    """Take finished results from other runs too."""
    rerun: Collection[str] = ()
    """Tasks, and loops, that are done again whatever there is."""
    upstream: str | None = None

    def is_due_again(self, task: str) -> bool:
        """Whether the task was asked to be done again."""
        return task in self.rerun or task.rpartition("[")[0] in self.rerun

    def must_look(self, step: Ask) -> bool:
        """Whether more than the step must be looked at before it is known whether its result is there."""
        return self.anywhere or keys.must_look(step)

    def identify(self, step: Ask, depends: Mapping[str, str]) -> Identity:
        """The identity of a step for which nothing must be looked at."""
        return keys.identify(step, self.upstream, depends)

    async def look_up(
        self, step: Ask, depends: Mapping[str, str], journal: Journal, thread: CapacityLimiter
    ) -> Identity:
        """The identity of any step; its results in other runs are known from now on, if they are wanted.

        Raises UsageError for an input that is not there, WorkspaceError for a base that is not.
        """
        identity = await keys.look_up(step, self.upstream, depends, thread)
        if self.anywhere:
            self.earlier.add(identity.key, await journal.find(identity.key))
        return identity

    def find_result(self, task: str, step: Ask, key: str) -> Result | None:
        """An earlier result for the task, if there is one that it may have; it is given once."""
        if step.fresh or self.is_due_again(task):
            return None
        found = self.earlier.take(task, key)
        found = found and parsed(step, found)
        return found if found and found.ok else None

    def find_begun(self, task: str, key: str) -> Begun | None:
        """What became of the same task before, if it has no good result."""
        begun = self.earlier.begun.get(task)
        return begun if begun and begun.key == key and not self.is_due_again(task) else None

    def find_place(self, run: str, task: str, key: str) -> str | None:
        """What the task's workspace is to be called; None: by the run and the task."""
        return self.earlier.place(run, task, key, again=self.is_due_again(task))


def to_go_on(begun: Begun) -> str | None:
    """The session in which to go on with a task that was begun; None when a new one is better, or there is none."""
    if not begun.started:
        return None
    if begun.outcome in (None, Outcome.CANCELLED):
        return begun.session_id
    retry = next_try(begun.outcome, 1, 1, 0)
    return begun.session_id if retry and retry.how is not How.FRESH else None
