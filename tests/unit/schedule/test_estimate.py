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
