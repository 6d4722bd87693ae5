"""Whether, when and how a failed attempt is followed by another: a pure function of its outcome."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.task import Outcome

MOST_REPAIRS = 2
"""How often an agent is told that its output is wrong: the CLI has by then asked for it several times by itself."""
MOST_WAITS = 8
"""How often a task waits for the API to take what it asks: about 20 minutes in all."""
LONGEST_WAIT = 300.0
"""Seconds."""


class How(StrEnum):
    """How the next attempt begins."""

    FRESH = "fresh"
    """In a new session, from the task's prompt."""
    CONTINUE = "continue"
    """In the same session, which is told that it was interrupted."""
    REPAIR = "repair"
    """In the same session, which is told what is wrong with its output."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Another attempt."""

    wait: float
    """Seconds to wait first."""
    how: How


RETRIES: Mapping[Outcome, Retry] = {
    # The API's or the network's trouble: what the session holds is sound, and has been paid. The CLI itself has by then
    # retried: 500 and 429 for three minutes, 529 for two seconds, or for minutes too where IS_SANDBOX is set.
    Outcome.OVERLOADED: Retry(5.0, How.CONTINUE),
    Outcome.RATE_LIMITED: Retry(30.0, How.CONTINUE),
    Outcome.API_ERROR: Retry(5.0, How.CONTINUE),
    # The process's trouble: its transcript is on the disk up to the last message, and a call cut short is told as such.
    Outcome.NO_RESULT: Retry(1.0, How.CONTINUE),
    Outcome.CRASHED: Retry(1.0, How.CONTINUE),
    Outcome.KILLED: Retry(1.0, How.CONTINUE),
    Outcome.UNREADABLE: Retry(1.0, How.CONTINUE),
    Outcome.STALLED: Retry(1.0, How.CONTINUE),
    Outcome.INTERRUPTED: Retry(1.0, How.CONTINUE),
    Outcome.TIMEOUT: Retry(0.0, How.CONTINUE),
    # Somebody drives it still, in the workspace of this attempt: one that began afresh would work there beside it.
    Outcome.SESSION_BUSY: Retry(5.0, How.CONTINUE),
    # There is no session to go on with: none was begun, or it is gone.
    Outcome.NOT_STARTED: Retry(1.0, How.FRESH),
    Outcome.UNKNOWN_SESSION: Retry(0.0, How.FRESH),
    # The session itself is what went wrong: it ended without a word, or has grown beyond the model's window, and would
    # do so again. A new one may take another way.
    Outcome.EMPTY: Retry(0.0, How.FRESH),
    Outcome.TOO_LONG: Retry(0.0, How.FRESH),
    # The work is done and only its form is wrong.
    Outcome.MISSING_OUTPUT: Retry(0.0, How.REPAIR),
    Outcome.INVALID_OUTPUT: Retry(0.0, How.REPAIR),
}
"""What follows the first attempt; the waits double from attempt to attempt. (Signals measured with CLI 2.1.329.)"""

FINAL = frozenset(
    {
        Outcome.OK,
        # A limit that somebody has set, of turns, money or the length of a reply: the next attempt meets it again.
        Outcome.MAX_TURNS,
        Outcome.MAX_USD,
        Outcome.MAX_OUTPUT,
        Outcome.BUDGET,
        # What others' trouble has ended; the governor knows whether and when it goes on.
        Outcome.STOPPED,
        Outcome.PUT_OFF,
        # The account, the key, the model's name, the request or the set-up: a person has to change it.
        Outcome.AUTH,
        Outcome.BILLING,
        Outcome.QUOTA,
        Outcome.UNKNOWN_MODEL,
        Outcome.BAD_REQUEST,
        Outcome.BAD_SETUP,
        Outcome.WORKSPACE,
        Outcome.INVALID_TASK,
        # A decision, by the model (the CLI has asked once more by itself) or by a hook of the workspace.
        Outcome.REFUSED,
        Outcome.HOOK_STOPPED,
        # The output of the checks has gone back to the agent as often as the task's retries say.
        Outcome.CHECKS_FAILED,
        # No agent's work, or no longer wanted.
        Outcome.UNNEEDED,
        Outcome.UNDECIDED,
        Outcome.RAISED,
        Outcome.PARTIAL,
        Outcome.SKIPPED,
        Outcome.CANCELLED,
    }
)
"""Outcomes that no other attempt can mend. Each outcome is here or in RETRIES."""


SHARED = frozenset({Outcome.OVERLOADED, Outcome.RATE_LIMITED})
"""The fleet's trouble, not the task's: attempts that end so use up none of its retries."""


def next_try(outcome: Outcome, attempts: int, retries: int, repairs: int, waits: int = 0) -> Retry | None:
    """The attempt that follows; None when there must be none.

    `attempts` counts those already made, without the `repairs` and `waits` among them; `retries` those that the task
    allows beyond the first. Repairs do not count as retries: when they have not helped, a new session may. Nor do
    waits, which are attempts that ended by what all agents share, the API's limits.
    """
    retry = RETRIES.get(outcome)
    if retry is None:
        return None
    if outcome in SHARED:
        return Retry(float(min(LONGEST_WAIT, retry.wait * 2**waits)), retry.how) if waits < MOST_WAITS else None
    if retry.how is How.REPAIR:
        if repairs < MOST_REPAIRS:
            return retry
        retry = Retry(retry.wait, How.FRESH)
    if attempts > retries:
        return None
    return Retry(float(min(LONGEST_WAIT, retry.wait * 2 ** (attempts - 1))), retry.how)


EXCUSED = Retry(0.0, How.CONTINUE)
"""What follows an attempt that others' trouble has ended: it goes on where it was, as soon as the governor lets it."""


@dataclass(slots=True)
class Tally:
    """A task's attempts, by what they count as."""

    uncounted: int = 0
    """Those that use up none of its retries."""
    repairs: int = 0
    waits: int = 0

    def decide(self, outcome: Outcome, number: int, retries: int, *, excused: bool) -> Retry | None:
        """What follows attempt `number`, which ended so; `excused`: it was none of the task's own."""
        if excused:
            self.uncounted += 1
            return EXCUSED
        retry = next_try(outcome, number - self.uncounted, retries, self.repairs, self.waits)
        if retry:
            repaired, waited = retry.how is How.REPAIR, outcome in SHARED
            self.repairs, self.waits = self.repairs + repaired, self.waits + waited
            self.uncounted += repaired or waited
        return retry
