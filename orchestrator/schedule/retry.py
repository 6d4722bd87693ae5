"""Whether a failed attempt is tried again, and after how long: a pure function of its outcome."""

from orchestrator.task import Outcome

WAITS = {
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
"""Seconds before the second attempt, for outcomes that another attempt can mend; doubled from attempt to attempt.

The CLI itself has by then retried an API error: 500 and 429 for three minutes, 529 for two seconds, or for minutes too
where IS_SANDBOX is set (measured with CLI 2.1.329)."""

LONGEST_WAIT = 300.0


def wait_before_retry(outcome: Outcome, attempts: int, retries: int) -> float | None:
    """Seconds to wait before the next attempt; None when there must be none.

    `attempts` counts those already made, `retries` those that the task allows beyond the first.
    """
    if outcome not in WAITS or attempts > retries:
        return None
    return float(min(LONGEST_WAIT, WAITS[outcome] * 2 ** (attempts - 1)))
