"""The groups of a run: what they turned out to be, what they come to, and when they have enough of their parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.engine.steps import Expand, Node
from orchestrator.engine.telling import told
from orchestrator.schedule.piloting import Whole
from orchestrator.state import RunState
from orchestrator.task import Outcome, Result


@dataclass(frozen=True, slots=True)
class Groups:
    """Loops, votes, pipelines and plans of one run, from when they are expanded."""

    state: RunState
    _steps: dict[str, Expand] = field(default_factory=dict)
    """What each turned out to be."""
    _over: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By loop the groups whose parts' results its items were made of."""
    _decided: set[str] = field(default_factory=set)
    """Those that have enough of their parts."""

    def expand(self, group: str, step: Expand) -> None:
        """Takes down what the group turned out to be."""
        self._steps[group] = step
        if step.over:
            self._over[group] = step.over

    def unneeded(self, part: Node, ending: Mapping[str, Result]) -> Sequence[str]:
        """The parts that are left of a group that has enough now that this one is among those that end; said once."""
        group = self._steps.get(part.parent or "")
        if group is None or group.enough is None or part.parent in self._decided:
            return ()
        ended = {each.id: ending[each.id] for each in group.nodes if each.id in ending}
        if len(ended) == len(group.nodes) or not group.enough(ended):
            return ()
        self._decided.add(part.parent or "")  # else each part that ends now would end the others once more
        return [each.id for each in group.nodes if each.id not in ended]

    def gather(self, group: str, results: Mapping[str, Result]) -> Result:
        """What the group comes to, now that its parts have ended."""
        try:
            found = self._steps[group].gather([results[part] for part in self.state.tasks[group].parts or ()])
        except Exception as error:
            found = Result(task=group, outcome=Outcome.RAISED, error=told(error))
        return replace(found, task=group)

    @property
    def whole(self) -> Whole:
        """The run as it would be had its loops taken all their items."""
        return Whole(self.state, self._over)
