"""How long tasks will take together."""

import pytest

from orchestrator.paths import Timed
from orchestrator.schedule.forecast import Span, simulate, spans

SIDE = [Timed("a", 2), Timed("b", 2), Timed("c", 2)]
CHAIN = [Timed("x", 2), Timed("y", 2, ("x",)), Timed("z", 2, ("y",))]


@pytest.mark.parametrize(("width", "seconds"), [(1, 12), (2, 6), (3, 6), (9, 6)])
def test_a_chain_with_side_work(width: int, seconds: float) -> None:
    """The chain that comes last in the plan starts first, and the rest is done beside it."""
    assert simulate([*SIDE, *CHAIN], width) == seconds


def test_arrival_order_is_longer() -> None:
    """With nothing known of the times the tasks start as they came, and the chain ends late."""
    assert simulate([*SIDE, *CHAIN], 2, lambda task: 0.0) == 8


def test_nothing_takes_no_time() -> None:
    """A run without tasks is over at once, and so is a group without parts that takes no time."""
    assert simulate([], 1) == 0
    assert simulate([Timed("each", 0)], 1) == 0


def test_groups_take_no_place() -> None:
    """A loop's parts start when what it needs is done, two at a time here, and what waits for it after the last."""
    parts = [Timed(f"each[{number}]", seconds, parent="each") for number, seconds in enumerate((1, 1, 2))]
    tasks = [Timed("first", 1), Timed("each", 99, ("first",)), *parts, Timed("last", 1, ("each",))]
    assert spans(tasks, 2) == {
        "first": Span(0, 1),
        "each[2]": Span(1, 3),
        "each[0]": Span(1, 2),
        "each[1]": Span(2, 3),
        "last": Span(3, 4),
    }


def test_tasks_that_end_together() -> None:
    """Two tasks that end at one moment both have ended before the free places are given to others."""
    long = [Timed(name, 9, ("a", "b")) for name in ("d", "e")]
    found = spans([Timed("a", 1), Timed("b", 1), Timed("c", 1), *long], 2)
    assert (found["d"], found["e"], found["c"]) == (Span(1, 10), Span(1, 10), Span(10, 11))


@pytest.mark.parametrize("others", [[], [Timed("a", 1)], SIDE])
def test_a_circle_is_refused(others: list[Timed]) -> None:
    """Tasks that wait for each other never end, and are no shorter run."""
    with pytest.raises(ValueError, match="circle"):
        simulate([*others, Timed("x", 1, ("y",)), Timed("y", 1, ("x",))], 2)
