"""What is known of tasks before their agents are asked: the keys of what they ask, and results that are there."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial

from anyio import CapacityLimiter

from orchestrator.engine.going_on.keys import Identity, digest
from orchestrator.engine.going_on.past import Past, is_there
from orchestrator.engine.steps import Ask, Node
from orchestrator.errors import UsageError
from orchestrator.events import TaskSpawned
from orchestrator.protocols import Journal
from orchestrator.state import RunState
from orchestrator.task import Result
from workspaces import WorkspaceError

LOOKERS = 4
"""How many threads look into files for what tasks depend on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a run at work knows of its tasks' results from before."""

    state: RunState
    nodes: Mapping[str, Node]
    results: Mapping[str, Result]
    answers: Set[str]
    """Tasks that answered the questions of another's agent."""
    past: Past
    journal: Journal
    restore_spawned: Callable[[str, Ask, Sequence[TaskSpawned]], None]
    """Adds what a task's agent had added before the run was gone on with."""
    keys: dict[str, str] = field(default_factory=dict)
    """Of the tasks whose turn has come."""
    keys_after: dict[str, str] = field(default_factory=dict)
    """Of the tasks whose agents have changed their inputs."""
    _digests: dict[tuple[str, bool], str | None] = field(default_factory=dict)
    """What tasks that are over gave, as hashes, with their words or the commits alone."""
    _lookers: CapacityLimiter = field(default_factory=partial(CapacityLimiter, LOOKERS))

    def at_once(self, arrived: Sequence[Node], ending: Container[str]) -> Iterator[tuple[Node, Result]]:
        """The tasks whose results are there already and need no looking up; `ending` are those that have ended.

        First each takes its own. What is left then may be had by others that ask the same.
        """
        steps = [(node, step) for node in arrived if node.id not in ending and (step := self._prepare_early(node))]
        for node, step in steps:
            identity = self.identify(node, step)
            self.keys[node.id] = identity.key
            if known := self._find_own(node, step, identity):
                yield node, known
        for node, step in steps:
            if node.id not in ending and (known := self._find_another(node, step)):
                yield node, known

    def _prepare_early(self, node: Node) -> Ask | None:
        """What the task asks, before its turn; None for what has to wait for that."""
        try:
            step = node.prepare()
        except Exception:
            return None  # it is told when the task's turn comes
        return step if isinstance(step, Ask) and not self.past.must_look(step) else None

    def identify(self, node: Node, step: Ask) -> Identity:
        """The identity of a step for which nothing must be looked at."""
        return self.past.identify(step, self._depends(node))

    async def look_up(self, node: Node, step: Ask) -> tuple[Identity, Result | None]:
        """The identity of any step, and its result, if that is there with all that it tells of.

        Raises UsageError for an input that is not there, WorkspaceError for a base that is not.
        """
        identity = await self.past.look_up(step, self._depends(node), self.journal, self._lookers)
        known = self.find(node, step, identity)
        return identity, known if known and await is_there(known) else None

    async def look_again(self, node: Node, step: Ask, identity: Identity) -> None:
        """Finds the key that the task has now that its agent may have changed its `inputs`."""
        try:
            after = await self.past.look_up(step, self._depends(node), self.journal, self._lookers)
        except (WorkspaceError, UsageError):
            return
        if after.question == identity.question and after.key != identity.key:
            self.keys_after[node.id] = after.key

    def find(self, node: Node, step: Ask, identity: Identity) -> Result | None:
        """A result that is there already: the task's own, or that of another task which has no use for it."""
        self.keys[node.id] = identity.key
        return self._find_own(node, step, identity) or self._find_another(node, step)

    def _find_own(self, node: Node, step: Ask, identity: Identity) -> Result | None:
        """The task's own result; what its agent had added to the run is there again before that is told."""
        own = self.past.find_own(node.id, step, identity.key)
        if own:
            self.restore(node, step, identity)
        return own

    def _find_another(self, node: Node, step: Ask) -> Result | None:
        return self.past.find_another(node.id, step, self.keys[node.id], self._is_free)

    def _is_free(self, task: str, key: str) -> bool:
        """Whether a task has no use for a result with this key: it is none of this run's, or asks something else."""
        return task not in self.nodes or self.keys.get(task, key) != key

    def restore(self, node: Node, step: Ask, identity: Identity) -> None:
        """Adds what the task's agent had added to the run before that was gone on with."""
        if before := self.past.find_spawned(node.id, identity.question):
            self.restore_spawned(node.id, step, before)

    def _depends(self, node: Node) -> dict[str, str]:
        """What of the needed tasks determines this one's result, as hashes."""
        needs = dict.fromkeys((*node.named, *node.refers))
        found = {need: self._digest(need, need in node.named) for need in needs if need in self.results}
        return {need: gave for need, gave in found.items() if gave is not None}

    def _digest(self, task: str, whole: bool) -> str | None:
        """The hash of what a task gave; of one that is over it is made once, however many tasks need it."""
        if (task, whole) in self._digests:
            return self._digests[task, whole]
        parts = {part: self.results[part] for part in self._below(task) if part in self.results}
        found = digest(self.results[task], parts, whole=whole)
        if self.state.tasks[task].is_over:
            self._digests[task, whole] = found
        return found

    def _below(self, task: str) -> Iterator[str]:
        """The parts of a group, or what an agent added, and theirs.

        Answers that an agent got along the way are in what it gave; they are there again only if it asks again.
        """
        for part in self.state.tasks[task].parts or ():
            if part not in self.answers:
                yield part
                yield from self._below(part)
