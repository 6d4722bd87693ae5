"""What is next is told to the executor while there is no place for it: it may get ready."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.engine.governing import Governing
from orchestrator.engine.lending import Lending
from orchestrator.engine.steps import Ask, Node
from orchestrator.engine.tries import Tries
from orchestrator.machine import cores
from orchestrator.schedule.order import Order
from orchestrator.schedule.scheduler import enter
from orchestrator.state import FINISHED, RunState, TaskState
from orchestrator.task import Attempt


@dataclass(slots=True, kw_only=True)
class Readying:
    """Of one run."""

    state: RunState
    order: Order[TaskState]
    nodes: Mapping[str, Node]
    tries: Tries
    governing: Governing
    lending: Lending
    expect: Callable[[Attempt], None]
    """Takes an attempt that is likely next."""
    is_due: bool = False
    """Whether others may be next than were when it was looked last."""
    _told: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Tells of as many as there are cores, each once, unless something else than the place keeps them waiting."""
        if not self.is_due or self.state.places < self.lending.width:
            return
        self.is_due = False
        enter(self.state, self.order)
        waiting = [self.state.tasks[task] for task in self.order.next(cores()) if task not in self._told]
        for task in waiting:
            if task.status not in FINISHED and self.governing.governor.would_start(task):
                self._told.add(task.id)
                self._tell(task)

    def _tell(self, task: TaskState) -> None:
        try:
            step = self.nodes[task.id].prepare()
        except Exception:
            return  # it is told when the task's turn comes
        if isinstance(step, Ask) and (attempt := self.tries.foreseen(task.id, step)):
            self.expect(attempt)
