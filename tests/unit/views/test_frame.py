"""The live view's picture: it says what goes on, in the room that there is."""

import re
from dataclasses import replace

import pytest
from drawing import BEGUN, RUN, STEERING, Story, begun, controls, drawn, plain, widest

from orchestrator.events import ApiPaused, AttemptFinished, MemoryAwaited, ProcessesMeasured, RunStarted
from orchestrator.state import RunState
from orchestrator.task import Outcome
from orchestrator.views.frame import Room, picture, seconds_left


def lines_of(story: Story, width: int = 100, height: int = 24, now: float = 20.0) -> list[str]:
    """The picture so many seconds after the beginning, as plain lines."""
    return plain(drawn(picture(story.state, RUN, BEGUN + now, Room(width, height)), width, height=height))


def crowd(running: int, failed: int = 0, waiting: int = 0) -> Story:
    """A run with long names and long words."""
    names = [f"a-rather-long-name-of-a-task-{index}" for index in range(running + failed + waiting)]
    story = Story(begun(concurrent=1000)).tasks(names)
    for name in names[:failed]:
        story.start(name).end(name, Outcome.BAD_REQUEST, error="API Error: 400 no such luck, " * 9)
    for name in names[failed : failed + running]:
        story.start(name, doing="Bash python -m pytest tests/unit/views " * 5, turns=12)
    return story


@pytest.mark.parametrize("width", [100, 60, 40])
@pytest.mark.parametrize("height", [10, 24])
@pytest.mark.parametrize(("running", "failed"), [(0, 0), (1, 0), (3, 1), (12, 0), (50, 50)])
def test_it_keeps_to_its_room(width: int, height: int, running: int, failed: int) -> None:
    """No picture is wider or taller than the terminal, whatever is in it."""
    lines = lines_of(crowd(running, failed, waiting=5), width, height)
    assert len(lines) <= height
    assert widest(lines) <= width


@pytest.mark.parametrize("height", [5, 6, 8])
def test_it_keeps_to_a_small_room(height: int) -> None:
    """Where there is hardly room the counts and the progress are still in sight."""
    lines = lines_of(crowd(12, failed=9), 60, height)
    assert len(lines) <= height
    assert re.search(r"9/21", lines[-1])
    assert lines[-2].startswith("✗ 9 failed")


@pytest.mark.parametrize("width", [100, 60, 40])
def test_wide_letters_count_twice(width: int) -> None:
    """Letters that take two columns do not make it wider either."""
    story = Story().tasks(["a"]).start("a", doing="漢字😀" * 40)
    assert widest(lines_of(story, width)) <= width


@pytest.mark.parametrize("width", [30, 60, 100])
def test_ctrl_c_has_room(width: int) -> None:
    """Where the cursor rests the terminal writes `^C`: it must not break into a new line, or the picture shifts."""
    assert widest(lines_of(crowd(3, failed=0), width)[-1:]) <= width - 2


def test_the_header() -> None:
    """The first line has the run's id, its model, its width, and the time at the right edge."""
    (first, *_) = lines_of(Story(begun(concurrent=7)).tasks(["a"]), now=75)
    assert re.fullmatch(rf"{RUN} · offline model · 7 at once +1:15", first)
    assert len(first) == 100
    assert "model" not in lines_of(Story(begun(upstream=None)))[0]


@pytest.mark.parametrize("width", [50, 60, 80, 100, 120])
def test_the_header_with_budgets(width: int) -> None:
    """What has no room beside the run goes below it; each thing is there whole, and the time stays in sight."""
    limits = {"usd": 1.0, "tokens": 2_000_000, "turns": 40, "time": 7200}
    story = Story(replace(begun(), limits=limits)).tasks(["a"]).start("a", doing="x")
    first, second, *_ = lines_of(story.add(MemoryAwaited(awaited=True)), width)
    assert first.endswith("0:20")
    said = first.removesuffix("0:20").split(" · ") + ([] if second.startswith("▶") else second.split(" · "))
    there = [each.strip() for each in said]
    whole = [RUN, "offline model", "4 at once", "waiting for memory", "0.00 of 1.00 USD", "1.0k of 2.00M tokens"]
    whole += ["0 of 40 turns", "0:20 of 2:00:00"]
    assert there == whole[: len(there)]
    assert len(there) >= (8 if width >= 80 else 4)
    assert "…" not in first + second


@pytest.mark.parametrize("width", [50, 60])
def test_the_header_takes_no_third_line(width: int) -> None:
    """What is longer than a line by itself is cut, and not broken: the picture has no room for more."""
    story = Story(replace(begun(), beside=f"a-{'long-' * 10}name")).tasks(["a"]).start("a")
    _, second, third, *_ = lines_of(story, width)
    assert second.startswith("  anew beside a-long-")
    assert second.endswith("…")
    assert third.startswith("▶ a")


def test_a_running_task() -> None:
    """A row has the task's name, what its agent does, its turns and tokens, and for how long it has been at it."""
    story = Story().tasks(["check"]).start("check", doing="Read README.md", turns=3, at=5)
    assert re.fullmatch(r"▶ check +Read README\.md +3 turns +1\.0k tok +0:15", lines_of(story)[1])
    assert re.fullmatch(r"▶ check +Read README\.md +0:15", lines_of(story, width=60)[1])


def test_what_is_not_known_is_not_shown() -> None:
    """A task that has just begun has no figures of zero."""
    row = lines_of(Story().tasks(["check"]).start("check"))[1]
    assert re.fullmatch(r"▶ check +starting +0:19", row)


def test_one_turn_is_no_plural() -> None:
    """After one turn the row says so in proper words."""
    assert " 1 turn " in lines_of(Story().tasks(["a"]).start("a", doing="x", turns=1))[1]


def test_waiting_for_another_attempt() -> None:
    """Between two attempts the row says in how many seconds it goes on, and why."""
    story = Story().tasks(["a"]).start("a", doing="x")
    story.add(AttemptFinished(task="a", attempt=1, outcome="overloaded", error="no", retry_in=30.0), at=2)
    assert "again in 30 s (overloaded)" in lines_of(story)[1]


def test_a_pause_of_the_gateway_is_in_the_header() -> None:
    """As long as no request is sent the header says for how long still, and not after that."""
    story = Story().tasks(["a"]).start("a").add(ApiPaused(until=BEGUN + 23, reason="the API answers 429"), at=2)
    assert "API paused 3.0 s" in lines_of(story)[0]
    assert "paused" not in lines_of(story, now=24)[0]


def test_more_than_there_is_room_for() -> None:
    """Tasks that find no room are counted; those that began first are shown."""
    lines = lines_of(crowd(50), height=10)
    shown = [line for line in lines if line.startswith("▶ a-rather")]
    assert shown[0].startswith("▶ a-rather-long-name")
    assert f"… and {50 - len(shown)} more at work" in lines[len(shown) + 1]
    assert len(shown) >= 4


@pytest.mark.parametrize("height", [10, 24])
def test_failures_stay_in_sight(height: int) -> None:
    """However many tasks run, the last three failures are shown, each with its cause."""
    story = crowd(50, failed=5)
    lines = lines_of(story, height=height)
    rows = [line for line in lines if line.startswith("✗ a-rather")]
    assert [re.findall(r"-(\d)  bad_request: API Error: 400", row) for row in rows] == [["2"], ["3"], ["4"]]


def test_a_failure_takes_one_line() -> None:
    """An error of several lines is one line, without signs for what was a line end."""
    story = Story().tasks(["a", "b"]).start("a").end("a", Outcome.CRASHED, error="first\nsecond\n  third")
    lines = lines_of(story)
    assert "✗ a  crashed: first second third" in lines


@pytest.mark.parametrize("width", [100, 60, 40])
def test_agents_do_not_steer_it(width: int) -> None:
    """Control characters from an agent, in what it does or in its error, do not get through; nor does markup."""
    story = Story().tasks(["a", "b"]).start("a", doing=STEERING).start("b")
    story.end("b", Outcome.CRASHED, error=STEERING)
    raw = "\n".join(drawn(picture(story.state, RUN, BEGUN + 20, Room(width, 24)), width))
    assert controls(raw) == []
    assert raw.count("evil") == 2
    if width == 100:
        assert raw.count("[bold]x[/bold]") == 2


def test_the_counts() -> None:
    """Each status that there is is counted, what waits as waiting, with tokens and cost."""
    story = Story().tasks(list("abcdefg")).start("a", doing="x").start("b").start("c")
    story.end("a").end("b").end("c", Outcome.CRASHED, error="no").end("d", Outcome.SKIPPED).end("e", Outcome.CANCELLED)
    story.start("f", doing="x")
    line = lines_of(story)[-2]
    assert re.match(
        r"✓ 2 done  ✗ 1 failed  - 1 skipped  ■ 1 cancelled  ▶ 1 running  · 1 waiting  [\d.]+k tokens · \$0\.0600", line
    )


def test_what_there_is_none_of_is_not_counted() -> None:
    """No zero is shown among the counts."""
    line = lines_of(Story().tasks(["a"]))[-2]
    assert line == "· 1 waiting  0 tokens · $0.0000"


def test_a_loop_counts_by_its_parts() -> None:
    """A loop is no task of its own in the counts and in the progress."""
    lines = lines_of(Story().loop("each", 3))
    assert lines[-2].startswith("· 3 waiting")
    assert "0/3" in lines[-1]


class TestTimeLeft:
    def test_it_is_not_known_at_first(self) -> None:
        """Before two tasks have ended nothing is said of the time that is left."""
        story = Story().tasks(list("abc")).start("a").end("a")
        assert seconds_left(story.state, BEGUN + 10) is None
        assert lines_of(story)[-1].endswith(" 1/3")

    def test_it_goes_by_the_pace_so_far(self) -> None:
        """Two of six in 20 s leave about 40 s."""
        story = Story().tasks(list("abcdef")).start("a").end("a").start("b").end("b")
        assert seconds_left(story.state, BEGUN + 20) == 40
        assert lines_of(story)[-1].endswith(" 2/6 about 0:40 left")

    def test_failures_count_and_what_was_skipped_does_not(self) -> None:
        """A failed task has taken its time; a skipped one has not."""
        story = Story().tasks(list("abcd")).start("a").end("a", Outcome.CRASHED, error="x").end("b", Outcome.SKIPPED)
        assert seconds_left(story.state, BEGUN + 20) is None
        story.start("c").end("c")
        assert seconds_left(story.state, BEGUN + 20) == 10

    def test_nothing_is_left_at_the_end(self) -> None:
        """Once all has ended there is no time to tell."""
        story = Story().tasks(list("ab")).start("a").end("a").start("b").end("b")
        assert seconds_left(story.state, BEGUN + 20) is None
        assert lines_of(story)[-1].endswith(" 2/2")


def test_a_clock_that_was_set_back() -> None:
    """A time before the beginning gives zeros and no error."""
    story = Story().tasks(list("abc")).start("a").start("b").end("b").start("c").end("c")
    assert "0:00" in lines_of(story, now=-500)[0]
    assert "-" not in lines_of(story, now=-500)[1].split()[-1]


def test_an_empty_run() -> None:
    """A run without tasks, and one that has not begun, can be drawn."""
    assert len(lines_of(Story())) >= 2
    assert isinstance(Story().records[0].event, RunStarted)
    assert drawn(picture(RunState(), "", BEGUN, Room(40, 10)), 40)


def test_what_is_used_and_waited_for_is_in_the_header() -> None:
    """What all agents use together, and that others wait for memory; nothing once that is over."""
    story = Story().tasks(["a", "b"]).start("a")
    story.add(ProcessesMeasured(task="a", attempt=1, memory=640_000_000, peak=700_000_000), at=1.0)
    story.add(MemoryAwaited(awaited=True, expected=800_000_000, free=10_000_000), at=2.0)
    assert "640 MB · waiting for memory" in lines_of(story)[0]
    story.add(MemoryAwaited(awaited=False), at=9.0)
    assert "waiting" not in lines_of(story)[0]
    assert story.state.memory_awaited_s == 7
    story.end("a", at=10.0)
    assert "MB" not in lines_of(story)[0]
