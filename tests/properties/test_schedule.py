"""The order of tasks, and what comes of it."""

from collections.abc import Sequence
from functools import cache
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.paths import Timed, critical_path, lower_bound
from orchestrator.schedule.forecast import Span, simulate, spans
from orchestrator.schedule.order import Order


@st.composite
def graphs(draw: st.DrawFn, most: int = 14) -> list[Timed]:
    """Tasks that need earlier ones of their group; any may be a group itself. Whole seconds, so sums are exact."""
    tasks: list[Timed] = []
    for number in range(draw(st.integers(1, most))):
        parent = draw(st.none() | st.sampled_from(tasks)) if tasks else None
        beside = [task.id for task in tasks if task.parent == (parent and parent.id)]
        needs = draw(st.lists(st.sampled_from(beside), max_size=3)) if beside else []
        tasks.append(Timed(f"{number}", draw(st.integers(0, 5)), needs, parent and parent.id))
    return tasks


def ranks(tasks: Sequence[Timed]) -> dict[str, float]:
    """By the definition."""
    known = {task.id: task for task in tasks}

    @cache
    def behind(task: str) -> float:
        parent = known[task].parent
        after = [rank(each.id) for each in tasks if task in each.needs]
        return max([0.0, *after, behind(parent) if parent else 0.0])

    @cache
    def rank(task: str) -> float:
        parts = [rank(each.id) for each in tasks if each.parent == task]
        return max([known[task].seconds + behind(task), *parts])

    return {task: rank(task) for task in known}


def order_of(tasks: Sequence[Timed]) -> Order:
    seconds = {task.id: task.seconds for task in tasks}
    return Order(lambda task: seconds[task.id])


@given(tasks=graphs(), seed=st.randoms(use_true_random=False))
def test_ranks_of_a_batch_are_exact(tasks: list[Timed], seed: Random) -> None:
    """Whatever the graph, and however its tasks are sorted, ranks are what the definition says."""
    expected, order = ranks(tasks), order_of(tasks)
    seed.shuffle(tasks)
    order.add(tasks)
    assert {task: order.rank(task) for task in expected} == expected


@given(tasks=graphs(most=9), sizes=st.lists(st.integers(1, 4), min_size=9, max_size=9))
def test_ranks_of_several_batches_are_exact(tasks: list[Timed], sizes: list[int]) -> None:
    """A graph that comes piece by piece, and is ranked after each, has the same ranks as one that came at once."""
    expected, order, left = ranks(tasks), order_of(tasks), list(tasks)
    for size in sizes:
        order.add(left[:size])
        order.rank(tasks[0].id)
        del left[:size]
    assert {task: order.rank(task) for task in expected} == expected


@given(tasks=graphs(), data=st.data())
def test_the_highest_rank_is_next(tasks: list[Timed], data: st.DataObject) -> None:
    """Of the ready tasks the one with the highest rank is given out, of equal ones the first, and each once."""
    expected, order = ranks(tasks), order_of(tasks)
    order.add(tasks)
    order.rank(tasks[0].id)  # a task may be drawn below before what it needs, which no run does before it is ranked
    left, ready, given_out = data.draw(st.permutations(list(expected))), [], []
    while left or ready:
        if left and (not ready or data.draw(st.booleans())):
            ready.append(left.pop())
            order.push(ready[-1])
        else:
            first = sorted(ready, key=lambda task: -expected[task])[:3]
            assert order.next(3) == first
            given_out.append(order.pop())
            assert given_out[-1] == first[0]
            ready.remove(given_out[-1])
    assert order.pop() is None


@given(tasks=graphs(), width=st.integers(1, 5), known=st.booleans())
def test_a_schedule_keeps_the_rules(tasks: list[Timed], width: int, known: bool) -> None:
    """No task starts before its needs have ended, never are more than `width` at work, and no place is idle in vain."""
    found = spans(tasks, width, None if known else lambda task: 1.0)
    assert set(found) == {task.id for task in tasks} - {task.parent for task in tasks}
    for task in tasks:
        if task.id in found:
            ready, start = ready_at(task, tasks, found), found[task.id].start
            assert start >= ready
            assert found[task.id].end == start + task.seconds
            assert all(at_work(time, found) == width for time in times(found) if ready <= time < start)
    assert all(at_work(time, found) <= width for time in times(found))


@given(tasks=graphs(), width=st.integers(1, 5))
def test_a_forecast_lies_between_the_bounds(tasks: list[Timed], width: int) -> None:
    """No run is shorter than the bound, nor longer than path and work together when no place is idle in vain."""
    path = critical_path(tasks)[0]
    work = sum(span.end - span.start for span in spans(tasks, width).values())
    assert lower_bound(tasks, width) <= simulate(tasks, width) <= work / width + path * (1 - 1 / width) + 1e-9


def ready_at(task: Timed, tasks: Sequence[Timed], found: dict[str, Span]) -> float:
    """When all that it and its groups need has ended."""
    known = {each.id: each for each in tasks}
    needs = [ended_at(need, tasks, found) for need in task.needs]
    return max([0.0, *needs, ready_at(known[task.parent], tasks, found) if task.parent else 0.0])


def ended_at(task: str, tasks: Sequence[Timed], found: dict[str, Span]) -> float:
    if task in found:
        return found[task].end
    parts = [ended_at(each.id, tasks, found) for each in tasks if each.parent == task]
    return max([ready_at(next(each for each in tasks if each.id == task), tasks, found), *parts])


def times(found: dict[str, Span]) -> list[float]:
    return [time for span in found.values() for time in (span.start, span.end)]


def at_work(time: float, found: dict[str, Span]) -> int:
    return sum(1 for span in found.values() if span.start <= time < span.end)
