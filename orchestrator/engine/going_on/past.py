"""What a run takes from before: results that are there already, sessions that were cut off, places that exist."""

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from anyio import CapacityLimiter

from orchestrator.engine.going_on import keys
from orchestrator.engine.going_on.earlier import Begun, Earlier, names
from orchestrator.engine.going_on.keys import Identity
from orchestrator.engine.steps import Ask, Node
from orchestrator.engine.telling import parsed
from orchestrator.events import TaskSpawned
from orchestrator.protocols import Journal
from orchestrator.task import Outcome, Result
from workspaces import is_kept

ANEW = frozenset(
    {
        Outcome.BAD_REQUEST,
        Outcome.BAD_SETUP,
        Outcome.EMPTY,
        Outcome.INVALID_OUTPUT,
        Outcome.MISSING_OUTPUT,
        Outcome.NOT_STARTED,
        Outcome.REFUSED,
        Outcome.TOO_LONG,
        Outcome.UNKNOWN_SESSION,
    }
)
"""Ends of attempts after which a later one had better have a new session: what is in the old one led there. After any
other, as a spent quota or a full count of turns, the work goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a run takes from before, and what it does not."""

    earlier: Earlier
    anywhere: bool = False
    """Take finished results from other runs too."""
    rerun: Collection[str] = ()
    """Tasks, and loops, that are done again whatever there is."""
    upstream: str | None = None

    def is_named(self, task: str) -> bool:
        """Whether the task is to be done again by what was said this time."""
        return any(name in self.rerun for name in names(task))

    def spared_last(self, nodes: Sequence[Node]) -> tuple[Node, ...]:
        """The parts of a group that may have enough without some; those that were spared before wait for the others.

        What has to be looked up is known in any order: a part that was not needed must not be asked before that.
        """
        spared = [node for node in nodes if node.id in self.earlier.spared and not self.is_named(node.id)]
        others = [node for node in nodes if node not in spared]
        wait = tuple(node.id for node in others)
        last = (replace(node, needs=(*node.needs, *wait), allows=(*node.allows, *wait)) for node in spared)
        return (*others, *last)

    @property
    def done(self) -> Set[str]:
        """Tasks that have a result, and are not to be done again."""
        return {
            each
            for each in self.earlier.finished.tasks
            if not self.is_named(each) and not self.earlier.is_due_again(each)
        }

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
            self.earlier.finished.add_others(identity.key, await journal.find(identity.key))
        return identity

    def find_own(self, task: str, step: Ask, key: str) -> Result | None:
        """The task's own result, if this run has one already; it is given once."""
        if self.is_named(task) or self.earlier.is_due_again(task):
            return None
        return good(step, self.earlier.finished.take_own(task, key))

    def find_another(self, task: str, step: Ask, key: str, is_free: Callable[[str, str], bool]) -> Result | None:
        """The result of another task that asked the same, if the task may have it."""
        if step.fresh or self.is_named(task) or self.earlier.is_due_again(task):
            return None
        return good(step, self.earlier.finished.take_another(task, key, is_free))

    def find_begun(self, task: str, question: str) -> Begun | None:
        """What became of the same task before, if it has no good result."""
        begun = self.earlier.begun.get(task)
        return begun if begun and begun.question == question and not self.is_named(task) else None

    def find_spawned(self, task: str, question: str) -> Sequence[TaskSpawned]:
        """What the task's agent had added to the run; nothing when the task is to be done again."""
        again = self.is_named(task) or (self.earlier.is_due_again(task) and task not in self.earlier.begun)
        return () if again else self.earlier.spawned(task, question)

    def find_place(self, run: str, task: str, question: str) -> str | None:
        """What the task's workspace is to be called; None: by the run and the task."""
        again = self.is_named(task) or (self.earlier.is_due_again(task) and task not in self.earlier.begun)
        return self.earlier.place(run, task, question, again=again)


def good(step: Ask, found: Result | None) -> Result | None:
    """The result with its value as the task wants it; None for one that it would refuse."""
    found = found and parsed(step, found)
    return found if found and found.ok else None


async def is_there(found: Result) -> bool:
    """Whether the work that the result tells of is still there: a branch, or a directory, may have been deleted."""
    place = found.workspace
    return place is None or await is_kept(place.kind, place.path, place.origin, place.commit)


def to_go_on(begun: Begun) -> str | None:
    """The session in which to go on with a task that was begun; None when a new one is better, or there is none."""
    return begun.session_id if begun.in_session and begun.outcome not in ANEW else None
