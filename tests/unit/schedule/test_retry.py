"""Whether, when and how a failed attempt is tried again."""

import pytest

from orchestrator.schedule.retry import (
    EXCUSED,
    FINAL,
    LONGEST_WAIT,
    MOST_REPAIRS,
    MOST_WAITS,
    RETRIES,
    SHARED,
    How,
    Retry,
    Tally,
    next_try,
)
from orchestrator.task import Outcome

CONTINUED = {
    Outcome.OVERLOADED: 5.0,
    Outcome.RATE_LIMITED: 30.0,
    Outcome.API_ERROR: 5.0,
    Outcome.NO_RESULT: 1.0,
    Outcome.CRASHED: 1.0,
    Outcome.KILLED: 1.0,
    Outcome.UNREADABLE: 1.0,
    Outcome.STALLED: 1.0,
    Outcome.INTERRUPTED: 1.0,
    Outcome.TIMEOUT: 0.0,
    Outcome.SESSION_BUSY: 5.0,
}
BEGUN_ANEW = {
    Outcome.NOT_STARTED: 1.0,
    Outcome.UNKNOWN_SESSION: 0.0,
    Outcome.EMPTY: 0.0,
    Outcome.TOO_LONG: 0.0,
}
REPAIRED = (Outcome.MISSING_OUTPUT, Outcome.INVALID_OUTPUT)
EXPECTED = (
    {outcome: Retry(wait, How.CONTINUE) for outcome, wait in CONTINUED.items()}
    | {outcome: Retry(wait, How.FRESH) for outcome, wait in BEGUN_ANEW.items()}
    | {outcome: Retry(0.0, How.REPAIR) for outcome in REPAIRED}
)
COUNTED = sorted({*CONTINUED, *BEGUN_ANEW} - SHARED)


def test_every_outcome_is_decided() -> None:
    """Each outcome either has its retry or is final, and none is both."""
    assert set(RETRIES) | FINAL == set(Outcome)
    assert not set(RETRIES) & FINAL


@pytest.mark.parametrize("outcome", Outcome)
def test_the_first_retry(outcome: Outcome) -> None:
    """Each outcome has its first wait and its way to go on, or none because trying again cannot help."""
    assert next_try(outcome, 1, 1, 0) == EXPECTED.get(outcome)


@pytest.mark.parametrize("outcome", COUNTED)
def test_retries_are_counted(outcome: Outcome) -> None:
    """`retries` further attempts are allowed, and not one more."""
    assert [next_try(outcome, number, 2, 0) is not None for number in (1, 2, 3, 4)] == [True, True, False, False]
    assert next_try(outcome, 1, 0, 0) is None


@pytest.mark.parametrize("outcome", REPAIRED)
def test_repairs_do_not_count_as_retries(outcome: Outcome) -> None:
    """Wrong output is repaired twice, also where no retry is allowed; then a new session is tried if one is."""
    assert [next_try(outcome, 1, 0, repairs) for repairs in range(MOST_REPAIRS)] == [Retry(0.0, How.REPAIR)] * 2
    assert next_try(outcome, 1, 0, MOST_REPAIRS) is None
    assert next_try(outcome, 1, 1, MOST_REPAIRS) == Retry(0.0, How.FRESH)
    assert next_try(outcome, 2, 1, MOST_REPAIRS) is None


def test_waits_double() -> None:
    """Each wait is twice the one before it."""
    retries = [next_try(Outcome.API_ERROR, number, 20, 0) for number in (1, 2, 3, 4)]
    assert [retry and retry.wait for retry in retries] == [5, 10, 20, 40]


@pytest.mark.parametrize("outcome", COUNTED)
def test_waits_are_bounded(outcome: Outcome) -> None:
    """However often it is tried, no wait is longer than the longest."""
    retry = next_try(outcome, 20, 20, 0)
    assert retry is not None
    assert retry.wait <= LONGEST_WAIT


def test_the_longest_wait() -> None:
    """A wait that doubles on and on comes to the longest."""
    assert next_try(Outcome.API_ERROR, 20, 20, 0) == Retry(LONGEST_WAIT, How.CONTINUE)


@pytest.mark.parametrize("outcome", sorted(SHARED))
def test_the_fleet_s_trouble_has_waits_of_its_own(outcome: Outcome) -> None:
    """A rate limit or an overload is waited for, longer each time, also by a task without retries; but not for ever."""
    waits = [next_try(outcome, 1, 0, 0, number) for number in range(MOST_WAITS)]
    told = [retry.wait for retry in waits if retry]
    assert told == sorted(told)
    assert (told[0], told[1], told[-1]) == (RETRIES[outcome].wait, 2 * RETRIES[outcome].wait, LONGEST_WAIT)
    assert next_try(outcome, 1, 20, 0, MOST_WAITS) is None


def test_only_the_task_s_own_attempts_use_up_its_retries() -> None:
    """Waits, repairs and excused attempts leave a task the one retry that it has, and that one is then used up."""
    tally = Tally()
    assert tally.decide(Outcome.RATE_LIMITED, 1, 1, excused=False) == Retry(30.0, How.CONTINUE)
    assert tally.decide(Outcome.QUOTA, 2, 1, excused=True) == EXCUSED
    assert tally.decide(Outcome.RATE_LIMITED, 3, 1, excused=False) == Retry(60.0, How.CONTINUE)
    assert tally.decide(Outcome.INVALID_OUTPUT, 4, 1, excused=False) == Retry(0.0, How.REPAIR)
    assert tally.decide(Outcome.CRASHED, 5, 1, excused=False) == Retry(1.0, How.CONTINUE)
    assert tally.decide(Outcome.CRASHED, 6, 1, excused=False) is None
