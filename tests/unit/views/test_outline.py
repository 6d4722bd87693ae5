"""The tasks at work below their groups, in the lines that there are."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from drawing import BEGUN, RUN, Story, drawn, plain, widest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.events import AttemptStarted, TaskAdded, TaskExpanded, TaskSpawned
from orchestrator.state import RunState
from orchestrator.task import Outcome
from orchestrator.views.frame import Room, picture
from orchestrator.views.outline import flat, outline, shares


def nested(items: int) -> Story:
    """A plan with a loop whose items are pipelines, all of them at work; a vote of two beside it."""
    story = Story().group("backend", {"backend.check": "loop"})
    pipelines = {f"backend.check[{index}]": "pipeline" for index in range(items)}
    story.group("backend.check", pipelines, parent="backend")
    for name in pipelines:
        story.group(name, {f"{name}.verify": "agent"}, parent="backend.check").start(f"{name}.verify", doing="Read x")
    story.group("title", {"title[0]": "agent", "title[1]": "agent"}, kind="vote")
    return story.start("title[0]", doing="thinking").start("title[1]")


def told(story: Story, rows: int) -> list[str]:
    """The outline, its levels as dots, what is folded in brackets."""
    return [
        "." * line.depth + (line.label if line.task else f"… {line.label}") + (f" ({line.folded})" * bool(line.folded))
        for line in outline(story.state, rows)
    ]


def lines_of(story: Story, width: int = 100, height: int = 24) -> list[str]:
    return plain(drawn(picture(story.state, RUN, BEGUN + 20, Room(width, height)), width, height=height))


def test_each_below_its_group() -> None:
    """Where there is room all are shown by short names; a pipeline with one stage at work has no line of its own."""
    assert told(nested(2), 20) == [
        "backend", ".check", "..[0].verify", "..[1].verify", "title", ".[0]", ".[1]",
    ]  # fmt: skip


def test_what_does_not_fit_is_folded() -> None:
    """Groups share the lines, and say how many of theirs are not shown."""
    assert told(nested(9), 9) == [
        "backend", ".check", "..[0].verify", "..[1].verify", "..[2].verify", "..… check (6)", "title", ".[0]", ".[1]",
    ]  # fmt: skip
    assert told(nested(9), 4) == ["backend", ".check (9)", "title (2)"]
    assert told(nested(9), 2) == ["backend (9)", "title (2)"]
    assert told(nested(9), 1) == ["…  (11)"]


def test_a_group_with_several_at_work_in_an_item() -> None:
    """A pipeline of which two stages are at work has its own line."""
    story = Story().group("g", {"g[0]": "pipeline", "g[1]": "pipeline"}, kind="loop")
    for name in ("g[0]", "g[1]"):
        story.group(name, {f"{name}.a": "agent", f"{name}.b": "agent"}, parent="g").start(f"{name}.a")
    assert told(story.start("g[0].b"), 20) == ["g", ".[0]", "..a", "..b", ".[1].a"]


def test_what_was_spawned() -> None:
    """A spawned task stands below its spawner, which goes on being shown when it has ended."""
    story = Story().group("p", {"p.boss": "agent", "p.x": "agent"}).start("p.boss").spawn("p.boss", "p.boss.hand")
    story.start("p.boss.hand").spawn("p.boss", "p.boss.foot").start("p.boss.foot")
    assert told(story, 20) == ["p", ".boss", "..hand", "..foot"]
    assert told(story, 2) == ["p", ".boss (2)"]
    assert told(story.end("p.boss"), 20) == ["p", ".boss", "..hand", "..foot"]


def test_ids_that_do_not_go_on_from_their_groups() -> None:
    """They are told whole."""
    story = Story().group("g", {"a": "group"}).group("a", {"b": "agent"}, parent="g").start("b")
    assert told(story, 20) == ["g", ".b"]


@pytest.mark.parametrize(
    ("wanted", "rows", "given"),
    [([], 5, []), ([1, 1], 9, [1, 1]), ([9, 9], 6, [3, 3]), ([9, 2, 9], 8, [3, 2, 3]), ([9, 1], 10, [9, 1])],
)
def test_shares(wanted: Sequence[int], rows: int, given: list[int]) -> None:
    """Those that want little get it, and the rest share what is left."""
    assert shares(wanted, rows) == given


def test_the_rows() -> None:
    """A group says how far it has come and for how long it has been at it; a task what it does."""
    story = nested(3).end("backend.check[0].verify", Outcome.CRASHED, error="no")
    lines = [" ".join(line.split()) for line in lines_of(story)]
    assert lines[1:6] == [
        "▾ backend 1/3 · 1 failed 0:20",
        "▾ check 1/3 · 1 failed 0:20",
        "▶ [1].verify Read x 1.0k tok 0:19",
        "▶ [2].verify Read x 1.0k tok 0:19",
        "▾ title 0/2 0:20",
    ]
    assert lines_of(story)[3].startswith("    ▶ [1].verify")


def test_folded_rows() -> None:
    """A folded group has the other sign and says how many it stands for; a line says how many are not shown."""
    lines = [" ".join(line.split()) for line in lines_of(nested(9), 60, 14)]
    assert "… and 6 more at work in check" in lines
    assert "▸ check 0/9 · 9 at work 0:20" in [" ".join(line.split()) for line in lines_of(nested(9), 60, 9)]
    assert lines_of(nested(9), 60, 6)[1] == "  … and 11 more at work"


def test_a_loop_alone_looks_as_ever() -> None:
    """Parts of loops that are parts of nothing else are told by their full ids, without a line for the loop."""
    story = Story().loop("each", 2).start("each[0]").start("each[1]")
    assert [line.split()[:2] for line in lines_of(story)[1:3]] == [["▶", "each[0]"], ["▶", "each[1]"]]


@dataclass
class Sketch:
    """A task to be, and those below it."""

    running: bool
    below: list["Sketch"] = field(default_factory=list)


leaves = st.builds(Sketch, st.booleans())
sketches = st.recursive(
    leaves, lambda below: st.builds(Sketch, st.booleans(), st.lists(below, min_size=1, max_size=8)), max_leaves=60
)


def grown(top: Sequence[Sketch]) -> RunState:
    """A run with these trees: of groups, and of agents that spawned others."""
    state = Story().state
    waiting = [(f"t{index}", None, sketch) for index, sketch in enumerate(top)]
    for name, parent, sketch in waiting:
        spawns = sketch.running and bool(sketch.below)
        kind = "loop" if sketch.below and not spawns else "agent"
        if parent is None:
            state.apply(TaskAdded(task=name, title="", task_kind=kind), BEGUN)
        parts = [f"{name}[{index}]" for index in range(len(sketch.below))]
        if parts and not spawns:
            state.apply(TaskExpanded(task=name, parts=parts), BEGUN)
        if kind == "agent" and sketch.running:
            state.apply(AttemptStarted(task=name, attempt=1), BEGUN + len(state.tasks))
        for part, each in zip(parts, sketch.below, strict=True):
            if spawns:
                state.apply(TaskSpawned(task=name, attempt=1, child=part, asked={}), BEGUN)
            below = "loop" if each.below and not each.running else "agent"
            state.apply(TaskAdded(task=part, title="", task_kind=below, parent=name), BEGUN)
            waiting.append((part, name, each))  # type: ignore[arg-type]
    return state


@given(st.lists(sketches, max_size=12), st.integers(1, 40))
@settings(max_examples=200, deadline=None)
def test_every_task_at_work_is_shown_or_counted(top: list[Sketch], rows: int) -> None:
    """Whatever the tree, no more lines than allowed, and each task at work in one of them once."""
    state = grown(top)
    for view in (outline, flat):
        lines = view(state, rows)
        own = [line.task.id for line in lines if line.task and line.task.id in state.running]
        assert len(lines) <= rows
        assert len(own) == len(set(own))
        if view is outline or rows > 1:
            assert len(own) + sum(line.folded for line in lines) == len(state.running)


@given(st.lists(sketches, max_size=12), st.integers(20, 130), st.integers(5, 40))
@settings(max_examples=60, deadline=None)
def test_no_picture_is_larger_than_its_room(top: list[Sketch], width: int, height: int) -> None:
    """Whatever the tree, it is neither taller nor wider than the terminal."""
    lines = plain(drawn(picture(grown(top), RUN, BEGUN + 99, Room(width, height)), width, height=height))
    assert len(lines) <= height
    assert widest(lines) <= width
