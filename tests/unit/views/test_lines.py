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
    Record,
    TaskAdded,
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
    def test_what_agents_tell_each_other(self) -> None:
        """A message, a question, and a task that an agent adds: who, to whom, and what."""
        sent = MessageSent(task="a", to="b", number=1, text="line\none")
        assert line(sent, RunState(), RUN) == "a: to b: line one"
        asked = TaskSpawned(task="a", attempt=1, child="a.ask-1", asked={"to": "b", "question": "Why?"})
        assert line(asked, RunState(), RUN) == "a: asked b (a.ask-1): Why?"
        assert line(TaskWaits(task="a", attempt=1, waits_for=None), RunState(), RUN) is None

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
