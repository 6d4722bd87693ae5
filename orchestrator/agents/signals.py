"""What the API says about how much it takes, as far as the CLI lets it be heard."""

from collections.abc import Mapping
from typing import Any

from claude_agent_sdk import RateLimitEvent, RateLimitInfo, SystemMessage

from orchestrator.agents.outcome import Ending
from orchestrator.agents.translate import Message
from orchestrator.events import ApiSignal
from orchestrator.task import Attempt, Outcome

STATUSES = {401: "auth", 402: "billing", 403: "auth", 429: "rate_limit", 529: "overloaded"}
SERVER_ERRORS = range(500, 600)
OUTCOMES = {
    Outcome.AUTH: "auth",
    Outcome.BILLING: "billing",
    Outcome.OVERLOADED: "overloaded",
    Outcome.QUOTA: "quota",
    Outcome.RATE_LIMITED: "rate_limit",
}
GOES_ON = ("allowed", "allowed_warning")


def heard(attempt: Attempt, message: Message) -> ApiSignal | None:
    """What a message of the CLI's stream says, if anything. The CLI itself deals with it, as long as it can."""
    match message:
        case SystemMessage(subtype="api_retry", data=data):
            return _of_retry(attempt, data)
        case RateLimitEvent(rate_limit_info=info):
            return _of_limit(attempt, info)
    return None


def concluded(attempt: Attempt, outcome: Outcome, why: str | None, ending: Ending) -> ApiSignal | None:
    """What an attempt's end says, if the API was its cause."""
    status = ending.message.api_error_status if ending.message else None
    signal = OUTCOMES.get(outcome) or (_named(status) if outcome is Outcome.API_ERROR else None)
    if signal is None:
        return None
    if ending.limit is None or outcome is not Outcome.QUOTA:
        return _signal(attempt, signal, "result", status=status, reason=why or "")
    resets_at, limit = ending.limit.resets_at, ending.limit.rate_limit_type
    return _signal(attempt, signal, "result", status=status, resets_at=resets_at, limit=limit, reason=why or "")


def _of_retry(attempt: Attempt, data: Mapping[str, Any]) -> ApiSignal | None:
    status, delay = data.get("error_status"), data.get("retry_delay_ms")
    if (signal := _named(status) if status else "cut") is None:
        return None
    wait = delay / 1000 if isinstance(delay, int | float) else None
    return _signal(attempt, signal, "cli", status=status, retry_after=wait, reason=str(data.get("error") or ""))


def _of_limit(attempt: Attempt, info: RateLimitInfo) -> ApiSignal | None:
    if info.status == "allowed":
        return None
    paid = info.overage_status in GOES_ON  # beyond the limit requests are paid one by one, and go on
    signal = "quota" if info.status == "rejected" and not paid else "warning"
    limit = info.rate_limit_type
    return _signal(attempt, signal, "cli", resets_at=info.resets_at, limit=limit, reason=limit or "")


def _named(status: int | None) -> str | None:
    return STATUSES.get(status or 0) or ("server_error" if status in SERVER_ERRORS else None)


def _signal(attempt: Attempt, signal: str, source: str, **said: Any) -> ApiSignal:
    own = attempt.agent.own_account
    return ApiSignal(task=attempt.task, attempt=attempt.number, signal=signal, source=source, own_account=own, **said)
