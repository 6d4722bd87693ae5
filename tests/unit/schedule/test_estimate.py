"""What tasks are expected to take and to cost."""

import pytest

from orchestrator.schedule.estimate import GUESS_SECONDS, GUESS_USD, NEWEST, Basis, Earlier, Estimate, Estimates

EARLIER = [
    Earlier("ask", "writer", 10, 0.1),
    Earlier("ask", "writer", 20, 0.3),
    Earlier("check[0]", "reader", 100, 1.0),
    Earlier("check[1]", "reader", 200, 3.0),
    Earlier("part[1]/check[0]", "reader", 600, 8.0),
]


@pytest.mark.parametrize(
    ("task", "agent", "seconds", "usd", "basis"),
    [
        ("ask", "writer", 15, 0.2, Basis.TASK),
        ("check[0]", "writer", 100, 1.0, Basis.TASK),
        ("check[7]", "writer", 150, 2.0, Basis.LOOP),
        ("part[2]/check[1]", "writer", 600, 8.0, Basis.LOOP),
        ("other", "reader", 300, 4.0, Basis.AGENT),
        ("other", "another", 186, 2.48, Basis.ANY),
        ("other", None, 186, 2.48, Basis.ANY),
    ],
)
def test_the_closest_of_what_was(task: str, agent: str | None, seconds: float, usd: float, basis: Basis) -> None:
    """The task itself, then its loop's other parts, then its agent's other tasks, then all; said each time."""
    estimates = Estimates(EARLIER)
    assert estimates.seconds(task, agent) == Estimate(pytest.approx(seconds), basis)
    assert estimates.usd(task, agent) == Estimate(pytest.approx(usd), basis)


def test_nothing_known_is_a_guess() -> None:
    """Without earlier runs every task is expected to take the same, and that is called a guess."""
    assert Estimates().seconds("ask", "writer") == Estimate(GUESS_SECONDS, Basis.GUESS)
    assert Estimates().usd("ask") == Estimate(GUESS_USD, Basis.GUESS)


def test_the_newest_count() -> None:
    """What a task took long ago is forgotten."""
    old, new = [Earlier("ask", None, 1000, 9.0)] * 5, [Earlier("ask", None, 10, 0.1)] * NEWEST
    assert Estimates(old + new).seconds("ask") == Estimate(10, Basis.TASK)


def test_a_figure_that_is_missing() -> None:
    """A task whose cost is not known still tells how long it took, and its cost is sought further off."""
    estimates = Estimates([Earlier("ask", None, 10, None), Earlier("other", None, 30, 0.5)])
    assert estimates.seconds("ask") == Estimate(10, Basis.TASK)
    assert estimates.usd("ask") == Estimate(0.5, Basis.AGENT)


LOOPED = [
    Earlier("each", seconds=30, kind="loop", run="old", parts=2),
    Earlier("each[0]", "reader", 10, 0.1, run="old", parent="each"),
    Earlier("each[0]", "reader", 20, 0.1, run="new", parent="each"),
    Earlier("each[2].look", "reader", 40, 0.1, run="new", parent="each[2]"),
    Earlier("each[2].tell", "reader", 50, 0.1, run="new", parent="each[2]", needs=["each[2].look"]),
    Earlier("each[2]", seconds=90, kind="pipeline", run="new", parent="each", parts=2),
    Earlier("each", seconds=95, kind="loop", run="new", parts=3),
    Earlier("fetch", seconds=7, kind="call", run="new"),
]


def test_groups_are_learned_apart() -> None:
    """A group's time is its own, and no task's; one of which nothing is known counts as one task."""
    estimates = Estimates(LOOPED)
    assert estimates.seconds("each", None, "loop") == Estimate(62.5, Basis.TASK)
    assert estimates.seconds("each[7]", None, "pipeline") == Estimate(90, Basis.LOOP)
    assert estimates.seconds("other", "reader", "loop") == Estimate(30, Basis.AGENT)
    assert estimates.seconds("anything") == Estimate(30, Basis.ANY)


def test_what_runs_no_agent() -> None:
    """A call takes as long as it did; a new one, and a file, take no time to speak of, and cost nothing."""
    estimates = Estimates(LOOPED)
    assert estimates.seconds("fetch", None, "call") == Estimate(7, Basis.TASK)
    assert estimates.seconds("other", None, "call") == Estimate(0, Basis.NONE)
    assert estimates.usd("fetch", None, "call") == Estimate(0, Basis.NONE)


def test_the_parts_of_the_newest_group_alike() -> None:
    """All that was in it, under the new name, and for each part that did not succeed one of which nothing is known."""
    parts = Estimates(LOOPED).parts("each") or []
    assert [(part.task, part.parent, part.seconds) for part in parts] == [
        ("each[0]", "each", 20),
        ("each[2]", "each", 90),
        ("each[2].look", "each[2]", 40),
        ("each[2].tell", "each[2]", 50),
        ("each[1]", "each", None),
    ]
    moved = Estimates(LOOPED).parts("each[5]") or []
    assert [(part.task, part.parent, list(part.needs)) for part in moved] == [
        ("each[5].look", "each[5]", []),
        ("each[5].tell", "each[5]", ["each[5].look"]),
    ]
    assert Estimates(LOOPED).parts("other") is None


def test_rows_of_a_journal() -> None:
    """What is not said in a row is as usual."""
    estimates = Estimates.of([{"run": "r", "task": "a", "seconds": 3.0, "usd": 0.5}])
    assert (estimates.seconds("a").value, estimates.usd("a").value, estimates.runs) == (3.0, 0.5, {"r"})
