"""What is to be done next: a pure function of a run's state."""

from dataclasses import dataclass

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


def next_decision(state: RunState, concurrent: int, usd: float | None = None) -> Decision | None:
    """The next thing to do, or None while there is nothing but to wait. Takes it off the state's queues.

    `concurrent` is the number of agents that may run at once; `usd` what the run may cost, in US dollars.
    """
    while state.doomed:
        task, need = state.doomed.popleft()
        if task.status not in FINISHED:
            return Skip(task, f"it needs {need}, which is {state.tasks[need].status}")
    if state.complete:
        return Close(state.complete.popleft())
    for queue in (state.ready, state.ready_free):
        while queue and queue[0].status in FINISHED:
            queue.popleft()  # cancelled while it waited
    if state.ready_free:
        return Start(state.ready_free.popleft())
    if state.ready and usd is not None and state.cost_usd >= usd:
        return Skip(state.ready.popleft(), f"the run's budget of {usd:g} USD is spent", Outcome.BUDGET)
    if state.ready and state.places < concurrent:
        return Start(state.ready.popleft())
    return None
