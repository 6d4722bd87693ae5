"""How an attempt ended, judged from what its stream gave."""

from typing import Any

import pytest
from claude_agent_sdk import (
    AssistantMessage,
    CLIConnectionError,
    CLIJSONDecodeError,
    CLINotFoundError,
    ProcessError,
    RateLimitEvent,
    RateLimitInfo,
    ResultError,
    ResultMessage,
    SystemMessage,
    TextBlock,
)

from orchestrator.agents.claude import to_result
from orchestrator.agents.exchange import note
from orchestrator.agents.outcome import Ending, judge
from orchestrator.plan.model import Agent
from orchestrator.task import Attempt, Outcome, Usage
from workspaces import WorkspaceSpec

SCHEMA = {"type": "object", "required": ["n"]}


def message(**other: Any) -> ResultMessage:
    """A good result, unless `other` says otherwise."""
    good: dict[str, Any] = {
        "subtype": "success",
        "duration_ms": 1,
        "duration_api_ms": 1,
        "is_error": False,
        "num_turns": 1,
        "session_id": "s",
        "result": "done",
        "terminal_reason": "completed",
        "permission_denials": [],
    }
    return ResultMessage(**(good | other))


def says(text: str) -> AssistantMessage:
    return AssistantMessage(content=[TextBlock(text=text)], model="m")


RETRIED = [
    SystemMessage(subtype="api_retry", data={"attempt": n, "max_retries": 10, "error_status": 429}) for n in (1, 10)
]
"""A CLI that has tried as often as it does."""


def bad(**other: Any) -> ResultMessage:
    return message(is_error=True, **({"result": "API Error", "terminal_reason": "api_error"} | other))


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (message(), Outcome.OK),
        (message(permission_denials=[{"tool_name": "Bash"}]), Outcome.OK),
        (message(terminal_reason=None), Outcome.OK),
        (message(terminal_reason="hook_stopped", result=""), Outcome.HOOK_STOPPED),
        (message(terminal_reason="tool_deferred", result=""), Outcome.HOOK_STOPPED),
        (message(terminal_reason="stop_hook_prevented"), Outcome.HOOK_STOPPED),
        (message(stop_reason="refusal"), Outcome.REFUSED),
        (message(result=""), Outcome.EMPTY),
        (message(result=" \n"), Outcome.EMPTY),
        (message(result=None), Outcome.EMPTY),
    ],
)
def test_good_results(result: ResultMessage, outcome: Outcome) -> None:
    """A result without an error is a success, unless it was stopped, refused or empty."""
    assert judge(Ending(message=result))[0] is outcome


@pytest.mark.parametrize(
    ("output", "outcome"),
    [
        ({"n": 1}, Outcome.OK),
        ({}, Outcome.INVALID_OUTPUT),
        ([], Outcome.INVALID_OUTPUT),
        (None, Outcome.MISSING_OUTPUT),
    ],
)
def test_structured_output(output: Any, outcome: Outcome) -> None:
    """With a schema the output has to be there and to fulfil it; the text does not matter."""
    verdict = judge(Ending(message=message(structured_output=output, result="")), SCHEMA)
    assert verdict[0] is outcome
    assert (verdict[1] is None) is (outcome is Outcome.OK)


@pytest.mark.parametrize(
    ("result", "api_error", "outcome"),
    [
        (bad(api_error_status=529), "overloaded", Outcome.OVERLOADED),
        (bad(api_error_status=529), None, Outcome.OVERLOADED),
        (bad(api_error_status=500), "unknown", Outcome.API_ERROR),
        (bad(api_error_status=502), None, Outcome.API_ERROR),
        (bad(api_error_status=503), None, Outcome.API_ERROR),
        (bad(api_error_status=504), None, Outcome.API_ERROR),
        (bad(api_error_status=429), "rate_limit", Outcome.RATE_LIMITED),
        (bad(api_error_status=429), None, Outcome.RATE_LIMITED),
        (bad(api_error_status=401), "authentication_failed", Outcome.AUTH),
        (bad(api_error_status=401), None, Outcome.AUTH),
        (bad(api_error_status=403), None, Outcome.AUTH),
        (bad(api_error_status=400), "billing_error", Outcome.BILLING),
        (bad(api_error_status=404), "model_not_found", Outcome.UNKNOWN_MODEL),
        (bad(api_error_status=400), "unknown", Outcome.BAD_REQUEST),
        (bad(api_error_status=400, terminal_reason="prompt_too_long"), "invalid_request", Outcome.TOO_LONG),
        (bad(), None, Outcome.API_ERROR),
        (bad(api_error_status=402), None, Outcome.BILLING),
        (bad(api_error_status=403), "oauth_org_not_allowed", Outcome.AUTH),
        (bad(api_error_status=529), "server_error", Outcome.OVERLOADED),
        (bad(api_error_status=500), "server_error", Outcome.API_ERROR),
        (bad(api_error_status=413), "invalid_request", Outcome.TOO_LONG),
        (bad(api_error_status=429, result="You've hit your session limit · resets 5pm"), "rate_limit", Outcome.QUOTA),
        (bad(api_error_status=400, result="the text: hit your head"), "invalid_request", Outcome.BAD_REQUEST),
        (bad(result="API Error: Connection to the API was lost"), "unknown", Outcome.API_ERROR),
        (bad(result="API Error: stream idle: no bytes for 300000ms"), "unknown", Outcome.API_ERROR),
        (bad(result="API returned an empty or malformed response (HTTP 200)"), "unknown", Outcome.API_ERROR),
        (bad(result="API Error: Repeated 529 Overloaded errors"), None, Outcome.OVERLOADED),
        (bad(result="API Error: the reply exceeded the 32000 limit"), "max_output_tokens", Outcome.MAX_OUTPUT),
        (bad(stop_reason="refusal", api_error_status=400), "invalid_request", Outcome.REFUSED),
        (bad(terminal_reason="blocking_limit"), None, Outcome.TOO_LONG),
        (bad(terminal_reason="image_error", api_error_status=400), "invalid_request", Outcome.BAD_REQUEST),
        (bad(terminal_reason="turn_setup_failed"), None, Outcome.BAD_SETUP),
        (bad(terminal_reason="tool_deferred_unavailable"), None, Outcome.HOOK_STOPPED),
        (bad(subtype="error_max_turns", terminal_reason="max_turns"), None, Outcome.MAX_TURNS),
        (bad(subtype="error_max_budget_usd", terminal_reason="budget_exhausted"), None, Outcome.MAX_USD),
        (bad(subtype="error_max_structured_output_retries"), None, Outcome.MISSING_OUTPUT),
        (bad(subtype="error_during_execution", terminal_reason="aborted_streaming"), None, Outcome.INTERRUPTED),
        (bad(subtype="error_during_execution", terminal_reason="aborted_tools"), None, Outcome.INTERRUPTED),
        (
            message(is_error=True, result=None, errors=["No conversation found with session ID: x"]),
            None,
            Outcome.UNKNOWN_SESSION,
        ),
    ],
)
def test_bad_results(result: ResultMessage, api_error: str | None, outcome: Outcome) -> None:
    """Each error that the CLI reports has its outcome, with words; what is raised after it changes nothing."""
    raised = ResultError("Claude Code returned an error result", data={}, exit_code=1)
    verdict, why = judge(Ending(message=result, api_error=api_error, error=raised, retry=RETRIED[-1].data))
    assert verdict is outcome
    assert why


@pytest.mark.parametrize(
    ("error", "outcome", "words"),
    [
        (None, Outcome.NO_RESULT, "without a result: last words"),
        (ProcessError("x", exit_code=143), Outcome.KILLED, "143): last words"),
        (ProcessError("x", exit_code=-15), Outcome.KILLED, "-15"),
        (ProcessError("x", exit_code=75), Outcome.SESSION_BUSY, "another process drives the session s: wait for it"),
        (OSError(28, "No space left on device"), Outcome.NOT_STARTED, "No space left on device: last words"),
        (ProcessError("x", exit_code=-9), Outcome.KILLED, "-9"),
        (ProcessError("x", exit_code=1), Outcome.BAD_SETUP, "exit code 1): last words"),
        (ProcessError("x", exit_code=3), Outcome.CRASHED, "exit code 3: last words"),
        (CLIConnectionError("Working directory does not exist: /x"), Outcome.NOT_STARTED, "/x"),
        (CLINotFoundError("not found"), Outcome.NOT_STARTED, "not found"),
        (CLIJSONDecodeError("{", ValueError("x")), Outcome.UNREADABLE, "cannot be read"),
        (Exception("Control request timeout: initialize"), Outcome.NOT_STARTED, "did not come up"),
        (ResultError("x", data={"errors": ["No conversation found"]}), Outcome.UNKNOWN_SESSION, "No conversation"),
        (RuntimeError("odd"), Outcome.CRASHED, "RuntimeError: odd"),
    ],
)
def test_endings_without_a_result(error: Exception | None, outcome: Outcome, words: str) -> None:
    """Without a result the error, or its absence, tells; the CLI's last words on stderr are quoted where they help."""
    verdict, why = judge(Ending(error=error, session_id="s", stderr=["first", "last words"][-1:]))
    assert verdict is outcome
    assert words in (why or "")


def test_a_cli_that_goes_without_a_word() -> None:
    """A CLI that ends with 1 at once and says nothing has crashed: another attempt may do better."""
    assert judge(Ending(error=ProcessError("x", exit_code=1)))[0] is Outcome.CRASHED


def test_an_exit_code_of_the_clis_own() -> None:
    """Once the CLI has spoken, 75 is not the launcher's."""
    assert judge(Ending(error=ProcessError("x", exit_code=75), began=True))[0] is Outcome.CRASHED


def limit(status: Any, **other: Any) -> RateLimitEvent:
    info = RateLimitInfo(status=status, rate_limit_type="five_hour", **other)
    return RateLimitEvent(rate_limit_info=info, uuid="u", session_id="s")


def synthetic(kind: Any, **other: Any) -> AssistantMessage:
    return AssistantMessage(content=[TextBlock(text="API Error")], model="<synthetic>", error=kind, **other)


LIMITED = bad(api_error_status=429)
SPENT = "You've hit your org's monthly spend limit"


@pytest.mark.parametrize(
    ("story", "outcome", "words"),
    [
        (
            [limit("rejected", resets_at=1_800_000_000), LIMITED],
            Outcome.QUOTA,
            "2027-01-15 08:00",
        ),
        ([limit("rejected"), synthetic("rate_limit"), LIMITED], Outcome.QUOTA, "API Error"),
        (
            [limit("rejected"), limit("allowed"), *RETRIED, synthetic("rate_limit"), LIMITED],
            Outcome.RATE_LIMITED,
            "API Error",
        ),
        ([limit("allowed_warning"), *RETRIED, synthetic("rate_limit"), LIMITED], Outcome.RATE_LIMITED, "API Error"),
        ([synthetic("rate_limit"), LIMITED], Outcome.QUOTA, "more than a minute"),
        ([RETRIED[0], synthetic("rate_limit"), LIMITED], Outcome.QUOTA, "more than a minute"),
        ([*RETRIED, says("one"), synthetic("rate_limit"), LIMITED], Outcome.QUOTA, "more than a minute"),
        ([synthetic("rate_limit"), bad(api_error_status=429, result=SPENT)], Outcome.BILLING, SPENT),
        (
            [limit("rejected", resets_at=1_800_000_000), bad(api_error_status=429, result=SPENT)],
            Outcome.QUOTA,
            "2027-01-15 08:00",
        ),
        ([limit("rejected"), message()], Outcome.OK, None),
        ([limit("rejected"), bad(api_error_status=400)], Outcome.BAD_REQUEST, "API Error"),
        ([SystemMessage(subtype="model_refusal_no_fallback", data={}), bad()], Outcome.REFUSED, "refused"),
        ([synthetic("server_error"), message(result="API Error: 500")], Outcome.API_ERROR, "API Error: 500"),
        ([synthetic("server_error"), says("better"), message()], Outcome.OK, None),
        ([synthetic("server_error", parent_tool_use_id="1"), message()], Outcome.OK, None),
        ([says("one"), message(result="one"), synthetic("server_error"), message(result="no")], Outcome.OK, None),
        ([says("one"), message(result="one"), synthetic("server_error"), bad()], Outcome.OK, None),
        ([synthetic("server_error"), bad(), says("two"), message(result="two")], Outcome.OK, None),
    ],
)
def test_whole_streams(story: list[Any], outcome: Outcome, words: str | None) -> None:
    """What comes before a result tells what it is worth: an API error that calls itself a success is none."""
    ending = Ending()
    for each in story:
        note(ending, each)
    verdict, why = judge(ending)
    assert verdict is outcome, why
    assert why is None if words is None else words in (why or "")


def test_what_was_given_up() -> None:
    """What was given up says why, with the CLI's last words; but a good result that came all the same counts."""
    stalled = (Outcome.STALLED, "it was silent")
    aborted = bad(subtype="error_during_execution", terminal_reason="aborted_streaming")
    assert judge(Ending(given_up=stalled, stderr=["oh"])) == (Outcome.STALLED, "it was silent: oh")
    assert judge(Ending(given_up=stalled, message=aborted)) == stalled
    assert judge(Ending(given_up=stalled, message=message())) == (Outcome.OK, None)


def test_the_last_good_result_is_noted() -> None:
    """Of several results the last without an error counts; of bad ones alone, the last."""
    ending = Ending()
    for each in (bad(), message(result="one"), message(result="two"), bad()):
        note(ending, each)
    assert ending.message is not None
    assert ending.message.result == "two"
    only_bad = Ending()
    for status in (500, 529):
        note(only_bad, bad(api_error_status=status))
    assert only_bad.message is not None
    assert only_bad.message.api_error_status == 529


def test_the_kind_of_an_api_error_is_noted() -> None:
    """What the CLI says of an API error in its synthetic message is kept."""
    ending = Ending()
    note(ending, AssistantMessage(content=[TextBlock(text="x")], model="<synthetic>", error="rate_limit"))
    note(ending, AssistantMessage(content=[], model="m"))
    assert ending.api_error == "rate_limit"


def test_a_result_is_made_of_the_message() -> None:
    """Every figure of the CLI's result is in ours; a value only when it is good."""
    attempt = Attempt(
        run="r", task="t", number=1, prompt="p", agent=Agent(), workspace=WorkspaceSpec(), session_id="s", schema=SCHEMA
    )
    usage = {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 4}
    denial = {"tool_name": "Bash", "tool_input": {"command": "rm x"}}
    told = message(
        structured_output={"n": 1}, total_cost_usd=0.5, usage=usage, permission_denials=[denial], num_turns=7
    )
    result = to_result(attempt, Ending(message=told))
    assert (result.outcome, result.value, result.text, result.turns, result.cost_usd) == (
        *(Outcome.OK, {"n": 1}, "done", 7),
        0.5,
    )
    assert result.usage == Usage(input_tokens=1, output_tokens=2, cache_read_tokens=3, cache_write_tokens=4)
    assert result.denials == ("Bash(rm x)",)
    assert to_result(attempt, Ending(message=message(structured_output={}))).value is None
    lost = to_result(attempt, Ending())
    assert (lost.outcome, lost.session_id) == (Outcome.NO_RESULT, "s")
    going_on = to_result(attempt, Ending(message=told, cost_before=0.375))
    assert going_on.cost_usd == 0.125


def test_tokens_that_a_result_leaves_out() -> None:
    """At its limit of cost the CLI's `usage` lacks the last replies; what it tells by model has all of them."""
    attempt = Attempt(run="r", task="t", number=1, prompt="p", agent=Agent(), workspace=WorkspaceSpec(), session_id="s")
    models = {"m": {"inputTokens": 22392, "outputTokens": 227, "costUSD": 0.094}}
    for usage in ({"input_tokens": 7440, "output_tokens": 56}, {"input_tokens": 0, "output_tokens": 0}):
        told = bad(subtype="error_max_budget_usd", usage=usage, model_usage=models, total_cost_usd=0.094)
        assert to_result(attempt, Ending(message=told)).usage == Usage(input_tokens=22392, output_tokens=227)
    good = message(usage={"input_tokens": 7440}, model_usage=models, total_cost_usd=0.094)
    assert to_result(attempt, Ending(message=good)).usage.input_tokens == 7440
