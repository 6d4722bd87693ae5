"""Which of the tasks that are ready is next."""

import pytest

from orchestrator.paths import Timed
from orchestrator.schedule.order import REACH, Order


def order_of(*tasks: Timed) -> Order:
    seconds = {task.id: task.seconds for task in tasks}
    order = Order(lambda task: seconds.get(task.id, 1.0))
    order.add(tasks)
    return order


def popped(order: Order) -> list[str | None]:
    return [order.pop() for _ in range(len(order))]


def push(order: Order, *tasks: str) -> Order:
    for task in tasks:
        order.push(task)
    return order


def chain(length: int) -> list[Timed]:
    return [Timed(f"{number}", 1, (f"{number - 1}",) if number else ()) for number in range(length)]


def test_nothing_is_ready() -> None:
    """What has been added is not given out before it is ready."""
    assert order_of(Timed("a", 1)).pop() is None


def test_long_tasks_first() -> None:
    """Of tasks that nothing waits for the longest is first."""
    assert popped(push(order_of(Timed("a", 1), Timed("b", 3), Timed("c", 2)), *"abc")) == ["b", "c", "a"]


def test_equal_ones_by_arrival() -> None:
    """Tasks with the same path before them start in the order in which they became ready."""
    assert popped(push(order_of(*(Timed(name, 1) for name in "abcd")), *"cadb")) == ["c", "a", "d", "b"]


def test_what_much_waits_for_first() -> None:
    """A short task with a long path behind it goes before a long one with none."""
    order = order_of(Timed("alone", 5), Timed("first", 1), Timed("second", 5, ("first",)))
    assert popped(push(order, "alone", "first")) == ["first", "alone"]


def test_behind_a_part_comes_what_waits_for_its_groups() -> None:
    """Parts of a loop in a nested plan have behind them what waits for the loop and what waits for the plan."""
    order = order_of(
        Timed("plan", 0),
        Timed("plan/each", 0, parent="plan"),
        Timed("report", 2, ("plan",)),
        Timed("plan/sum", 3, ("plan/each",), "plan"),
        Timed("plan/each[0]", 1, parent="plan/each"),
    )
    assert [order.rank(task) for task in ("report", "plan/sum", "plan/each[0]", "plan")] == [2, 5, 6, 6]


def test_parts_added_later() -> None:
    """A loop counts with its own expected time until its parts are there, and these have behind them what it had."""
    tasks = [Timed("a", 1), Timed("each", 10, ("a",)), Timed("last", 5, ("each",)), Timed("each[0]", 2, parent="each")]
    seconds = {task.id: task.seconds for task in tasks}
    order = Order(lambda task: seconds[task.id])
    order.add(tasks[:3])
    assert order.rank("a") == 16
    order.add(tasks[3:])
    assert (order.rank("each[0]"), order.rank("a")) == (7, 16)


@pytest.mark.parametrize("ranked", [True, False])
def test_a_rank_grows_while_its_task_waits(ranked: bool) -> None:
    """A task that is ready moves forward when something is added behind it, and is given out once."""
    seconds = {"a": 1, "b": 2, "c": 9}
    order = Order(lambda task: seconds[task.id])
    order.add([Timed("a", 1), Timed("b", 2)])
    push(order, "a", "b")
    if ranked:
        assert order.rank("a") == 1
    order.add([Timed("c", 9, ("a",))])
    assert [order.pop() for _ in range(3)] == ["a", "b", None]


def test_a_single_task_is_given_out_before_others_arrive() -> None:
    """Without a choice nothing is ranked, and what is added then is ranked as before."""
    order = order_of(*chain(3), Timed("x", 2))
    assert [push(order, "0").pop(), push(order, "1").pop()] == ["0", "1"]
    assert popped(push(order, "2", "x")) == ["x", "2"]


def test_what_has_been_given_out_is_ranked_no_more() -> None:
    """A task that is at work keeps its rank when something is added behind it: nothing depends on that any more."""
    order = push(order_of(Timed("a", 1), Timed("b", 1)), "a", "b")
    assert order.pop() == "a"
    order.add([Timed("c", 1, ("a", "b"))])
    assert (order.rank("a"), order.rank("b")) == (1, 2)


def test_a_need_that_was_never_added_counts_for_nothing() -> None:
    """Tasks may name needs that had ended before the order was told of any."""
    assert order_of(Timed("a", 1, ("gone",), "gone too")).rank("a") == 1


def test_a_batch_is_exact_however_long_its_chain() -> None:
    """In one batch the first of a thousand has the other 999 before it, in whatever order they are named."""
    assert order_of(*chain(1000)).rank("0") == 1000
    assert order_of(*reversed(chain(1000))).rank("0") == 1000


def test_a_batch_is_exact_however_deep_its_groups() -> None:
    """Groups within groups that come together, with something behind each: the innermost has it all before it."""
    tasks = [Timed("0", 1)]
    for number in range(1, 200):
        tasks += [
            Timed(f"{number}", 1, (), f"{number - 1}"),
            Timed(f"then {number}", 1, (f"{number}",), f"{number - 1}"),
        ]
    assert order_of(*tasks).rank("199") == 200


def test_batches_of_one_reach_up_a_bounded_way() -> None:
    """A chain that grows one by one, and is ranked each time, is exact near its end and looked at no further up."""
    order = Order(lambda task: 1.0)
    for task in chain(1000):
        order.add([task])
        order.rank(task.id)
    assert [order.rank(f"{number}") for number in range(970, 1000)] == list(range(30, 0, -1))
    assert order.rank("0") <= 2 * REACH


def test_a_circle_is_refused() -> None:
    """Tasks that wait for each other are refused when the first choice is to be made."""
    order = order_of(Timed("a", 1, ("b",)), Timed("b", 1, ("a",)))
    with pytest.raises(ValueError, match="in a circle: "):
        order.rank("a")
