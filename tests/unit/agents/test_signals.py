"""What the API says, as far as the CLI lets it be heard."""

from typing import Any

import pytest
from claude_agent_sdk import AssistantMessage, RateLimitEvent, RateLimitInfo, ResultMessage, SystemMessage, TextBlock

from orchestrator.agents.outcome import Ending
from orchestrator.agents.signals import concluded, heard
from orchestrator.agents.translate import to_event
from orchestrator.events import ApiSignal
from orchestrator.plan.model import Agent
from orchestrator.task import Attempt, Outcome
from workspaces import WorkspaceSpec


def attempt(**env: str) -> Attempt:
    agent = Agent(env=env)
    return Attempt(run="r", task="t", number=2, prompt="p", agent=agent, workspace=WorkspaceSpec(), session_id="s")


def retry(status: int | None, **other: Any) -> SystemMessage:
    return SystemMessage(subtype="api_retry", data={"error_status": status, "error": "e", **other})


def limit(status: Any, **other: Any) -> RateLimitEvent:
    info = RateLimitInfo(status=status, rate_limit_type="five_hour", **other)
    return RateLimitEvent(rate_limit_info=info, uuid="u", session_id="s")


@pytest.mark.parametrize(
    ("status", "signal"),
    [
        (429, "rate_limit"),
        (529, "overloaded"),
        (500, "server_error"),
        (503, "server_error"),
        (401, "auth"),
        (None, "cut"),
    ],
)
def test_what_the_cli_retries(status: int | None, signal: str) -> None:
    """Each status that the CLI tries again has its signal, with the wait that the CLI makes; so has a lost answer."""
    assert heard(attempt(), retry(status, retry_delay_ms=1500)) == ApiSignal(
        task="t", attempt=2, signal=signal, source="cli", status=status, retry_after=1.5, reason="e"
    )


def test_what_says_nothing() -> None:
    """A status that nobody tries again, a limit that is far, and all other messages are no signals."""
    others = [retry(404), limit("allowed"), SystemMessage(subtype="init", data={})]
    assert [heard(attempt(), message) for message in others] == [None] * 3


def test_usage_limits() -> None:
    """A limit that is reached is a quota with its reset, unless what goes beyond is paid; a near one is a warning."""
    told = [
        heard(attempt(), limit("rejected", resets_at=7)),
        heard(attempt(), limit("rejected", resets_at=7, overage_status="allowed")),
        heard(attempt(), limit("allowed_warning", resets_at=7)),
    ]
    assert [signal and (signal.signal, signal.resets_at) for signal in told] == [
        ("quota", 7),
        ("warning", 7),
        ("warning", 7),
    ]


@pytest.mark.parametrize(
    ("outcome", "status", "signal"),
    [
        (Outcome.RATE_LIMITED, 429, "rate_limit"),
        (Outcome.OVERLOADED, 529, "overloaded"),
        (Outcome.QUOTA, 429, "quota"),
        (Outcome.AUTH, 401, "auth"),
        (Outcome.BILLING, 400, "billing"),
        (Outcome.API_ERROR, 500, "server_error"),
        (Outcome.API_ERROR, None, None),
        (Outcome.OK, None, None),
        (Outcome.MAX_TURNS, None, None),
    ],
)
def test_what_an_end_says(outcome: Outcome, status: int | None, signal: str | None) -> None:
    """An attempt that the API ended has a signal, any other has none."""
    message = ResultMessage(
        subtype="success", duration_ms=1, duration_api_ms=1, is_error=True, num_turns=1, session_id="s"
    )
    message.api_error_status = status
    told = concluded(attempt(), outcome, "why", Ending(message=message))
    assert (told and (told.signal, told.source, told.status)) == (signal and (signal, "result", status))


def test_a_reset_is_told_with_the_end() -> None:
    """The end of an attempt knows of the reset that the CLI told along the way."""
    ending = Ending(limit=RateLimitInfo(status="rejected", resets_at=9, rate_limit_type="seven_day_opus"))
    told = concluded(attempt(), Outcome.QUOTA, None, ending)
    assert told
    assert (told.resets_at, told.limit) == (9, "seven_day_opus")


def test_which_limit_it_is_is_told() -> None:
    """The CLI names the limit: one of a model is not the account's."""
    info = RateLimitInfo(status="rejected", resets_at=9, rate_limit_type="seven_day_opus")
    told = heard(attempt(), RateLimitEvent(rate_limit_info=info, uuid="u", session_id="s"))
    assert told
    assert (told.signal, told.limit) == ("quota", "seven_day_opus")


@pytest.mark.parametrize(
    ("env", "own"), [({"ANTHROPIC_API_KEY": "k"}, True), ({"CLAUDE_CONFIG_DIR": "/c"}, True), ({"LANG": "C"}, False)]
)
def test_accounts_of_their_own(env: dict[str, str], own: bool) -> None:
    """What an agent with credentials of its own hears is marked as its own."""
    told = heard(attempt(**env), retry(429))
    assert told
    assert told.own_account is own


def test_an_error_is_no_reply() -> None:
    """What the CLI says in the model's place for an error of the API counts as no turn."""
    message = AssistantMessage(content=[TextBlock(text="API Error")], model="<synthetic>", error="rate_limit")
    assert to_event(attempt(), message, set()).turns == 0
