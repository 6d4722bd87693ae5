"""Nodes put into a group: the same graph under other names, so that one plan can be in a run more than once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.engine.asking import Setting
from orchestrator.engine.planned import plan_nodes
from orchestrator.engine.steps import Expand, Node, Step
from orchestrator.errors import UsageError
from orchestrator.plan.loading import LoadedPlan
from orchestrator.task import Result


def nested_nodes(
    loaded: LoadedPlan, results: Mapping[str, Result], setting: Setting, *, prefix: str, parent: str | None
) -> list[Node]:
    """The plan's nodes as parts of a group; without a prefix as they are. `results` fills while the run goes on."""
    if not prefix:
        return plan_nodes(loaded, results, setting)
    return [renamed(node, prefix, parent) for node in plan_nodes(loaded, Under(results, prefix), setting)]


def renamed(node: Node, prefix: str, parent: str | None) -> Node:
    """The node with the prefix before its id and before all that it names, in the group `parent`."""

    def prepare() -> Step:
        step = node.prepare()
        if not isinstance(step, Expand):
            return step
        return replace(step, nodes=tuple(renamed(part, prefix, f"{prefix}{node.id}") for part in step.nodes))

    def under(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(f"{prefix}{name}" for name in names)

    return replace(
        node,
        id=f"{prefix}{node.id}",
        parent=parent,
        prepare=prepare,
        needs=under(node.needs),
        allows=under(node.allows),
        named=under(node.named),
        refers=under(node.refers),
    )


@dataclass(frozen=True, slots=True)
class Under(Mapping[str, Result]):
    """The results whose ids begin with a prefix, by what is behind it."""

    results: Mapping[str, Result]
    prefix: str

    def __getitem__(self, name: str) -> Result:
        return self.results[f"{self.prefix}{name}"]

    def __iter__(self) -> Iterator[str]:
        return (name.removeprefix(self.prefix) for name in self.results if name.startswith(self.prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def with_vars(loaded: LoadedPlan, values: Mapping[str, Any] | None) -> LoadedPlan:
    """The plan with other values for its vars. Raises UsageError for one that it does not have."""
    if unknown := sorted(set(values or {}) - set(loaded.plan.vars)):
        known = ", ".join(loaded.plan.vars) or "none"
        raise UsageError(f"vars: found {unknown[0]!r}, expected one of the plan's own: {known}")
    plan = loaded.plan.model_copy(update={"vars": {**loaded.plan.vars, **(values or {})}})
    return replace(loaded, plan=plan)
