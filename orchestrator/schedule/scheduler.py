"""What is to be done next: a pure function of a run's state."""

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.schedule.order import Order
from orchestrator.schedule.ruling import GO, Go, Refuse, Ruling, Wait
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
    wait, the others wait too: those that need little would overtake it for ever. Only where it waits for its account or
    its model those of others go on.
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
    enter(state, order)
    for task in _firsts(state, order):
        ruling = rule(task)
        if isinstance(ruling, Wait) and ruling.others_may:
            continue
        return _choose(task, order, ruling, has_place=has_place)
    return None


def enter(state: RunState, order: Order[TaskState]) -> None:
    """Puts the tasks of agents that have become ready into the order."""
    while state.ready:
        task = state.ready.popleft()
        order.push(task.id, (task.account, task.model))


def _firsts(state: RunState, order: Order[TaskState]) -> list[TaskState]:
    """The first of each lane, the best of them first, without those that were cancelled while they waited."""
    while True:
        firsts = [state.tasks[task] for task in order.firsts()]
        over = [task for task in firsts if task.status in FINISHED]
        if not over:
            return firsts
        for task in over:
            order.take(task.id)


def _choose(task: TaskState, order: Order[TaskState], ruling: Ruling, *, has_place: bool) -> Decision | None:
    match ruling:
        case Refuse(outcome, reason):
            order.take(task.id)
            return Skip(task, reason, outcome)
        case Go() if has_place:
            order.take(task.id)
            return Start(task)
    return None
