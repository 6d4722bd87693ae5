"""The lines and the jsonl view: a line for each event that is worth one."""

import io
import json
import re
from collections.abc import AsyncIterator, Sequence

import pytest
from drawing import RUN, STEERING, Story, begun, controls

from orchestrator.events import (
    KINDS,
    AgentMessage,
    AttemptFinished,
    AttemptStarted,
    Event,
    MessageSent,
    Published,
    Record,
    RunForecast,
    TaskAdded,
    TaskExpanded,
    TaskSpawned,
    TaskWaits,
    WorkspaceOpened,
)
from orchestrator.state import RunState
from orchestrator.task import Outcome
from orchestrator.testing.samples import sample_records
from orchestrator.views.jsonl import JsonlView
from orchestrator.views.lines import LinesView, line


def said(story: Story) -> str | None:
    """The line of the story's last event."""
    return line(story.records[-1].event, story.state, RUN)


async def feed(records: Sequence[Record]) -> AsyncIterator[Sequence[Record]]:
    for record in records:
        yield [record]


class TestLine:
    def test_a_question(self) -> None:
        """An agent asks another: who, whom, and what."""
        asked = TaskSpawned(task="a", attempt=1, child="a.ask-1", asked={"to": "b", "question": "Why?"})
        assert line(asked, RunState(), RUN) == "a: asks b (a.ask-1): Why?"

    def test_a_run_begins(self) -> None:
        """Its id and width, and of whom the answers come unless they are Claude's."""
        assert said(Story(begun(3, upstream=None))) == f"run {RUN}: 3 at once"
        assert "offline model" in str(said(Story(begun(3))))

    @pytest.mark.parametrize(("count", "words"), [(0, "0 items"), (1, "1 item"), (3, "3 items")])
    def test_a_loop_learns_its_items(self, count: int, words: str) -> None:
        """How many there are."""
        story = Story()
        before = len(story.records)
        story.loop("each", count)
        assert line(story.records[before + 1].event, story.state, RUN) == f"each: {words}"

    @pytest.mark.parametrize(
        ("kind", "parts", "words"),
        [
            ("plan", ["g.a", "g.b", "g.c"], "plan of 3 tasks"),
            ("vote", ["g[0]", "g[1]", "g[2]"], "vote of 3"),
            ("pipeline", ["g.find", "g.verify"], "pipeline of 2 stages"),
            ("pipeline", ["g[0]", "g[1]"], "2 items"),
            ("group", ["a"], "1 task"),
        ],
    )
    def test_a_group_begins(self, kind: str, parts: list[str], words: str) -> None:
        """What it is, and how many parts it has."""
        story = Story().add(TaskAdded(task="g", title="g", task_kind=kind))
        assert said(story.add(TaskExpanded(task="g", parts=parts))) == f"g: {words}"

    def test_a_pilot(self) -> None:
        """How many items there would be."""
        story = Story().add(TaskAdded(task="g", title="g", task_kind="loop"))
        assert said(story.add(TaskExpanded(task="g", parts=["g[0]"], of=9))) == "g: 1 item, the first of 9"

    def test_an_open_group(self) -> None:
        """Nothing while it has no parts; then how many came, and how many there are; nothing when it is closed."""
        story = Story().add(TaskAdded(task="g", title="g", task_kind="group"))
        assert said(story.add(TaskExpanded(task="g", parts=[], more=True))) is None
        assert said(story.add(TaskExpanded(task="g", parts=["a"], more=True))) == "g: 1 task"
        assert said(story.add(TaskExpanded(task="g", parts=["b", "c"], more=True))) == "g: 2 more, 3 so far"
        assert said(story.add(TaskExpanded(task="g", parts=[]))) is None

    def test_a_group_ends(self) -> None:
        """How, after how long, and why; of a group that is a loop's item nothing."""
        story = Story().group("g", {"g[0]": "pipeline", "g[1]": "pipeline"}, kind="loop")
        story.group("g[0]", {"g[0].a": "agent"}, parent="g")
        assert said(story.close_group("g[0]")) is None
        assert said(story.close_group("g")) == "g: done (9.0 s)"
        again = Story().group("g", {"g.a": "agent"})
        assert said(again.close_group("g", Outcome.PARTIAL, error="1 of 1")) == "g: failed: partial: 1 of 1 (9.0 s)"

    @pytest.mark.parametrize(
        ("event", "words"),
        [
            (TaskSpawned(task="a", attempt=1, child="a.b", asked={"prompt": "Help\nme."}), "a: spawned a.b: Help me."),
            (TaskWaits(task="a", attempt=1, waits_for="a.b"), "a: waits for a.b"),
            (TaskWaits(task="a", attempt=1, waits_for=None), "a: goes on"),
            (MessageSent(task="a", to="b", number=1, text="Hello.\nYou."), "a: to b: Hello. You."),
            (Published(task="a", key="found", value={"x": "y" * 999}), "a: published found"),
        ],
    )
    def test_agents_speak(self, event: Event, words: str) -> None:
        """What an agent does in its run is a line."""
        assert said(Story().tasks(["a", "b"]).add(event)) == words

    def test_a_long_message_is_cut(self) -> None:
        """A line stays a line."""
        story = Story().tasks(["a", "b"]).add(MessageSent(task="a", to="b", number=1, text=STEERING + "x" * 999))
        assert len(str(said(story))) < 120
        assert controls(str(said(story))) == []

    @pytest.mark.parametrize(("usd", "cost"), [(0.5, ", about $0.50"), (None, "")])
    def test_a_forecast(self, usd: float | None, cost: str) -> None:
        """How long it will take, how many tasks, the longest chain, what it costs, and how that is known."""
        event = RunForecast(
            tasks=12, known=9, wall_s=40.0, work_s=99.0, critical_s=30.0, critical=["a"], bound_s=30.0, usd=usd,
            basis="3 earlier runs",
        )  # fmt: skip
        assert said(Story().add(event)) == (
            f"forecast: 12 tasks, about 40.0 s (at least 30.0 s: the longest chain, a){cost}; from 3 earlier runs; "
            "3 of 12 tasks have never run: guessed"
        )

    def test_a_task_starts(self) -> None:
        """The first attempt is a start, and later ones have their number."""
        story = Story().tasks(["a"]).start("a")
        assert said(story) == "a: started"
        assert said(story.add(AttemptStarted(task="a", attempt=2))) == "a: attempt 2"

    def test_a_task_is_tried_again(self) -> None:
        """Why, and when."""
        story = Story().tasks(["a"]).start("a")
        story.add(AttemptFinished(task="a", attempt=1, outcome="overloaded", error="too\nmany", retry_in=5.0))
        assert said(story) == "a: overloaded: too many; again in 5.0 s"

    def test_an_attempt_that_is_the_last_has_no_line(self) -> None:
        """The task's end says it all."""
        story = Story().tasks(["a"]).start("a")
        assert said(story.add(AttemptFinished(task="a", attempt=1, outcome="ok"))) is None

    def test_a_task_is_done(self) -> None:
        """Its time, turns and cost, and how far the run has come."""
        assert said(Story().tasks(["a", "b"]).start("a").end("a")) == "a: done (10.0 s, 2 turns, $0.0200) [1/2]"

    def test_a_task_fails(self) -> None:
        """The outcome and the cause in one line, however many it had."""
        story = Story().tasks(["a"]).start("a").end("a", Outcome.CRASHED, error="no\n  luck", turns=1)
        assert said(story) == "a: failed: crashed: no luck (10.0 s, 1 turn, $0.0200) [1/1]"

    def test_a_task_is_skipped(self) -> None:
        """The reason."""
        story = (
            Story().tasks(["a"]).end("a", Outcome.SKIPPED, error="it needs b, which is failed", duration=0.0, turns=0)
        )
        assert re.fullmatch(r"a: skipped: it needs b, which is failed \[1/1\]", str(said(story)))

    def test_a_task_is_cancelled(self) -> None:
        """That it was, once, and no figures of zero."""
        given = {"duration": 0.0, "cost_usd": 0.0, "turns": 0}
        story = Story().tasks(["a"]).end("a", Outcome.CANCELLED, error="it was cancelled", **given)
        assert re.fullmatch(r"a: cancelled(: it was cancelled)? \[1/1\]", str(said(story)))

    def test_a_run_ends(self) -> None:
        """How, and after how long."""
        assert said(Story().close("failed", 125.0)) == f"run {RUN}: failed after 2:05"

    @pytest.mark.parametrize(
        "event",
        [
            TaskAdded(task="a", title="a", task_kind="agent"),
            WorkspaceOpened(workspace="worktree", task="a", attempt=1, path="/x"),
            AgentMessage(task="a", attempt=1, type="AssistantMessage", doing="Read x"),
        ],
        ids=lambda event: type(event).__name__,
    )
    def test_some_events_have_none(self, event: Event) -> None:
        """What would drown the rest has no line."""
        assert line(event, Story().tasks(["a"]).state, RUN) is None

    def test_agents_do_not_steer_it(self) -> None:
        """Control characters in an error are made visible."""
        story = Story().tasks(["a"]).start("a").end("a", Outcome.CRASHED, error=STEERING)
        assert controls(str(said(story))) == []
        assert "evil" in str(said(story))


@pytest.mark.anyio
async def test_lines_have_the_time_of_day() -> None:
    """The view writes each line at once, with the time of day of its event in UTC."""
    out = io.StringIO()
    story = Story(begun(upstream=None)).tasks(["a"]).start("a", at=40).end("a", at=45).close(wall=45)
    await LinesView(out).show(feed(story.records))
    assert out.getvalue().splitlines() == [
        f"22:13:20 run {RUN}: 4 at once",
        "22:14:00 a: started",
        "22:14:05 a: done (10.0 s, 2 turns, $0.0200) [1/1]",
        f"22:14:05 run {RUN}: done after 45.0 s",
    ]


@pytest.mark.anyio
async def test_lines_of_hard_words() -> None:
    """A whole run with words that are hard to print is a line per event, none of which can steer a terminal."""
    out = io.StringIO()
    await LinesView(out).show(feed(sample_records()))
    lines = out.getvalue().splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d \S", each) for each in lines)
    assert controls(out.getvalue()) == []


@pytest.mark.anyio
async def test_jsonl_has_every_event() -> None:
    """Each record is one line of JSON with its place, time, run, kind and all its fields."""
    out, records = io.StringIO(), sample_records()
    await JsonlView(out).show(feed(records))
    documents = [json.loads(each) for each in out.getvalue().split("\n")[:-1]]
    assert [each["seq"] for each in documents] == [record.seq for record in records]
    for document, record in zip(documents, records, strict=True):
        assert (document["at"], document["run"]) == (record.at, record.run)
        assert KINDS[document["kind"]] is type(record.event)
        assert document.keys() == {"seq", "at", "run", "kind"} | record.event.to_json().keys()
