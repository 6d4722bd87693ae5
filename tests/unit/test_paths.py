"""The longest path through tasks that wait for each other."""

import pytest

from orchestrator.paths import Timed, critical_path, lower_bound


def test_nothing_takes_no_time() -> None:
    """Without tasks there is no path."""
    assert critical_path([]) == (0.0, [])


def test_the_longest_path() -> None:
    """Of two branches that meet again the longer one is on the path, in the order of its tasks, whatever came first."""
    tasks = [Timed("d", 1, ("b", "c")), Timed("c", 2, ("a",)), Timed("b", 5, ("a",)), Timed("a", 1), Timed("e", 6)]
    assert critical_path(tasks) == (7, ["a", "b", "d"])


def test_a_group_takes_as_long_as_its_parts() -> None:
    """What waits for a group waits for its longest part; the group's own time does not count, nor is it on the path."""
    tasks = [
        Timed("first", 1),
        Timed("each", 100, ("first",)),
        Timed("each[0]", 2, parent="each"),
        Timed("each[1]", 3, parent="each"),
        Timed("last", 1, ("each",)),
    ]
    assert critical_path(tasks) == (5, ["first", "each[1]", "last"])


def test_a_group_in_a_group() -> None:
    """Parts of parts start after what the outer group needs, and end before what waits for it."""
    tasks = [
        Timed("first", 1),
        Timed("plan", 0, ("first",)),
        Timed("plan/each", 0, parent="plan"),
        Timed("plan/each[0]", 3, parent="plan/each"),
        Timed("last", 1, ("plan",)),
    ]
    assert critical_path(tasks) == (5, ["first", "plan/each[0]", "last"])


def test_a_group_without_parts_counts_itself() -> None:
    """A loop that has not been expanded takes the time that it is said to take."""
    assert critical_path([Timed("each", 4), Timed("last", 1, ("each",))]) == (5, ["each", "last"])


def test_a_circle_is_refused() -> None:
    """Tasks that wait for each other have no path."""
    with pytest.raises(ValueError, match="in a circle: "):
        critical_path([Timed("a", 1, ("b",)), Timed("b", 1, ("a",))])


@pytest.mark.parametrize(("width", "seconds"), [(1, 9), (2, 5), (9, 5)])
def test_no_run_is_shorter_than_its_path_or_its_work(width: int, seconds: float) -> None:
    """The bound is the work divided by the places, or the longest path where that is longer; groups are no work."""
    tasks = [Timed("each", 100), Timed("each[0]", 5, parent="each"), Timed("each[1]", 4, parent="each")]
    assert lower_bound(tasks, width) == seconds
