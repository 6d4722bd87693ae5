"""When agents are started: go, hold, canary, stop."""

import math
from typing import Any

import pytest

from orchestrator.events import AgentMessage, ApiSignal, AttemptFinished, AttemptStarted, Event, RegimeChanged
from orchestrator.plan.model import Limits
from orchestrator.schedule.regime import LONGEST_PROBE, LOOK, MARGIN, PROBE, REACHED
from orchestrator.schedule.regimes import Regimes
from orchestrator.schedule.ruling import GO, Refuse, Wait
from orchestrator.state import RunState
from orchestrator.task import Outcome

CLOCK = 1_800_000_000.0
"""The Unix time when each story begins; the event loop's clock shows 0."""


def said(signal: str, task: str = "t", **other: Any) -> ApiSignal:
    return ApiSignal(task=task, attempt=1, signal=signal, source="result", **other)


def reply(task: str) -> AgentMessage:
    return AgentMessage(task=task, attempt=1, type="AssistantMessage", turns=1)


def ended(task: str, outcome: Outcome) -> AttemptFinished:
    return AttemptFinished(task=task, attempt=1, outcome=outcome)


class Story:
    """A regime and the time."""

    def __init__(self, **limits: Any) -> None:
        self.regime = Regimes(Limits(**limits), RunState())
        self.now = 0.0
        self.told: list[RegimeChanged] = []

    def hear(self, *events: Event) -> None:
        for event in events:
            self.told += self.regime.heed(event, self.now, CLOCK + self.now)

    def at(self, now: float, clock: float | None = None) -> None:
        self.now = now
        self.told += self.regime.tick(now, CLOCK + now if clock is None else clock)

    @property
    def names(self) -> list[str]:
        return [change.regime for change in self.told]

    @property
    def rules(self) -> str:
        return type(self.regime.rule("")).__name__


def test_it_holds_until_the_reset() -> None:
    """From the signal until the reset nothing starts; then one does, and with its first reply all others."""
    story = Story()
    story.hear(said("quota", resets_at=CLOCK + 3600))
    assert story.told == [RegimeChanged(regime="hold", reason=REACHED, until=CLOCK + 3600 + MARGIN)]
    story.at(3600.0)
    assert story.regime.rule("") == Wait(REACHED, others_may=True)
    story.at(3600 + MARGIN)
    assert (story.names, story.rules) == (["hold", "canary"], "Go")
    story.regime.reserve("a")
    assert story.rules == "Wait"
    story.hear(reply("b"))
    assert story.rules == "Wait"
    story.hear(reply("a"))
    assert (story.names, story.regime.rule("")) == (["hold", "canary", "go"], GO)


def test_it_looks_at_the_clock_on_the_wall() -> None:
    """While it holds there is always a next look; a laptop that slept finds it reset though its loop stood still."""
    story = Story()
    story.hear(said("quota", resets_at=CLOCK + 3600))
    assert story.regime.due == LOOK
    story.at(LOOK)
    assert story.regime.due == 2 * LOOK
    story.at(2 * LOOK, CLOCK + 4000)
    assert (story.names[-1], story.regime.due) == ("canary", math.inf)


def test_probes_where_nobody_says_when() -> None:
    """With no reset told one agent tries after a minute, then after twice as long each time, up to the longest."""
    story = Story()
    waits = []
    for _ in range(6):
        story.hear(said("quota"))
        until = story.told[-1].until or 0.0
        waits.append(until - CLOCK - story.now)
        story.at(until - CLOCK)
        story.regime.reserve("a")
    assert waits == [PROBE, 2 * PROBE, 4 * PROBE, 8 * PROBE, LONGEST_PROBE, LONGEST_PROBE]


def test_a_reset_that_is_told_later_counts() -> None:
    """What is known of the reset takes the place of a guess, and later resets that of earlier ones; guesses do not."""
    story = Story()
    for signal in ({}, {"resets_at": CLOCK + 5}, {"resets_at": CLOCK + 900}, {}, {"resets_at": CLOCK + 800}):
        story.hear(said("quota", **signal))
    assert [(change.until or 0) - CLOCK for change in story.told] == [PROBE, 5 + MARGIN, 900 + MARGIN]


def test_a_reset_in_the_past_tells_nothing() -> None:
    """A limit that was to be reset by now, and is not, is tried again as if nothing had been said."""
    story = Story()
    story.hear(said("quota", resets_at=CLOCK - 10))
    assert story.told[0].until == CLOCK + PROBE


@pytest.mark.parametrize("end", ["release", "finish", "own_account"])
def test_a_canary_that_tells_nothing_is_followed_by_another(end: str) -> None:
    """One that dies of something else, never starts, or has an account of its own makes room for the next one."""
    story = Story()
    story.hear(said("quota"))
    story.at(PROBE)
    story.regime.reserve("a")
    match end:
        case "release":
            story.regime.release("a")
        case "finish":
            story.hear(ended("a", Outcome.CRASHED))
        case "own_account":
            story.hear(AttemptStarted(task="a", attempt=1, own_account=True))
    assert (story.rules, story.names[-1]) == ("Go", "canary")


def test_a_canary_that_ends_well_without_a_word() -> None:
    """An attempt that ended well is as good as a reply."""
    story = Story()
    story.hear(said("quota"))
    story.at(PROBE)
    story.regime.reserve("a")
    story.hear(ended("a", Outcome.OK))
    assert story.names[-1] == "go"


def test_a_canary_that_meets_the_limit_again() -> None:
    """It holds once more, and that canary's later reply changes nothing."""
    story = Story()
    story.hear(said("quota"))
    story.at(PROBE)
    story.regime.reserve("a")
    story.hear(said("quota", "a"), reply("a"))
    assert story.names == ["hold", "canary", "hold"]


def test_what_the_limit_ended_goes_on_after_the_reset() -> None:
    """An attempt ended by the limit is followed by another, once for each time; any other outcome is the task's own."""
    story = Story()
    assert not story.regime.waits_after("t", Outcome.QUOTA)
    story.hear(said("quota", "t"), said("quota", "u"))
    assert story.regime.waits_after("t", Outcome.QUOTA)
    assert not story.regime.waits_after("t", Outcome.QUOTA)
    assert not story.regime.waits_after("u", Outcome.CRASHED)


@pytest.mark.parametrize("wait", [False, 600.0])
def test_a_run_that_does_not_wait_stops(wait: bool | float) -> None:
    """Where waiting is off, or would be too long, nothing more starts, and what was ended is not tried again."""
    story = Story(wait_for_reset=wait)
    story.hear(said("quota", resets_at=CLOCK + 3600))
    ruling = story.regime.rule("")
    assert isinstance(ruling, Refuse)
    assert (story.names, ruling.outcome) == (["stop"], Outcome.STOPPED)
    assert "wait_for_reset" in ruling.reason
    assert not story.regime.waits_after("t", Outcome.QUOTA)


def test_patience_covers_all_probes_together() -> None:
    """Ten minutes of patience are not ten minutes for each guess."""
    story = Story(wait_for_reset=600.0)
    for _ in range(4):
        story.hear(said("quota"))
        if story.names[-1] == "stop":
            break
        story.at((story.told[-1].until or 0.0) - CLOCK)
        story.regime.reserve("a")
    assert story.names == ["hold", "canary", "hold", "canary", "hold", "canary", "stop"]


@pytest.mark.parametrize(("signal", "words"), [("auth", "log in"), ("billing", "billing")])
def test_what_a_person_has_to_mend_stops_the_run(signal: str, words: str) -> None:
    """Refused credentials or an empty account start nothing more, and say what to do; nothing later changes that."""
    story = Story()
    story.hear(said(signal), said("quota"), said(signal), reply("a"))
    ruling = story.regime.rule("")
    assert isinstance(ruling, Refuse)
    assert words in ruling.reason
    assert story.names == ["stop"]


@pytest.mark.parametrize("signal", ["quota", "auth", "billing", "rate_limit"])
def test_another_account_s_trouble_is_its_own(signal: str) -> None:
    """What an agent with credentials of its own meets neither holds nor stops the others."""
    story = Story()
    story.hear(said(signal, own_account=True, retry_after=30.0))
    assert (story.told, story.regime.rule(""), story.regime.due) == ([], GO, math.inf)


def test_retry_after_is_honoured() -> None:
    """After a 429 no agent starts before its Retry-After has passed, the longest of several; the regime stays."""
    story = Story()
    story.hear(said("rate_limit", retry_after=30.0), said("rate_limit", retry_after=2.0))
    assert (story.rules, story.regime.due, story.told) == ("Wait", 30.0, [])
    story.at(29.0)
    assert story.rules == "Wait"
    story.at(30.0)
    assert (story.rules, story.regime.due) == ("Go", math.inf)
