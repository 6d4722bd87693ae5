"""The summary at the end of a run."""

import re

import pytest
from drawing import STEERING, Story, begun, controls, drawn, plain, widest

from orchestrator.events import RequestAnswered
from orchestrator.task import Outcome, Usage, WorkspaceInfo
from orchestrator.views.summary import summary


def lines_of(story: Story, width: int = 100) -> list[str]:
    return plain(drawn(summary(story.report, width), width))


def many(count: int, failed: int = 0) -> Story:
    """A run of so many tasks with long names and words, of which the last ones failed."""
    names = [f"a-rather-long-name-of-a-task-{index}" for index in range(count)]
    story = Story().tasks(names)
    for index, name in enumerate(names):
        bad = index >= count - failed
        story.start(name).end(
            name,
            Outcome.BAD_REQUEST if bad else Outcome.OK,
            text="Word for word. " * 30,
            error="no such luck" if bad else None,
        )
    return story.close("failed" if failed else "done")


@pytest.mark.parametrize("width", [100, 60])
@pytest.mark.parametrize(("count", "failed"), [(0, 0), (1, 0), (1, 1), (70, 0), (70, 3)])
def test_it_keeps_to_its_width(width: int, count: int, failed: int) -> None:
    """No line is wider than the terminal, with no, one or many tasks."""
    lines = lines_of(many(count, failed), width)
    assert widest(lines) <= width
    assert any(f"{count} task" in line for line in lines)


def test_a_row() -> None:
    """A task's row has sign, name, outcome, time, turns, tokens, cost and what it gave."""
    lines = lines_of(Story().tasks(["check"]).start("check").end("check").close())
    assert re.fullmatch(r"task +outcome +time +turns +tokens +cost +what it gave", lines[0])
    assert re.fullmatch(r"✓ check +ok +10\.0 s +2 +3\.0k +\$0\.0200 +All is well\.", lines[1])


def test_a_narrow_row() -> None:
    """In 60 columns turns and tokens give way."""
    lines = lines_of(Story().tasks(["check"]).start("check").end("check").close(), 60)
    assert re.fullmatch(r"task +outcome +time +cost +what it gave", lines[0])
    assert re.fullmatch(r"✓ check +ok +10\.0 s +\$0\.0200 +All is well\.", lines[1])


def test_a_row_takes_one_line() -> None:
    """A long answer of many lines is cut, in one line."""
    lines = lines_of(Story().tasks(["a"]).start("a").end("a", text="one\ntwo\n\nthree " * 50).close())
    assert lines[1].endswith("…")
    assert "one two three" in lines[1]
    assert lines[2].startswith("1 task")


def test_only_what_failed_of_very_many() -> None:
    """Of 70 tasks only those that did not succeed are listed; of 60 all are."""
    rows = [line for line in lines_of(many(70, failed=3)) if line[:2] in ("✓ ", "✗ ")]
    assert len(rows) == 3
    assert all("bad_request" in row for row in rows)
    assert len([line for line in lines_of(many(60)) if line.startswith("✓ ")]) == 60


def test_it_says_that_rows_are_left_out() -> None:
    """Where tasks that succeeded are not listed, a line says so with their number; no heading stands over nothing."""
    lines = lines_of(many(70))
    assert any("70" in line and re.search(r"not (listed|shown)", line) for line in lines)
    assert not lines[0].startswith("task ")


def test_totals() -> None:
    """The totals count each status that there is, and add up tokens and cost."""
    story = Story().tasks(list("abcd")).start("a").end("a").start("b").end("b", Outcome.CRASHED, error="no")
    story.end("c", Outcome.SKIPPED, usage=Usage(), cost_usd=0.0).end(
        "d", Outcome.CANCELLED, usage=Usage(), cost_usd=0.0
    )
    lines = lines_of(story.close("failed"))
    assert "4 tasks: 1 ok, 1 failed, 1 skipped, 1 cancelled · 6.0k tokens in, 80 out · $0.0400" in lines
    assert "wall 20.0 s, sum of tasks 20.0 s: 1.0x as fast as one after the other (sequential)" in lines


def test_what_was_cached() -> None:
    """Of tokens from the prompt cache the share is told."""
    usage = Usage(input_tokens=250, cache_read_tokens=750)
    lines = lines_of(Story().tasks(["a"]).start("a").end("a", usage=usage).close())
    assert any("1.0k tokens in (75% cached), 0 out" in line for line in lines)


def test_a_loop_is_no_row() -> None:
    """The parts of a loop are rows, the loop is none, and it is not counted."""
    story = Story().loop("each", 2)
    for part in ("each[0]", "each[1]"):
        story.start(part).end(part)
    lines = lines_of(story.close())
    assert [line.split()[1] for line in lines if line.startswith("✓")] == ["each[0]", "each[1]"]
    assert any(line.startswith("2 tasks: 2 ok") for line in lines)


def test_causes_are_told_in_full() -> None:
    """A cause that has no room in the row is given in full below, once for all tasks that it befell."""
    cause = "API Error: 400 " + "because " * 30 + "END"
    story = Story().tasks(list("abcde"))
    for name in "abcde":
        story.start(name).end(name, Outcome.BAD_REQUEST, error=cause)
    text = " ".join(lines_of(story.close("failed"), 60))
    assert text.count("END") == 1
    assert "a, b, c and 2 more: bad_request: API Error: 400" in text


def test_refused_calls_are_named() -> None:
    """Each refused call is named once, with the tasks that wanted it and what would let it through."""
    story = Story().tasks(["a", "b"])
    for name in ("a", "b"):
        story.start(name).end(name, denials=("Bash(touch x)", "Bash(touch x)"))
    lines = lines_of(story.close())
    assert [line for line in lines if line.startswith("refused")] == [
        "refused: Bash(touch x) in a, b (let it through with the agent's `allow`)"
    ]


def test_branches_are_named() -> None:
    """A branch that holds work is named with the number of its files; one that holds none is not."""
    kept = WorkspaceInfo(kind="worktree", path="/x", branch="orchestrator/r/a", commit="c", changed=("one",))
    empty = WorkspaceInfo(kind="worktree", path="/x", branch="orchestrator/r/b")
    story = Story().tasks(["a", "b"]).start("a").end("a", workspace=kept).start("b").end("b", workspace=empty).close()
    text = "\n".join(lines_of(story))
    assert "a: 1 file changed on branch orchestrator/r/a" in text
    assert "orchestrator/r/b" not in text


def test_where_figures_come_from_and_where_to_go() -> None:
    """The offline model is named as such, an account is not, and the last line is the command that shows more."""
    lines = lines_of(Story().tasks(["a"]).start("a").end("a").close())
    assert any("nothing was paid" in line for line in lines)
    assert lines[-1] == "more: orchestrator show audit-abc123"
    assert "nothing was paid" not in "\n".join(lines_of(Story(begun(upstream=None)).close()))


def test_a_run_that_goes_on() -> None:
    """Tasks that run or wait have rows too, with their status in the place of an outcome."""
    lines = lines_of(Story().tasks(["a", "b"]).start("a"))
    assert re.fullmatch(r"▶ a +running", lines[1])
    assert re.fullmatch(r"· b +pending", lines[2])
    assert any(line.startswith("2 tasks: 0 ok, 1 pending, 1 running") for line in lines)


@pytest.mark.parametrize("width", [100, 60])
def test_agents_do_not_steer_it(width: int) -> None:
    """Control characters from answers, errors and refused calls do not get through; nor does markup."""
    story = Story().tasks(["a", "b"]).start("a").end("a", text=STEERING, denials=(STEERING,))
    story.start("b").end("b", Outcome.CRASHED, error=STEERING).close("failed")
    raw = "\n".join(drawn(summary(story.report, width), width))
    assert controls(raw) == []
    assert raw.count("evil") == 4
    assert "[bold]" in raw


def test_it_has_colours_only_where_they_are_wanted() -> None:
    """Outcomes are coloured in a terminal, and not under NO_COLOR."""
    report = many(2, failed=1).report
    assert "\x1b[32m" in "".join(drawn(summary(report, 100), 100, colour=True))
    assert "\x1b[32m" not in "".join(drawn(summary(report, 100), 100))


def nested(items: int = 2, bad: int = 0) -> Story:
    """A plan with a loop of pipelines, the stages of the first `bad` of which failed; a vote of three."""
    story = Story().group("backend", {"backend.ask": "agent", "backend.check": "loop"}).start("backend.ask")
    pipelines = {f"backend.check[{index}]": "pipeline" for index in range(items)}
    story.end("backend.ask").group("backend.check", pipelines, parent="backend")
    for index, name in enumerate(pipelines):
        outcome = Outcome.CRASHED if index < bad else Outcome.OK
        story.group(name, {f"{name}.verify": "agent"}, parent="backend.check").start(f"{name}.verify")
        story.end(f"{name}.verify", outcome, error="no luck" if index < bad else None)
        story.close_group(name, Outcome.PARTIAL if index < bad else Outcome.OK, error="1 of 1" if index < bad else None)
    error = f"{bad} of {items} did not succeed" if bad else None
    story.close_group("backend.check", Outcome.PARTIAL if bad else Outcome.OK, error=error).close_group("backend")
    story.group("title", {f"title[{index}]": "agent" for index in range(3)}, kind="vote")
    story.start("title[0]").end("title[0]").start("title[1]").end("title[1]")
    return story.end("title[2]", Outcome.UNNEEDED, usage=Usage(), cost_usd=0.0, turns=0, duration=0.0)


def rows_of(story: Story, width: int = 100) -> list[str]:
    """The names and outcomes of the rows, and for groups what they gave."""
    found = [re.match(r"( *[✓✗▶·■-] \S+ +\S+)(.*)", line) for line in lines_of(story, width)]
    return [" ".join(match[1].split()) + "|" + str(match[1].index(match[1].strip())) for match in found if match]


def test_groups_have_rows() -> None:
    """In a tree each group has a row of its own, and what is below it is indented and told by its short name."""
    assert rows_of(nested().close_group("title").close()) == [
        "✓ backend ok|0", "✓ ask ok|2", "✓ check ok|2", "✓ [0] ok|4", "✓ verify ok|6", "✓ [1] ok|4", "✓ verify ok|6",
        "✓ title ok|0", "✓ [0] ok|2", "✓ [1] ok|2", "- [2] unneeded|2",
    ]  # fmt: skip


def test_what_a_group_came_to() -> None:
    """A group's row has its time from beginning to end, its kind, how many tasks succeeded, and its error."""
    lines = lines_of(nested(3, bad=1).close_group("title", Outcome.UNDECIDED, error="a tie").close("failed"))
    assert "  ✗ check       partial     9.0 s                          loop: 1 of 3 did not succeed" in lines
    assert any(re.fullmatch(r"✗ title +undecided +9\.0 s +vote, 2 of 3: a tie", line) for line in lines)


@pytest.mark.parametrize("note", ["2 of 3 say 'blue', 1 not needed", "all 3 say 'blue'"])
def test_a_note_that_counts(note: str) -> None:
    """What a group's note counts is not counted before it."""
    lines = lines_of(nested().close_group("title", note=note).close())
    assert any(line.rstrip().endswith(f"vote: {note}") for line in lines)


def test_failures_of_a_tree() -> None:
    """Causes are told with full ids; a group is among them only when it failed for a reason of its own."""
    lines = lines_of(nested(3, bad=1).close_group("title", Outcome.UNDECIDED, error="a tie").close("failed"))
    assert "backend.check[0].verify: crashed: no luck" in lines
    assert "title: undecided: a tie" in lines
    assert not any("partial:" in line for line in lines)


def test_a_large_tree() -> None:
    """Of very many tasks only groups, and what did not succeed, have rows; groups deep down give way first."""
    story = nested(50, bad=2).close_group("title").close("failed")
    assert len([row for row in rows_of(story) if "verify" in row]) == 2
    assert len([row for row in rows_of(story) if "] ok|4" in row]) == 48
    assert "52 tasks that succeeded or were not needed not listed" in lines_of(story)
    deep = nested(90, bad=2).close_group("title").close("failed")
    assert rows_of(deep) == [
        "✓ backend ok|0", "✗ check partial|2", "✗ [0].verify crashed|4", "✗ [1].verify crashed|4", "✓ title ok|0",
    ]  # fmt: skip


def test_a_large_forest() -> None:
    """Where even the groups at the top are very many, only what did not succeed has a row."""
    story = Story()
    for index in range(70):
        story.group(f"v{index}", {f"v{index}[0]": "agent"}, kind="vote").start(f"v{index}[0]")
        bad = index == 3
        story.end(f"v{index}[0]", Outcome.CRASHED if bad else Outcome.OK)
        story.close_group(f"v{index}", Outcome.PARTIAL if bad else Outcome.OK)
    assert rows_of(story.close("failed")) == ["✗ v3 partial|0", "✗ [0] crashed|2"]


def test_a_large_tree_at_work() -> None:
    """Tasks that wait have no row among very many; those at work have."""
    story = Story().group("each", {f"each[{index}]": "plan" for index in range(70)}, kind="loop")
    for index in range(70):
        story.group(f"each[{index}]", {f"each[{index}].a": "agent"}, parent="each")
    assert rows_of(story.start("each[3].a")) == ["▶ each running|0", "▶ [3].a running|2"]
    assert "69 tasks that wait not listed" in lines_of(story)


@pytest.mark.parametrize("width", [100, 60, 40])
def test_a_tree_keeps_to_its_width(width: int) -> None:
    """No row of a tree is wider than the terminal."""
    assert widest(lines_of(nested(5, bad=1).close(), width)) <= width


def test_api_requests_in_a_line() -> None:
    """Where the gateway metered them: how many, how many refused, how long they waited, when their answers began."""
    story = Story(begun(upstream=None)).tasks(["a"]).start("a")
    answered = {"task": "a", "attempt": 1, "model": "m", "status": 200}
    story.add(RequestAnswered(**answered, queued_s=3.0, first_token_s=0.5, retries=1, refused=1))
    story.add(
        RequestAnswered(**answered, queued_s=1.0, first_token_s=1.5), RequestAnswered(**answered | {"status": 500})
    )
    said = "API: 4 requests, 25.0 % answered 429, queued 1.3 s on average, first token after 1.0 s"
    assert said in lines_of(story.end("a").close())
    assert not any(line.startswith("API") for line in lines_of(Story().tasks(["a"]).start("a").end("a").close()))
