"""How an attempt ended: a pure function of what its stream gave. The signals are those of the real CLI (2.1.329)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from claude_agent_sdk import (
    CLIConnectionError,
    CLIJSONDecodeError,
    ProcessError,
    RateLimitInfo,
    ResultError,
    ResultMessage,
)

from orchestrator.plan.schema_checks import find_misfit
from orchestrator.task import Models, Outcome

Verdict = tuple[Outcome, str | None]
"""The outcome, and why in a sentence (None when it is ok)."""

LOG_IN = "set ANTHROPIC_API_KEY, or log in with `claude`; or try it with the offline model"

SIGNALS = frozenset({-15, -9, -2, 130, 137, 143})
"""Exit codes of a CLI that a signal has ended."""

BUSY = 75
"""The launcher's exit code when another process drives the session."""


@dataclass(slots=True)
class Ending:
    """What is known when the stream is over."""

    message: ResultMessage | None = None
    """The one that counts: the last without an error, or else the last."""
    bad: bool = False
    """Whether it stands for an error of the API, though it may not say so itself."""
    error: BaseException | None = None
    """What the SDK raised."""
    api_error: str | None = None
    """The kind of the API error that the CLI's last reply stands for, as `rate_limit`."""
    limit: RateLimitInfo | None = None
    """The account's limit that has been reached."""
    refused: bool = False
    """Whether the CLI reported that the model refuses, and that there is no other to ask."""
    began: bool = False
    """Whether any message came."""
    hopeless: Mapping[str, Any] | None = None
    """The `api_retry` message after which the attempt was given up."""
    retry: Mapping[str, Any] | None = None
    """The last `api_retry` message since the model's last reply: how often the CLI has tried before it gave up."""
    stderr: list[str] = field(default_factory=list)
    """The CLI's last lines on stderr."""
    given_up: Verdict | None = None
    """Why we did not wait any longer."""
    session_id: str | None = None
    """The session that was driven."""
    cost_before: float = 0.0
    """What it had cost before (US dollars): the CLI counts on from there."""
    models_before: Models = field(default_factory=dict)
    """The same by model."""


def judge(ending: Ending, schema: Mapping[str, Any] | None = None) -> Verdict:
    """The outcome of an attempt, and why. Only a complete, valid result is ok.

    `schema` is the JSON schema that the result owes.
    """
    if ending.hopeless is not None:
        status, kind = ending.hopeless.get("error_status"), ending.hopeless.get("error")
        return Outcome.AUTH, f"the API refused the credentials ({status} {kind}): {LOG_IN}"
    message = ending.message
    if ending.given_up is not None and (message is None or message.is_error or ending.bad):
        return _with_tail(ending.given_up, ending.stderr)
    if message is None:
        return _judge_error(ending)
    if message.is_error or ending.bad:
        return _judge_bad_result(message, ending)
    return _judge_good_result(message, schema)


def _judge_good_result(message: ResultMessage, schema: Mapping[str, Any] | None) -> Verdict:
    if message.terminal_reason in HOOKS:
        return Outcome.HOOK_STOPPED, f"a hook of the workspace ended it ({message.terminal_reason})"
    if message.stop_reason == "refusal":
        return Outcome.REFUSED, _quote("the model refused", message.result)
    if schema is None:
        return (
            (Outcome.OK, None) if (message.result or "").strip() else (Outcome.EMPTY, "the agent ended without a word")
        )
    if message.structured_output is None:
        return Outcome.MISSING_OUTPUT, _quote("it did not give the structured output that it owes", message.result)
    if misfit := find_misfit(schema, message.structured_output):
        return Outcome.INVALID_OUTPUT, f"its structured output is not what was asked: {misfit}"
    return Outcome.OK, None


HOOKS = ("hook_stopped", "stop_hook_prevented", "tool_deferred", "tool_deferred_unavailable")
"""Terminal reasons: a hook did not let it go on."""

LIMITS: Mapping[str, Verdict] = {
    "error_max_turns": (Outcome.MAX_TURNS, "it reached its limit of turns: raise max_turns, or ask for less at once"),
    "error_max_budget_usd": (Outcome.MAX_USD, "it reached its limit of cost: raise usd, or ask for less at once"),
    "error_max_structured_output_retries": (
        Outcome.MISSING_OUTPUT,
        "it failed several times to give output of the shape that was asked: simplify the schema",
    ),
}

REASONS: Mapping[str, Outcome] = {
    "prompt_too_long": Outcome.TOO_LONG,
    "blocking_limit": Outcome.TOO_LONG,
    "rapid_refill_breaker": Outcome.TOO_LONG,
    "image_error": Outcome.BAD_REQUEST,
    "turn_setup_failed": Outcome.BAD_SETUP,
}
"""By the terminal reason, where it says all."""

ERROR_KINDS: Mapping[str, Outcome] = {
    "account_on_hold": Outcome.AUTH,
    "authentication_failed": Outcome.AUTH,
    "billing_error": Outcome.BILLING,
    "cloud_credential_error": Outcome.AUTH,
    "max_output_tokens": Outcome.MAX_OUTPUT,
    "model_not_found": Outcome.UNKNOWN_MODEL,
    "oauth_org_not_allowed": Outcome.AUTH,
    "overloaded": Outcome.OVERLOADED,
    "rate_limit": Outcome.RATE_LIMITED,
    "verification_required": Outcome.AUTH,
}
"""By the kind of an API error. Of `invalid_request`, `server_error` and `unknown` the status says more."""

STATUSES: Mapping[int, Outcome] = {
    400: Outcome.BAD_REQUEST,
    401: Outcome.AUTH,
    402: Outcome.BILLING,
    403: Outcome.AUTH,
    404: Outcome.UNKNOWN_MODEL,
    413: Outcome.TOO_LONG,
    429: Outcome.RATE_LIMITED,
    529: Outcome.OVERLOADED,
}


TOO_MANY = 429

TEXTS: Mapping[str, Outcome] = {
    "No conversation found": Outcome.UNKNOWN_SESSION,
    "exceeded the maximum output": Outcome.MAX_OUTPUT,
    "exceeded the output token maximum": Outcome.MAX_OUTPUT,
    # The CLI's words where money has run out, though the status is a 429 too: "You've hit your org's monthly
    # spend limit", "You're out of usage credits", "Your org is out of usage", "Your group's usage limit is set to $0".
    "spend limit": Outcome.BILLING,
    "out of usage": Outcome.BILLING,
    "out of extra usage": Outcome.BILLING,
    "limit is set to $0": Outcome.BILLING,
    "hit your": Outcome.QUOTA,
    "limit reached": Outcome.QUOTA,
    "verloaded": Outcome.OVERLOADED,
}
"""By what is said, where nothing else tells. `Connection to the API was lost` and `stream idle` are API errors."""


def _judge_bad_result(message: ResultMessage, ending: Ending) -> Verdict:
    said = message.result or "; ".join(message.errors or ()) or message.subtype
    if message.subtype in LIMITS:
        return LIMITS[message.subtype]
    if message.terminal_reason in ("aborted_streaming", "aborted_tools"):
        return Outcome.INTERRUPTED, "it was interrupted"
    if message.terminal_reason in HOOKS:
        return Outcome.HOOK_STOPPED, f"a hook of the workspace ended it ({message.terminal_reason})"
    if message.stop_reason == "refusal" or ending.refused:
        return Outcome.REFUSED, _quote("the model refused", said)
    return _explain(_find_quota(_find_cause(message, ending.api_error, said), message, ending), said, ending)


def _find_quota(outcome: Outcome, message: ResultMessage, ending: Ending) -> Outcome:
    """The outcome, or QUOTA where that is the cause behind it: nothing helps but to wait for a reset."""
    limit, too_many = ending.limit, message.api_error_status == TOO_MANY
    if limit and outcome in (Outcome.RATE_LIMITED, Outcome.API_ERROR):
        return Outcome.QUOTA
    if limit and limit.resets_at and too_many and outcome is Outcome.BILLING:
        return Outcome.QUOTA  # no more can be bought, but what is paid for comes back
    if too_many and outcome is Outcome.RATE_LIMITED and _gave_up_early(ending.retry):
        return Outcome.QUOTA
    return outcome


def _explain(outcome: Outcome, said: str, ending: Ending) -> Verdict:
    match outcome:
        case Outcome.QUOTA if ending.limit is None and "hit your" not in said:
            return outcome, f"{said} (the CLI did not wait for it: the API wants more than a minute)"
        case Outcome.QUOTA:
            return outcome, said + _when(ending.limit)
        case Outcome.AUTH:
            return outcome, f"{said} ({LOG_IN})"
    return outcome, said


def _find_cause(message: ResultMessage, api_error: str | None, said: str) -> Outcome:
    """The first that tells: the terminal reason, the kind of the API error, the HTTP status, what is said."""
    told = (
        REASONS.get(message.terminal_reason or ""),
        ERROR_KINDS.get(api_error or ""),
        STATUSES.get(message.api_error_status or 0),
    )
    outcome = next(filter(None, told), None)
    if outcome in (None, Outcome.RATE_LIMITED) and message.api_error_status in (None, 429):
        outcome = next((meant for text, meant in TEXTS.items() if text in said), outcome)
    return outcome or Outcome.API_ERROR


def _gave_up_early(retry: Mapping[str, Any] | None) -> bool:
    """Whether the CLI had tries left. It takes none when Retry-After is above 60 s, and does not tell what that was."""
    return retry is None or retry.get("attempt", 0) < retry.get("max_retries", 0)


def _when(limit: RateLimitInfo | None) -> str:
    """When an account may go on, in words."""
    if limit is None or limit.resets_at is None:
        return ""
    return f" (until {datetime.fromtimestamp(limit.resets_at, UTC):%Y-%m-%d %H:%M} UTC)"


def _judge_error(ending: Ending) -> Verdict:
    verdict = _find_failure(ending)
    return verdict if verdict[0] is Outcome.SESSION_BUSY else _with_tail(verdict, ending.stderr)


def _find_failure(ending: Ending) -> Verdict:  # noqa: PLR0911 - a table, a row per return
    error = ending.error
    match error:
        case None:
            return Outcome.NO_RESULT, "the CLI's stream ended without a result"
        case ResultError():
            said = "; ".join(error.errors) or error.result or str(error)
            unknown = "No conversation found" in said
            return (Outcome.UNKNOWN_SESSION if unknown else Outcome.CRASHED), said
        case ProcessError(exit_code=code) if code in SIGNALS:
            return Outcome.KILLED, f"the CLI was ended from outside (exit code {code})"
        case ProcessError(exit_code=code) if code == BUSY and not ending.began:
            return (
                Outcome.SESSION_BUSY,
                f"another process drives the session {ending.session_id}: wait for it, or fork it",
            )
        case ProcessError(exit_code=1) if not ending.began and any(line.strip() for line in ending.stderr):
            # A CLI that refuses its options says why. One that goes without a word has crashed.
            return Outcome.BAD_SETUP, "the CLI refused to start (exit code 1)"
        case ProcessError(exit_code=code):
            return Outcome.CRASHED, f"the CLI ended with exit code {code}"
        case CLIConnectionError() | OSError():
            return Outcome.NOT_STARTED, str(error)
        case CLIJSONDecodeError():
            return Outcome.UNREADABLE, f"the CLI wrote what cannot be read: {error}"
    if "Control request timeout: initialize" in str(error):
        return Outcome.NOT_STARTED, "the CLI did not come up in time"
    return Outcome.CRASHED, f"{type(error).__name__}: {error}"


def _with_tail(verdict: Verdict, stderr: list[str]) -> Verdict:
    """With the CLI's last words on stderr, which say more than we know."""
    outcome, why = verdict
    return outcome, _quote(why or "", "; ".join(stderr[-3:]))


def _quote(what: str, words: str | None) -> str:
    return f"{what}: {words.strip()[:500]}" if words and words.strip() else what
