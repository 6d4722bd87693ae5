"""What is to be done next: a pure function of a run's state."""

from dataclasses import dataclass

from orchestrator.schedule.order import Order
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
    state: RunState, order: Order[TaskState], concurrent: int, usd: float | None = None
) -> Decision | None:
    """The next thing to do, or None while there is nothing but to wait. Takes it off the queues.

    `order` has all tasks of the state; those of agents that have become ready are put into it. `concurrent` is the
    number of agents that may run at once; `usd` what the run may cost, in US dollars.
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
    while state.ready:
        order.push(state.ready.popleft().id)
    is_spent = usd is not None and state.cost_usd >= usd
    while is_spent or state.places < concurrent:
        if (first := order.pop()) is None:
            break
        if (task := state.tasks[first]).status in FINISHED:
            continue  # cancelled while it waited
        return Skip(task, f"the run's budget of {usd:g} USD is spent", Outcome.BUDGET) if is_spent else Start(task)
    return None
