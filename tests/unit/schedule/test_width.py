"""How the number of places follows what the API says."""

from collections.abc import Sequence
from typing import Any

from orchestrator.events import AgentMessage, ApiSignal, Event, RequestAnswered, WidthChanged
from orchestrator.plan.model import Limits, default_concurrent
from orchestrator.schedule.width import COOLDOWN, MOST, WARNED, Width
from orchestrator.state import RunState

REPLY = AgentMessage(task="t", attempt=1, type="AssistantMessage", turns=1)
ANSWERED = RequestAnswered(task="t", attempt=1, model="m", status=200)


def said(signal: str, **other: Any) -> ApiSignal:
    return ApiSignal(task="t", attempt=1, signal=signal, source="cli", **other)


class Story:
    """A width, the time, and how many agents are at work: all places in use, unless `at_work` says otherwise."""

    def __init__(self, concurrent: Any = "auto", places: int = 4, at_work: int | None = None) -> None:
        self.now = 0.0
        self.busy = False
        self.at_work = at_work
        self.width = Width(Limits(concurrent=concurrent), RunState(), lambda: self.busy, self.count)
        self.width.places = places

    def count(self) -> int:
        return self.width.places if self.at_work is None else self.at_work

    def hear(self, *events: Event) -> list[WidthChanged]:
        return [change for event in events for change in self.width.heed(event, self.now, 1e9 + self.now)]

    def rounds(self, number: int, event: Event = REPLY) -> Sequence[int]:
        """The places after each of so many calm rounds."""
        told = []
        for _ in range(number):
            self.hear(*[event] * self.width.places)
            told.append(self.width.places)
        return told


def test_it_begins_with_two_a_core() -> None:
    """Before anything is known there are as many places as the limits say; a number fixes them."""
    assert Width(Limits(), RunState()).places == default_concurrent()
    assert (Width(Limits(concurrent=7), RunState()).places, Width(Limits(concurrent=7), RunState()).fixed) == (7, True)


def test_slow_start() -> None:
    """While all is calm each round doubles the places, up to the most there may be, and each change is told."""
    story = Story()
    assert story.rounds(6) == [8, 16, 32, 64, MOST, MOST]
    assert [change.width for change in Story().hear(*[REPLY] * 12)] == [8, 16]


def test_after_a_cut_it_grows_step_by_step() -> None:
    """After the first cut a calm round adds one place, or a twentieth of many."""
    story = Story(places=10)
    story.hear(said("rate_limit"))
    story.now = COOLDOWN
    assert story.rounds(3) == [9, 10, 11]
    story.width.places = 60
    assert story.rounds(2) == [63, 66]


def test_places_that_nobody_needs_do_not_grow() -> None:
    """A run that does not fill its places learns nothing of what the API takes, and gets no more of them."""
    assert Story(at_work=3).rounds(5) == [4] * 5


def test_busy_processors_stop_growth() -> None:
    """As long as the processors have no time left it stays, and afterwards goes on."""
    story = Story()
    story.busy = True
    assert story.rounds(3) == [4, 4, 4]
    story.busy = False
    assert story.rounds(1) == [8]


def test_one_cut_per_episode() -> None:
    """All 429 within the cooldown are one episode, which is told once; the next one cuts again."""
    story = Story(places=10)
    assert story.hear(*[said("rate_limit")] * 5) == [
        WidthChanged(width=8, reason="the API answers 429", episode=True, before=10),
    ]
    story.now = COOLDOWN - 0.1
    assert story.hear(said("rate_limit")) == []
    story.now = COOLDOWN
    assert [change.width for change in story.hear(said("rate_limit"))] == [6]


def test_a_long_retry_after_makes_a_long_episode() -> None:
    """An episode lasts as long as the API's own Retry-After, where that is longer."""
    story = Story(places=10)
    story.hear(said("rate_limit", retry_after=45.0))
    story.now = 44.0
    assert story.hear(said("rate_limit")) == []
    story.now = 45.0
    assert len(story.hear(said("rate_limit"))) == 1


def test_a_cut_that_has_come_to_nothing_yet() -> None:
    """While more agents are at work than there are places, further 429 tell nothing new, however late they come."""
    story = Story(places=10, at_work=10)
    story.hear(said("rate_limit"))
    story.now = 1000.0
    assert story.hear(said("rate_limit")) == []
    story.at_work = 8
    assert [change.width for change in story.hear(said("rate_limit"))] == [6]


def test_it_never_falls_below_one() -> None:
    """However often the API refuses, one agent may be at work."""
    story = Story(places=3)
    told = []
    for episode in range(5):
        story.now = episode * COOLDOWN
        told += [change.width for change in story.hear(said("rate_limit"))]
    assert told == [2, 1, 1, 1, 1]


def test_nothing_grows_within_a_cooldown() -> None:
    """Replies within an episode, or after an overload, count for nothing; slow start goes on after an overload."""
    for signal, then in (("rate_limit", 4), ("overloaded", 8), ("server_error", 8)):
        story = Story(places=4)
        story.hear(said(signal))
        before = story.width.places
        assert set(story.rounds(3)) == {before}
        story.now = COOLDOWN
        assert story.rounds(1) == [then]


def test_a_warning_stops_growth_until_the_reset() -> None:
    """Near the usage limit there is no hurry: nothing grows until it is reset, or for a while."""
    for resets_at, wait in ((1e9 + 100, 100.0), (None, WARNED)):
        story = Story()
        story.hear(said("warning", resets_at=resets_at))
        story.now = wait - 1
        assert story.rounds(1) == [4]
        story.now = wait
        assert story.rounds(1) == [8]


def test_a_fixed_number_stays() -> None:
    """A number that somebody gave neither grows nor falls, and still tells each episode; `resize` fixes it anew."""
    story = Story(concurrent=5, places=5)
    assert story.rounds(3) == [5, 5, 5]
    assert story.hear(said("rate_limit"), said("rate_limit")) == [
        WidthChanged(width=5, reason="the API answers 429", episode=True, before=5)
    ]
    grown = Story()
    grown.width.resize(6)
    assert grown.rounds(2) == [6, 6]


def test_agents_with_an_account_of_their_own_cut_nothing() -> None:
    """What another account is told says nothing of this one."""
    assert Story().hear(said("rate_limit", own_account=True)) == []


def test_the_gateway_s_count_takes_the_place_of_the_cli_s() -> None:
    """Where the gateway counts replies, those that the CLI tells of are the same ones and not counted again."""
    story = Story()
    assert story.hear(ANSWERED, *[REPLY] * 20) == []
    assert [change.width for change in story.hear(*[ANSWERED] * 3)] == [8]


def test_it_does_not_grow_while_a_cut_has_not_come_to_anything() -> None:
    """As long as more are at work than there are places, a 429 is no further cut, and what is well is no calm."""
    story = Story(places=10)
    story.hear(said("rate_limit"))
    assert story.width.places == 8
    story.at_work, story.now = 10, COOLDOWN + 1
    assert story.hear(said("rate_limit"), *[REPLY] * 8) == []
    story.now += COOLDOWN
    assert story.rounds(1) == [9]
