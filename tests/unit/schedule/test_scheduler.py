"""What is to be done next."""

from collections.abc import Iterable

import pytest

from orchestrator.events import AttemptFinished, AttemptStarted, Event, TaskAdded, TaskExpanded
from orchestrator.plan.model import Limits
from orchestrator.schedule.budget import Budget
from orchestrator.schedule.order import Order
from orchestrator.schedule.ruling import GO, Ruling
from orchestrator.schedule.scheduler import Close, Decision, Skip, Start, next_decision
from orchestrator.state import RunState, TaskState
from orchestrator.task import Outcome, Result
from orchestrator.testing.samples import finished


def added(task: str, *needs: str, kind: str = "agent", parent: str | None = None, allow_failure: bool = False) -> Event:
    return TaskAdded(
        task=task, title=task, task_kind=kind, needs=list(needs), parent=parent, allow_failure=allow_failure
    )


def started(task: str) -> Event:
    return AttemptStarted(task=task, attempt=1)


def ended(task: str, status: str = "done", *, loop: bool = False) -> Event:
    return finished(Result(task=task, outcome=Outcome.OK), status, loop=loop)


def paid(task: str, usd: float) -> Event:
    return AttemptFinished(task=task, attempt=1, outcome="ok", cost_usd=usd)


def state_of(*events: Event) -> RunState:
    state = RunState()
    for event in events:
        state.apply(event, 1.0)
    return state


def order_of(state: RunState, **seconds: float) -> Order[TaskState]:
    """The order of the state's tasks, which take a second where nothing else is said."""
    order: Order[TaskState] = Order(lambda task: seconds.get(task.id, 1.0))
    order.add(list(state.tasks.values()))
    return order


def decisions(
    state: RunState, concurrent: int = 100, usd: float | None = None, order: Order[TaskState] | None = None
) -> list[Decision]:
    """All that can be decided now, what is started counted as started."""
    made: list[Decision] = []
    order = order_of(state) if order is None else order
    budget = Budget(Limits(usd=usd), state, lambda task: None)
    while decision := next_decision(state, order, concurrent, budget.rule):
        made.append(decision)
        if isinstance(decision, Start):
            state.apply(started(decision.task.id), 1.0)
    return made


def starts(made: Iterable[Decision]) -> list[str]:
    return [each.task.id for each in made if isinstance(each, Start)]


def test_nothing_to_do() -> None:
    """A run without tasks has nothing to decide."""
    assert next_decision(RunState(), order_of(RunState()), 1) is None


def test_tasks_start_in_the_order_in_which_they_came() -> None:
    """What is ready starts first come, first served."""
    assert starts(decisions(state_of(*map(added, "cab")))) == ["c", "a", "b"]


def test_a_task_that_was_ready_first_starts_first() -> None:
    """A task added early whose need ends late comes behind one that was ready before."""
    state = state_of(added("need"), started("need"), added("early", "need"), added("late"), ended("need"))
    state.ready.popleft()  # `need` itself, which has been started
    assert starts(decisions(state)) == ["late", "early"]


def test_no_more_at_once_than_allowed() -> None:
    """With a width of two, two start, and a third when one has ended."""
    state = state_of(*map(added, "abc"))
    order = order_of(state)
    assert starts(decisions(state, 2, order=order)) == ["a", "b"]
    state.apply(ended("a"), 1.0)
    assert starts(decisions(state, 2, order=order)) == ["c"]


def test_the_longest_path_starts_first() -> None:
    """Of what is ready the task starts first that takes longest with what waits for it, whenever it came."""
    state = state_of(added("short"), added("long"), added("first"), added("behind", "first"))
    order = order_of(state, short=1, long=5, first=1, behind=9)
    assert starts(decisions(state, order=order)) == ["first", "long", "short"]


def test_what_runs_no_agent_starts_as_it_came() -> None:
    """A call waits for no other, however much longer that one takes."""
    state = state_of(added("a", kind="call"), added("b", kind="call"))
    assert starts(decisions(state, order=order_of(state, a=1, b=9))) == ["a", "b"]


@pytest.mark.parametrize("kind", ["call", "write", "loop"])
def test_what_runs_no_agent_takes_no_place(kind: str) -> None:
    """A call, a file and a loop start beside a full house, and leave its places alone."""
    state = state_of(added("agent"), added("other"), added("free", kind=kind))
    assert starts(decisions(state, 1)) == ["free", "agent"]
    assert state.places == 1


def test_a_need_is_waited_for() -> None:
    """A task starts when all of its needs are done, and not before."""
    state = state_of(added("a"), added("b"), added("c", "a", "b"))
    assert starts(decisions(state)) == ["a", "b"]
    state.apply(ended("a"), 1.0)
    assert decisions(state) == []
    state.apply(ended("b"), 1.0)
    assert starts(decisions(state)) == ["c"]


def test_a_need_that_has_been_met_already_is_not_waited_for() -> None:
    """A task that is added after its need has ended starts at once."""
    state = state_of(added("a"), started("a"), ended("a"), added("b", "a"))
    assert "b" in starts(decisions(state))


@pytest.mark.parametrize("status", ["failed", "skipped", "cancelled"])
@pytest.mark.parametrize("before", [True, False])
def test_a_need_that_failed_skips(status: str, before: bool) -> None:
    """A task whose need did not succeed is skipped with the need's name and status, whenever it was added."""
    need, task = [started("a"), ended("a", status)], [added("b", "a")]
    state = state_of(added("a"), *(task + need if before else need + task))
    (skip,) = [each for each in decisions(state) if isinstance(each, Skip)]
    assert (skip.task.id, skip.reason) == ("b", f"it needs a, which is {status}")


def test_a_need_that_may_fail_does_not_skip() -> None:
    """A task goes on after a need that failed but is allowed to."""
    state = state_of(added("a", allow_failure=True), added("b", "a"), started("a"), ended("a", "failed"))
    state.ready.remove(state.tasks["a"])
    assert starts(decisions(state)) == ["b"]


def test_two_failed_needs_skip_once() -> None:
    """A task that two needs have failed is skipped once, for the first of them."""
    state = state_of(added("a"), added("b"), added("c", "a", "b"), started("a"), started("b"))
    state.ready.clear()
    state.apply(ended("a", "failed"), 1.0)
    state.apply(ended("b", "failed"), 1.0)
    order = order_of(state)
    assert isinstance(next_decision(state, order, 1), Skip)
    state.apply(ended("c", "skipped"), 1.0)
    assert next_decision(state, order, 1) is None


def test_a_task_cancelled_while_it_waited_is_passed_over() -> None:
    """What has ended is not started, wherever it stands in the queue."""
    state = state_of(*map(added, "abc"), ended("a", "cancelled"))
    assert starts(decisions(state)) == ["b", "c"]
    state = state_of(*map(added, "abc"), ended("b", "cancelled"))
    assert starts(decisions(state)) == ["a", "c"]


def test_a_loop_closes_when_its_last_part_ends() -> None:
    """A loop is summed up after its last part, whatever became of the parts, and once."""
    loop = [added("each", kind="loop"), TaskExpanded(task="each", parts=["each[0]", "each[1]"])]
    state = state_of(*loop, *(added(f"each[{index}]", parent="each") for index in (0, 1)))
    state.ready_free.clear()
    assert starts(decisions(state)) == ["each[0]", "each[1]"]
    state.apply(ended("each[0]"), 1.0)
    assert decisions(state) == []
    state.apply(ended("each[1]", "failed"), 1.0)
    (close,) = decisions(state)
    assert isinstance(close, Close)
    assert close.task.id == "each"


def test_a_loop_over_nothing_closes_at_once() -> None:
    """A loop without items has nothing to wait for."""
    state = state_of(added("each", kind="loop"), TaskExpanded(task="each", parts=[]))
    state.ready_free.clear()
    (close,) = decisions(state)
    assert isinstance(close, Close)


def test_a_spent_budget_skips_what_has_not_started() -> None:
    """Once the money is spent agents are skipped with the sum, one after the other; what runs none goes on."""
    state = state_of(added("a"), started("a"), paid("a", 1.0), ended("a"), added("b"), added("c"))
    state.apply(added("file", kind="write"), 1.0)
    state.ready.popleft()
    made = decisions(state, usd=1.0)
    assert starts(made) == ["file"]
    assert {each.task.id: each.reason for each in made if isinstance(each, Skip)} == {
        "b": "the run's budget of 1 USD is spent (1 USD so far): resume it with more, as --usd 2",
        "c": "the run's budget of 1 USD is spent (1 USD so far): resume it with more, as --usd 2",
    }


def test_a_budget_with_something_left_starts() -> None:
    """A cent that is left lets the next agent start."""
    state = state_of(added("a"), paid("a", 0.99))
    assert starts(decisions(state, usd=1.0)) == ["a"]


@pytest.mark.parametrize("may_refuse", [False, True])
def test_who_is_asked_while_there_is_no_place(may_refuse: bool) -> None:
    """Without a place tasks that are ready are looked at only where one may be refused: a wide run has thousands."""
    state = state_of(added("a"), added("b"))
    order, asked = order_of(state), list[str]()

    def rule(task: TaskState) -> Ruling:
        asked.append(task.id)
        return GO

    assert next_decision(state, order, 0, rule, may_refuse=may_refuse) is None
    assert asked == (["a"] if may_refuse else [])
    assert next_decision(state, order, 1, rule, may_refuse=may_refuse) == Start(state.tasks["a"])
