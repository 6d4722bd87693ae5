"""Width and regime in the views."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from drawing import BEGUN, RUN, Story, begun, drawn, plain

from orchestrator.events import (
    AgentMessage,
    ApiSignal,
    AttemptFinished,
    Event,
    RegimeChanged,
    RequestDequeued,
    RequestQueued,
    WidthChanged,
)
from orchestrator.views.frame import Room, picture
from orchestrator.views.lines import line
from orchestrator.views.regimes import moment, patience
from orchestrator.views.summary import summary

HELD = RegimeChanged(regime="hold", reason="the usage limit is reached", until=BEGUN + 2520)
CANARY = RegimeChanged(regime="canary", reason="one agent tries whether the limit is gone")
GONE = RegimeChanged(regime="go", reason="the usage limit is gone")
STOPPED = RegimeChanged(regime="stop", reason="no credit")
CUT = WidthChanged(width=3, reason="the API answers 429", episode=True)
GROWN = WidthChanged(width=8, reason="all is calm")


def told(*events: Event, at: float = 0.0) -> Story:
    return Story(begun(4)).tasks(["a"]).add(*events, at=at)


def live(story: Story, now: float, height: int = 24) -> list[str]:
    room = Room(100, height)
    return plain(drawn(picture(story.state, RUN, BEGUN + now, room), 100))


def local(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%H:%M")


def test_the_countdown_moves_without_events() -> None:
    """The second line says until when nothing starts, and how long that is yet, at each time that it is drawn."""
    words = f"held until {local(BEGUN + 2520)} (in %s): the usage limit is reached"
    story = told(HELD)
    assert [live(story, now)[1] for now in (0, 60, 2500, 2600)] == [
        words % span for span in ("42 min", "41 min", "20 s", "0 s")
    ]


def test_the_regimes_in_the_live_view() -> None:
    """A canary and a stop have their line, a run that goes on has none, nor has a low terminal."""
    assert live(told(HELD, CANARY), 1)[1] == "canary: one agent tries whether the limit is gone"
    assert live(told(STOPPED), 1)[1] == "stopped: no credit"
    assert len(live(told(HELD, CANARY, GONE), 1)) == len(live(told(), 1))
    assert len(live(told(HELD), 1, height=5)) <= 5


def test_a_hold_of_some_in_the_live_view() -> None:
    """It says whom it is about; a hold of all comes before it, and once it is over there is no line."""
    some = replace(HELD, lane="account own-1")
    assert live(told(some), 1)[1].startswith("account own-1: held until")
    assert live(told(some, STOPPED), 1)[1] == "stopped: no credit"
    assert len(live(told(some, replace(GONE, lane="account own-1")), 1)) == len(live(told(), 1))


def test_the_width_in_the_live_view() -> None:
    """The header has the width of now."""
    assert "8 at once" in live(told(GROWN), 1)[0]


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (CUT, "3 at once now: the API answers 429"),
        (replace(CUT, before=4), "3 at once now: the API answers 429"),
        (replace(CUT, before=3), "the API answers 429; it stays at 3 at once"),
        (GROWN, "8 at once now: all is calm"),
        (HELD, f"held until {local(BEGUN + 2520)} (in 42 min): the usage limit is reached"),
        (CANARY, "canary: one agent tries whether the limit is gone"),
        (GONE, "goes on: the usage limit is gone"),
        (STOPPED, "stopped: no credit"),
        (replace(GONE, lane="model opus"), "model opus: goes on: the usage limit is gone"),
    ],
)
def test_a_line_per_change(event: Event, words: str) -> None:
    """Each change of width or regime is a line."""
    assert line(event, told(event).state, RUN) == words


def test_an_attempt_that_waits_for_the_reset() -> None:
    """It goes on when the limit is reset, and not in no seconds."""
    ended = AttemptFinished(task="a", attempt=1, outcome="quota", error="no", retry_in=0.0)
    story = Story().tasks(["a"]).start("a", doing="x").add(ended, at=2)
    assert line(ended, story.state, RUN) == "a: quota: no; again when the limit is reset"
    assert "again at the reset (quota)" in "\n".join(live(story, 3))


def test_the_summary() -> None:
    """How long it was held, how often the API answered 429, and how wide it was; nothing where all was calm."""
    story = told(CUT, HELD).add(CANARY, at=600).add(GONE, at=605).add(GROWN, at=700)
    story.start("a", at=701).end("a", at=702).close(wall=703)
    lines = plain(drawn(summary(story.report, 100), 100))
    assert "held for 10:05 by the usage limit · 1 episode of 429 · at most 8 at once, 8 in the end" in lines
    calm = plain(drawn(summary(told().start("a").end("a").close().report, 100), 100))
    assert not [each for each in calm if "at most" in each or "held for" in each]


def test_the_summary_of_a_stop() -> None:
    """Why nothing more was started."""
    lines = plain(drawn(summary(told(STOPPED).close("failed").report, 100), 100))
    assert "stopped: no credit" in lines


def said(signal: str, status: int | None = None, source: str = "cli", wait: float | None = 4.0) -> ApiSignal:
    return ApiSignal(task="a", attempt=1, signal=signal, source=source, status=status, retry_after=wait)


def test_a_cli_that_waits_for_the_api() -> None:
    """The live view counts down until it asks again, and no longer once it has; the lines view tells the first."""
    retry = AgentMessage(task="a", attempt=1, type="SystemMessage", doing="waits for the API (529)")
    story = told().start("a", doing="thinking", at=1).add(retry, said("overloaded", 529), at=10)
    assert "waits for the API (529) · again in 3 s" in live(story, 11)[1]
    assert "again" not in live(story, 15)[1]
    assert line(said("overloaded", 529), story.state, RUN) == "a: the API answers 529: the CLI tries again in 4.0 s"
    story.add(said("overloaded", 529), at=15)
    assert line(said("overloaded", 529), story.state, RUN) is None, "short ones are told once in a row"
    assert line(said("overloaded", 529, wait=12.0), story.state, RUN)
    refused = told().start("a").add(said("auth", 401), at=2)
    assert line(said("auth", 401), refused.state, RUN) is None, "nobody lets it try again"
    cut = told().start("a").add(said("cut"), at=2)
    assert line(said("cut"), cut.state, RUN) == "a: an answer of the API broke off: the CLI tries again in 4.0 s"


def test_an_agent_in_the_queue() -> None:
    """The live view says for how long a request of it has waited for its turn; from then on it may be silent."""
    queued, dequeued = RequestQueued(task="a", attempt=1, queued_s=1.0), RequestDequeued(task="a", attempt=1)
    story = told().start("a", doing="thinking", at=1).add(queued, at=3).add(queued, at=5)
    assert "thinking · in the queue for 1:58" in live(story, 120)[1]
    story.add(dequeued, at=130)
    assert "in the queue for 2:08" in live(story, 130)[1], "one of them still is"
    story.add(dequeued, at=140)
    assert "thinking · no word for 0:31" in live(story, 171)[1]
    story.add(queued, at=172).start("a", doing="thinking", at=173)
    assert "queue" not in live(story, 174)[1], "a new attempt has no old requests"


def test_a_cli_that_has_ended_waits_for_nothing() -> None:
    """Between two attempts only the orchestrator's own wait is told."""
    story = told().start("a", doing="thinking", at=1).add(said("overloaded", 529, wait=60.0), at=10)
    story.add(AttemptFinished(task="a", attempt=1, outcome="put_off", retry_in=0.0), at=11)
    assert "again in 0 s (put_off) " in live(story, 12)[1]
    assert live(story, 12)[1].count("again") == 1


def test_an_agent_that_hears_nothing() -> None:
    """While an agent thinks for long the live view says since when nothing has come."""
    story = told().start("a", doing="thinking", at=1)
    assert "no word" not in live(story, 30)[1]
    assert "thinking · no word for 0:44" in live(story, 45)[1]


def test_answers_are_counted_once() -> None:
    """By status, and those that broke off; of what the gateway and the CLI both hear only the gateway's count."""
    heard = [said("rate_limit", 429), said("overloaded", 529), said("overloaded", 529), said("cut")]
    ended = [said("overloaded", None, "result", None), said("warning", wait=None), said("quota", 429, "gateway")]
    report = told(*heard, *ended).close().report
    assert report.answers == {"429": 1, "529": 3, "cut": 1}
    assert "API answers other than 200: 429 1 time, 529 3 times, 1 broke off" in plain(drawn(summary(report, 100), 100))
    story = Story(replace(begun(4), gateway=True)).tasks(["a"]).add(*heard, *ended, said("overloaded", 529, "gateway"))
    assert story.close().report.answers == {"429": 1, "529": 1, "cut": 1}


def test_answers_are_counted_once_offline_too() -> None:
    """With limits per minute the queue before the model hears what the agents do not; a replay has no queue."""
    limits = {"requests_per_minute": 50}
    heard = [said("rate_limit", 429, "gateway"), said("overloaded", 529), said("quota", 429, "fault")]
    for upstream, answers in (("offline", {"429": 1}), ("replay", {"529": 1})):
        story = Story(replace(begun(4, upstream), limits=limits)).tasks(["a"]).add(*heard)
        assert story.close().report.answers == answers


def test_the_totals() -> None:
    """`--json` has width, signals and seconds held, also of a run that ended while it was held."""
    signal = ApiSignal(task="a", attempt=1, signal="quota", source="result")
    totals = told(CUT, signal, HELD).close(wall=50).report.to_json()["totals"]
    assert (totals["width"], totals["widest"], totals["rate_limit_episodes"]) == (3, 4, 1)
    assert (totals["signals"], totals["held_s"]) == ({"quota": 1}, 50.0)


def test_times_in_words() -> None:
    """Seconds below two minutes, minutes, hours; a moment that is far has its day."""
    assert [patience(each) for each in (-5, 45, 2520, 11_100)] == ["0 s", "45 s", "42 min", "3 h 05 min"]
    assert len(moment(BEGUN + 100_000, BEGUN).split()) == 2
