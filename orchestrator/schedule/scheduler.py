"""What is to be done next: a pure function of a run's state."""

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.schedule.order import Order
from orchestrator.schedule.ruling import GO, Go, Refuse, Ruling
from orchestrator.state import FINISHED, RunState, TaskState
from orchestrator.task import Outcome


@dataclass(frozen=True, slots=True)
class Start:
    """Its needs are met and there is a place for it."""

    task: TaskState


@dataclass(frozen=True, slots=True)
class Skip:
    """It cannot run, or must not."""

    task: TaskState
    reason: str
    outcome: Outcome = Outcome.SKIPPED


@dataclass(frozen=True, slots=True)
class Close:
    """A loop whose parts have all ended."""

    task: TaskState


Decision = Start | Skip | Close


def next_decision(
    state: RunState,
    order: Order[TaskState],
    concurrent: int,
    rule: Callable[[TaskState], Ruling] = lambda task: GO,
    *,
    may_refuse: bool = True,
) -> Decision | None:
    """The next thing to do, or None while there is nothing but to wait. Takes it off the queues.

    `order` has all tasks of the state; those of agents that have become ready are put into it. `concurrent` is the
    number of agents that may run at once; `rule` says whether an agent's task may start, were there a place for it, and
    is asked while there is none, too, unless it refuses nobody now (`may_refuse`). While the one that is next must
    wait, the others wait too: those that need little would overtake it for ever.
    """
    while state.doomed:
        task, need = state.doomed.popleft()
        if task.status not in FINISHED:
            return Skip(task, f"it needs {need}, which is {state.tasks[need].status}")
    if state.complete:
        return Close(state.complete.popleft())
    while state.ready_free:
        if (task := state.ready_free.popleft()).status not in FINISHED:
            return Start(task)
    has_place = state.places < concurrent
    if not (has_place or may_refuse):
        return None
    while state.ready:
        order.push(state.ready.popleft().id)
    while (first := order.peek()) is not None:
        if (task := state.tasks[first]).status in FINISHED:
            order.pop()  # cancelled while it waited
            continue
        return _choose(task, order, rule(task), has_place=has_place)
    return None


def _choose(task: TaskState, order: Order[TaskState], ruling: Ruling, *, has_place: bool) -> Decision | None:
    match ruling:
        case Refuse(outcome, reason):
            order.pop()
            return Skip(task, reason, outcome)
        case Go() if has_place:
            order.pop()
            return Start(task)
    return None
