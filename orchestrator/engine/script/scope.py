"""Where in a run tasks are added: at its top, or inside a group of it."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from orchestrator.engine.core import Core
from orchestrator.engine.script.asking import KEY, Setting
from orchestrator.engine.steps import Node
from orchestrator.errors import UsageError
from orchestrator.plan.words import describe
from orchestrator.state import FINISHED
from orchestrator.task import HasTask, Result


@dataclass(frozen=True, slots=True)
class Scope:
    """A place for tasks, with a way from their short names to their ids."""

    core: Core
    setting: Setting
    group: str | None = None
    """The group that they are added to; None: the run itself."""
    _numbers: "dict[str, count[int]]" = field(default_factory=dict)

    @property
    def prefix(self) -> str:
        """What the ids of the scope's tasks begin with."""
        return "" if self.group is None else f"{self.group}."

    @property
    def results(self) -> Mapping[str, Result]:
        """Fills while the run goes on."""
        return self.core.results

    def id(self, key: str | None, kind: str) -> str:
        """The id for a task with that key; without one the next of `kind-1`, `kind-2`, … Raises UsageError."""
        if key is not None and (not isinstance(key, str) or not KEY.fullmatch(key)):
            raise UsageError(f"key: found {key!r}, expected 1 to 200 printable characters, as 'check-setup'")
        return self.next(kind) if key is None else f"{self.prefix}{key}"

    def next(self, kind: str) -> str:
        """`agent-1`, `agent-2`, …: ids that this run does not have yet."""
        numbers = self._numbers.setdefault(kind, count(1))
        return next(name for number in numbers if not self.core.has(name := f"{self.prefix}{kind}-{number}"))

    def add(self, nodes: Sequence[Node]) -> None:
        """Takes tasks, all or none. A need may be named as seen from the scope. Raises UsageError."""
        if self.group is None:
            return self.core.add(nodes)
        state = self.core.state.tasks[self.group]
        if state.status in FINISHED or not state.more:
            raise UsageError(f"the group {self.group!r} has ended: give it tasks inside its `async with` block")
        new = {node.id for node in nodes}
        return self.core.extend(self.group, [self._placed(node, new) for node in nodes])

    def find(self, task: str | HasTask) -> str:
        """The id of a task, given by id, by its name in this scope, by handle or by result. Raises UsageError."""
        name = task if isinstance(task, str) else getattr(task, "task", None)
        if not isinstance(name, str):
            raise UsageError(f"found {describe(task)}, expected the id, the handle or the result of a task")
        if not self.core.has(known := self.near(name)):
            raise UsageError(f"{name!r} is no task of this run")
        return known

    def ids(self) -> Iterable[str]:
        """Of the scope's tasks, groups and parts included, in the order in which they were added."""
        return [task for task in self.core.state.tasks if task.startswith(self.prefix)]

    def near(self, name: str, new: Container[str] = ()) -> str:
        """The id of the task of that name in this scope, where it has one, or is to have one; else the name."""
        inside = f"{self.prefix}{name}"
        return inside if inside in new or self.core.has(inside) else name

    def _placed(self, node: Node, new: Container[str]) -> Node:
        names = (node.needs, node.allows, node.named, node.refers)
        needs, allows, named, refers = (tuple(dict.fromkeys(self.near(each, new) for each in some)) for some in names)
        return replace(node, parent=self.group, needs=needs, allows=allows, named=named, refers=refers)
