"""Runs inside runs: groups of a script's tasks, and plans under names of their own."""

import threading
from math import inf
from pathlib import Path
from typing import Any

import anyio
import pytest
from running import Stage, wait_forever

from orchestrator import Agent, Outcome, Plan, PlanError, Result, Run, Status, Task, UsageError
from orchestrator.events import AttemptStarted, TaskAdded, TaskFinished
from orchestrator.task import Attempt
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio

PLAN = Plan.model_validate(
    {
        "vars": {"topics": ["setup", "tests"], "tone": "dry"},
        "tasks": {
            "ask": {"foreach": "{{ vars.topics }}", "prompt": "ask {{ item }} ({{ vars.tone }})"},
            "sum": {"prompt": "sum {{ tasks.ask.texts | join(', ') }}"},
        },
    }
)


def echo(attempt: Attempt) -> Reply:
    return Reply(f"<{attempt.prompt}>", seconds=1, cost_usd=0.25)


async def three_levels(run: Run) -> list[Result]:
    """A group in a group in a group, with every pattern somewhere."""
    first = await run.agent("top", key="first")
    async with run.group("a") as a:
        await a.map("a {}", [1, 2], key="m")
        async with a.group("b") as b:
            await b.pipeline(["x"], "one {}", "two {}", key="p")
            async with b.group("c") as c:
                vote = await c.vote("which", times=2, key="v")
                last = await c.agent("deep", key="deep", needs=[first])
    return [first, *vote.results, last]


async def test_three_levels() -> None:
    """Ids tell the tree at any depth, every group is told with its parent, and the run has one report of all."""
    stage = Stage(echo)
    async with stage.open() as run:
        await three_levels(run)
    added = {event.task: (event.task_kind, event.parent) for event in stage.of(TaskAdded)}
    assert added == {
        "first": ("agent", None),
        "a": ("group", None),
        "a.m[0]": ("agent", "a"),
        "a.m[1]": ("agent", "a"),
        "a.b": ("group", "a"),
        "a.b.p": ("pipeline", "a.b"),
        "a.b.p[0]": ("pipeline", "a.b.p"),
        "a.b.p[0].1": ("agent", "a.b.p[0]"),
        "a.b.p[0].2": ("agent", "a.b.p[0]"),
        "a.b.c": ("group", "a.b"),
        "a.b.c.v": ("vote", "a.b.c"),
        "a.b.c.v[0]": ("agent", "a.b.c.v"),
        "a.b.c.v[1]": ("agent", "a.b.c.v"),
        "a.b.c.deep": ("agent", "a.b.c"),
    }
    assert set(stage.statuses.values()) == {Status.DONE}
    assert (run.report().tasks, run.report().ok, run.report().cost_usd) == (8, True, 2.0)
    ends = [event.task for event in stage.of(TaskFinished)]
    assert ends[-3:] == ["a.b.c", "a.b", "a"]


async def test_one_width_and_one_budget() -> None:
    """Tasks of all levels share the run's places and its money."""
    stage = Stage(echo, concurrent=2, usd=1.5)
    async with stage.open() as run, run.group("g") as g, g.group("h") as h, anyio.create_task_group() as group:
        for each in (run, g, h):
            group.start_soon(each.map, "{}", range(4))
    assert stage.executor.most_at_once == 2
    assert len(stage.executor.attempts) in (6, 7)
    assert run.report().status == "failed"


async def test_going_on_asks_nothing_twice() -> None:
    """A script with groups goes on where it was stopped."""
    stage = Stage(lambda attempt: Reply(attempt.prompt, seconds=inf if attempt.task == "a.b.p[0].2" else 1))
    with anyio.move_on_after(100):
        async with stage.open() as run:
            await three_levels(run)
    stage.use(echo)
    async with stage.open() as run:
        assert all(result.ok for result in await three_levels(run))
    assert sorted(attempt.task for attempt in stage.executor.attempts) == [
        *("a.b.c.deep", "a.b.c.v[0]", "a.b.c.v[1]", "a.b.p[0].2")
    ]


async def test_what_a_group_gives_to_its_tasks(tmp_path: Path) -> None:
    """A group's agent and workspace are those of its tasks, and of the groups in it, that name none."""
    stage = Stage(echo)
    async with stage.open(agent=Agent(model="sonnet")) as run:
        async with run.group("g", agent=Agent(model="haiku"), workspace=tmp_path) as g:
            await g.agent("x")
            async with g.group("h", workspace="directory") as h:
                await h.agent("x", agent=Agent(model="opus"))
                await h.agent("x")
        await run.agent("x")
    given = [(event.task, event.agent["model"], event.workspace["kind"]) for event in stage.of(AttemptStarted)]
    assert given == [
        ("g.agent-1", "haiku", "here"),
        ("g.h.agent-1", "opus", "directory"),
        ("g.h.agent-2", "haiku", "directory"),
        ("agent-1", "sonnet", "here"),
    ]
    assert stage.executor.attempts[0].workspace.path == str(tmp_path)


async def test_leaving_waits() -> None:
    """The block's end waits for what was submitted in it, and only then what needs the group begins."""
    stage = Stage(lambda attempt: Reply(seconds=50))
    async with stage.open() as run:
        async with run.group("g") as g:
            g.submit(Task("x", key="a"))
            run.submit(Task("x", key="after", needs=["g"]))
        assert run.status("g") is Status.DONE
    ends = [event.task for event in stage.of(TaskFinished)]
    assert ends == ["g.a", "g", "after"]


async def test_needs_are_named_from_inside() -> None:
    """In a group a task is found by its short name first, and by its full id from anywhere."""
    stage = Stage(echo)
    async with stage.open() as run:
        run.submit(Task("x", key="a"))
        run.submit(Task("x", key="z"))
        async with run.group("g") as g:
            g.submit(Task("x", key="a"))
            g.submit(Task("x", key="b", needs=["a", "z", {"task": "g.a", "allow": "failed"}]))
            with pytest.raises(UsageError, match="'c', which is no task of this run"):
                g.submit(Task("x", key="d", needs=["c"]))
    (added,) = stage.of(TaskAdded, "g.b")
    assert (added.needs, added.allows) == (["g.a", "z"], ["g.a"])


async def test_an_exception_cancels_the_group() -> None:
    """What the block raises comes out as it is; the group's tasks are cancelled, the run's others are not."""

    async def broken(run: Run) -> None:
        async with run.group("g") as g:
            g.submit(Task("x", key="a"))
            async with g.group("h") as h:
                h.submit(Task("x", key="b"))
                raise LookupError("mine")

    stage = Stage(lambda attempt: Reply(seconds=inf if attempt.task.startswith("g.") else 5))
    async with stage.open() as run:
        other = run.submit(Task("x", key="other"))
        with pytest.raises(LookupError, match="mine"):
            await broken(run)
        assert (await other.result()).ok
    assert stage.statuses == {"other": Status.DONE} | dict.fromkeys(["g", "g.a", "g.h", "g.h.b"], Status.CANCELLED)
    assert run.results()["g"].error == "its block was left: LookupError: mine"


async def test_a_cancelled_block_cancels_the_group() -> None:
    """Cancelling the block ends its tasks and no others; an empty group ends too."""
    stage = Stage(wait_forever)
    async with stage.open() as run:
        with anyio.move_on_after(10):
            async with run.group("g") as g, g.group("empty"):
                await g.map("{}", [1, 2], key="m")
        with anyio.move_on_after(10):
            async with run.group("e"):
                await anyio.sleep_forever()
        assert run.submit(Task("x", key="after", timeout=1, retries=0))
    assert stage.statuses.pop("after") is Status.FAILED
    assert {status for task, status in stage.statuses.items() if task != "after"} == {Status.CANCELLED}


async def test_a_group_that_has_ended_takes_nothing() -> None:
    """A task that comes too late is refused, and so is a name that is taken."""
    async with Stage().open() as run:
        async with run.group("g") as g:
            pass
        with pytest.raises(UsageError, match="the group 'g' has ended"):
            await g.agent("x")
        for name in ("g", ""):
            with pytest.raises(UsageError, match=r"has a task of that name already|key: found ''"):
                async with run.group(name):
                    pass
        with pytest.raises(UsageError, match="group: agent: found the text 'opus'"):
            async with run.group("h", agent="opus"):  # type: ignore[arg-type]
                pass
    assert run.results()["g"].ok


async def test_a_failed_part_is_told() -> None:
    """A group with a task that failed is partial, and names it."""
    async with Stage({"g.a": [Reply("no", outcome=Outcome.REFUSED)]}).open() as run:
        async with run.group("g") as g:
            await g.agent("x", key="a", retries=0)
            await g.agent("x", key="b")
        assert run.results()["g"].outcome is Outcome.PARTIAL
        assert run.results()["g"].error == "1 of 2 did not succeed: g.a"


async def test_a_plan_twice() -> None:
    """With a key a plan is a group of that name, so that it can be there again, with other vars."""
    stage = Stage(echo)
    async with stage.open() as run:
        first = await run.plan(PLAN, key="one")
        async with run.group("g") as g:
            second = await g.plan(PLAN, key="two", vars={"topics": ["x"]})
            third = await g.plan(PLAN)
        await run.plan(PLAN)
    assert list(first) == ["ask", "sum"]
    assert first["sum"].task == "one.sum"
    assert first["sum"].text == "<sum <ask setup (dry)>, <ask tests (dry)>>"
    assert (second["sum"].task, second["sum"].text) == ("g.two.sum", "<sum <ask x (dry)>>")
    assert third["sum"].task == "g.sum"
    kinds = {event.task: (event.task_kind, event.parent) for event in stage.of(TaskAdded)}
    assert kinds["one"] == ("plan", None)
    assert kinds["one.ask"] == ("loop", "one")
    assert kinds["one.ask[1]"] == ("agent", "one.ask")
    assert kinds["g.two.ask[0]"] == ("agent", "g.two.ask")
    assert kinds["g.ask"] == ("loop", "g")
    assert kinds["ask"] == ("loop", None)


async def test_a_plan_in_a_group_goes_on() -> None:
    """A nested plan that was stopped asks only what had not finished."""
    stage = Stage(lambda attempt: Reply(attempt.prompt, seconds=inf if attempt.task == "one.ask[1]" else 1))
    for script in (None, echo):
        stage.use(script or stage.executor.agent._script)
        with anyio.move_on_after(100):
            async with stage.open() as run:
                await run.plan(PLAN, key="one")
    assert [attempt.task for attempt in stage.executor.attempts] == ["one.ask[1]", "one.sum"]


async def test_a_plan_that_is_wrong_adds_nothing() -> None:
    """A plan with faults, or vars that it does not have, is refused before its group is there."""
    stage = Stage()
    async with stage.open() as run:
        with pytest.raises(PlanError):
            await run.plan(Plan.model_validate({"tasks": {"a": {"prompt": "{{ tasks.b.text }}"}}}), key="k")
        with pytest.raises(UsageError, match="vars: found 'topic', which the plan does not have"):
            await run.plan(PLAN, key="k", vars={"topic": 1})
    assert stage.statuses == {}


async def test_calls_beside_agents() -> None:
    """Blocking functions in threads and agents work at the same time, in a group too, and can need each other."""
    started, agents = threading.Event(), threading.Event()

    def block() -> str:
        started.set()
        assert agents.wait(20)
        return "called"

    def script(attempt: Attempt) -> Reply:
        agents.set()
        return Reply("asked", seconds=1)

    results: dict[str, Any] = {}
    stage = Stage(script)
    async with stage.open() as run, run.group("g") as g, anyio.create_task_group() as group:

        async def call() -> None:
            results["call"] = await g.call(block, key="call")

        group.start_soon(call)
        while not started.is_set():
            await anyio.sleep(0.001)
        results["agent"] = (await g.agent("x", key="agent")).text
        results["after"] = (await g.agent("x", needs=["call"])).text
    assert results == {"call": "called", "agent": "asked", "after": "asked"}
    assert stage.statuses["g.call"] is Status.DONE
