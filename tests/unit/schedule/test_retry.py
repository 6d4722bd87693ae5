"""Whether and when a failed attempt is tried again."""

import pytest

from orchestrator.schedule.retry import LONGEST_WAIT, WAITS, wait_before_retry
from orchestrator.task import Outcome

MENDS_BY_ITSELF = {
    Outcome.OVERLOADED: 5.0,
    Outcome.RATE_LIMITED: 30.0,
    Outcome.API_ERROR: 5.0,
    Outcome.NO_RESULT: 1.0,
    Outcome.CRASHED: 1.0,
    Outcome.KILLED: 1.0,
    Outcome.UNREADABLE: 1.0,
    Outcome.NOT_STARTED: 1.0,
    Outcome.EMPTY: 0.0,
    Outcome.MISSING_OUTPUT: 0.0,
    Outcome.INVALID_OUTPUT: 0.0,
    Outcome.TIMEOUT: 0.0,
}
"""Seconds before the second attempt; every other outcome is final."""


@pytest.mark.parametrize("outcome", Outcome)
def test_first_wait(outcome: Outcome) -> None:
    """Each outcome has its first wait, or none because trying again cannot help."""
    assert wait_before_retry(outcome, 1, 1) == MENDS_BY_ITSELF.get(outcome)


@pytest.mark.parametrize("outcome", MENDS_BY_ITSELF)
def test_retries_are_counted(outcome: Outcome) -> None:
    """`retries` further attempts are allowed, and not one more."""
    assert [wait_before_retry(outcome, number, 2) is not None for number in (1, 2, 3, 4)] == [True, True, False, False]
    assert wait_before_retry(outcome, 1, 0) is None


def test_waits_double() -> None:
    """Each wait is twice the one before it."""
    assert [wait_before_retry(Outcome.OVERLOADED, number, 20) for number in (1, 2, 3, 4)] == [5, 10, 20, 40]


@pytest.mark.parametrize("outcome", WAITS)
def test_waits_are_bounded(outcome: Outcome) -> None:
    """However often it is tried, no wait is longer than the longest."""
    wait = wait_before_retry(outcome, 20, 20)
    assert wait is not None
    assert wait <= LONGEST_WAIT
    assert wait_before_retry(Outcome.RATE_LIMITED, 20, 20) == LONGEST_WAIT
