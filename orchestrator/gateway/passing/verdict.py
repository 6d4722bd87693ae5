"""What an answer of the API says about how much it takes, and who sends the request again. Pure.

| answer | who tries again |
|---|---|
| 429, Retry-After up to 60 s or none | the gateway, after the pause that it brings for all; the CLI sees no 429 |
| 529 | the gateway, after a back-off of this request alone; when that has not helped, or is to take long, the CLI |
| 429 with `x-should-retry: false` and no time | nobody |
| 429 beyond that, or a subscription's limit | nobody: the run holds until it is reset (`x-should-retry: false`) |
| any other error, no answer at all | the CLI, as it would without a gateway |
"""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.gateway.passing.pacing import number

LONGEST_RETRY = 60.0
"""Seconds of Retry-After up to which the CLI, too, waits and tries again; what is beyond is a usage limit."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer, judged."""

    signal: str | None = None
    """As `ApiSignal.signal` has it; None: nothing is to be said."""
    again: bool = False
    """Whether the gateway is to send the request again."""
    retry_after: float | None = None
    """Seconds, where the answer tells."""
    resets_at: float | None = None
    """Unix time, s."""
    final: bool = False
    """Whether the CLI is to be told not to try again."""
    limit: str | None = None
    """Which of a subscription's limits is reached, as `seven_day_opus`."""


def judge(status: int, headers: Mapping[str, str], clock: float) -> Verdict:
    """What an answer means. `headers`: names in lower case; `clock`: Unix time, s."""
    match status:
        case 429:
            return _too_many(headers, clock)
        case 529:
            after = number(headers.get("retry-after"))
            return Verdict("overloaded", again=(after or 0.0) <= LONGEST_RETRY, retry_after=after)
        case 401:
            return Verdict("auth")
        case 402:
            return Verdict("billing")
        case _ if status >= 500:
            return Verdict("server_error", retry_after=number(headers.get("retry-after")))
    return Verdict()


def _too_many(headers: Mapping[str, str], clock: float) -> Verdict:
    retry_after, resets_at, limit = number(headers.get("retry-after")), None, None
    if headers.get("anthropic-ratelimit-unified-status") == "rejected":  # a subscription's limit
        resets_at = number(headers.get("anthropic-ratelimit-unified-reset"))
        limit = headers.get("anthropic-ratelimit-unified-representative-claim")
    if retry_after is None and resets_at is not None:
        retry_after = max(resets_at - clock, 0.0)
    final = resets_at is not None and headers.get("x-should-retry") == "false"
    if retry_after is not None and (retry_after > LONGEST_RETRY or final):
        reset = resets_at or clock + retry_after
        return Verdict("quota", retry_after=retry_after, resets_at=reset, final=True, limit=limit)
    # One that says "not again", and no time, is about the request itself, as one with too long a context.
    again = retry_after is not None or headers.get("x-should-retry") != "false"
    return Verdict("rate_limit", again=again, retry_after=retry_after)
