"""How an attempt ended: a pure function of what its stream gave. The signals are those of the real CLI (2.1.329)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from claude_agent_sdk import CLIConnectionError, CLIJSONDecodeError, ProcessError, ResultError, ResultMessage

from orchestrator.plan.schema_checks import find_misfit
from orchestrator.task import Outcome

Verdict = tuple[Outcome, str | None]
"""The outcome, and why in a sentence (None when it is ok)."""

LOG_IN = "set ANTHROPIC_API_KEY, or log in with `claude`; or try it with the offline model"

SIGNALS = frozenset({-15, -9, -2, 130, 137, 143})
"""Exit codes of a CLI that a signal has ended."""


@dataclass(slots=True)
class Ending:
    """What is known when the stream is over."""

    message: ResultMessage | None = None
    """The one that counts: the last without an error, or else the last."""
    error: BaseException | None = None
    """What the SDK raised."""
    api_error: str | None = None
    """The kind of the last API error that the CLI reported, as `rate_limit`."""
    began: bool = False
    """Whether any message came."""
    hopeless: Mapping[str, Any] | None = None
    """The `api_retry` message after which the attempt was given up."""
    stderr: list[str] = field(default_factory=list)
    """The CLI's last lines on stderr."""


def judge(ending: Ending, schema: Mapping[str, Any] | None = None) -> Verdict:
    """The outcome of an attempt, and why. Only a complete, valid result is ok.

    `schema` is the JSON schema that the result owes.
    """
    if ending.hopeless is not None:
        status, kind = ending.hopeless.get("error_status"), ending.hopeless.get("error")
        return Outcome.AUTH, f"the API refused the credentials ({status} {kind}): {LOG_IN}"
    if ending.message is None:
        return _judge_error(ending)
    if ending.message.is_error:
        return _judge_bad_result(ending.message, ending.api_error)
    return _judge_good_result(ending.message, schema)


def _judge_good_result(message: ResultMessage, schema: Mapping[str, Any] | None) -> Verdict:
    if message.terminal_reason in ("hook_stopped", "tool_deferred"):
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


LIMITS: Mapping[str, Verdict] = {
    "error_max_turns": (Outcome.MAX_TURNS, "it reached its limit of turns: raise max_turns, or ask for less at once"),
    "error_max_budget_usd": (Outcome.MAX_USD, "it reached its limit of cost: raise usd, or ask for less at once"),
    "error_max_structured_output_retries": (
        Outcome.MISSING_OUTPUT,
        "it failed several times to give output of the shape that was asked: simplify the schema",
    ),
}

ERROR_KINDS: Mapping[str, Outcome] = {
    "authentication_failed": Outcome.AUTH,
    "billing_error": Outcome.BILLING,
    "model_not_found": Outcome.UNKNOWN_MODEL,
    "rate_limit": Outcome.RATE_LIMITED,
}

STATUSES: Mapping[int, Outcome] = {
    400: Outcome.BAD_REQUEST,
    401: Outcome.AUTH,
    403: Outcome.AUTH,
    404: Outcome.UNKNOWN_MODEL,
    413: Outcome.TOO_LONG,
    429: Outcome.RATE_LIMITED,
    529: Outcome.OVERLOADED,
}


def _judge_bad_result(message: ResultMessage, api_error: str | None) -> Verdict:
    said = message.result or "; ".join(message.errors or ()) or message.subtype
    if message.subtype in LIMITS:
        return LIMITS[message.subtype]
    if message.terminal_reason in ("aborted_streaming", "aborted_tools"):
        return Outcome.INTERRUPTED, "it was interrupted"
    if message.terminal_reason == "prompt_too_long":
        return Outcome.TOO_LONG, said
    if api_error and api_error in ERROR_KINDS:
        outcome = ERROR_KINDS[api_error]
        return outcome, f"{said} ({LOG_IN})" if outcome is Outcome.AUTH else said
    if "No conversation found" in said:
        return Outcome.UNKNOWN_SESSION, said
    return STATUSES.get(message.api_error_status or 0, Outcome.API_ERROR), said


def _judge_error(ending: Ending) -> Verdict:  # noqa: PLR0911 - a table, a row per return
    error, tail = ending.error, "; ".join(ending.stderr[-3:])
    match error:
        case None:
            return Outcome.NO_RESULT, _quote("the CLI's stream ended without a result", tail)
        case ResultError():
            said = "; ".join(error.errors) or error.result or str(error)
            unknown = "No conversation found" in said
            return (Outcome.UNKNOWN_SESSION if unknown else Outcome.CRASHED), said
        case ProcessError(exit_code=code) if code in SIGNALS:
            return Outcome.KILLED, f"the CLI was ended from outside (exit code {code})"
        case ProcessError(exit_code=1) if not ending.began:
            return Outcome.BAD_SETUP, _quote("the CLI refused to start (exit code 1)", tail)
        case ProcessError(exit_code=code):
            return Outcome.CRASHED, _quote(f"the CLI ended with exit code {code}", tail)
        case CLIConnectionError():
            return Outcome.NOT_STARTED, str(error)
        case CLIJSONDecodeError():
            return Outcome.UNREADABLE, f"the CLI wrote what cannot be read: {error}"
    if "Control request timeout: initialize" in str(error):
        return Outcome.NOT_STARTED, "the CLI did not come up in time"
    return Outcome.CRASHED, f"{type(error).__name__}: {error}"


def _quote(what: str, words: str | None) -> str:
    return f"{what}: {words.strip()[:500]}" if words and words.strip() else what
