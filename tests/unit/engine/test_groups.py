"""Groups of tasks: what they come to, when they have enough, and how places are lent."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from running import Stage

from orchestrator import Agent, Outcome, Result, Run, Status, Task, TaskFailed, UsageError, WorkspaceSpec
from orchestrator.engine.steps import Ask, Expand, Node
from orchestrator.events import RunFinished, TaskExpanded, TaskFinished
from orchestrator.task import Attempt
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio


def asking(name: str, parent: str | None = None, needs: Sequence[str] = (), **more: Any) -> Node:
    """A node that asks an agent for its own name."""
    step = Ask(prompt=name, agent=Agent(), workspace=WorkspaceSpec(path=str(Path.cwd())))
    return Node(id=name, title=name, kind="agent", prepare=lambda: step, parent=parent, needs=tuple(needs), **more)


def group(name: str, nodes: Sequence[Node], kind: str = "vote", parent: str | None = None, **how: Any) -> Node:
    """A node that becomes these."""
    step = Expand(tuple(replace(node, parent=name) for node in nodes), **how)
    return Node(id=name, title=name, kind=kind, prepare=lambda: step, parent=parent)


async def result_of(run: Run, *nodes: Node) -> Result:
    """The first node's result."""
    run._core.add(nodes)
    return await run._core.wait(nodes[0].id)


def joined(parts: Sequence[Result]) -> Result:
    return Result(task="", outcome=Outcome.OK, text="+".join(part.text for part in parts))


def one(ended: Mapping[str, Result]) -> bool:
    return any(result.ok for result in ended.values())


def two(ended: Mapping[str, Result]) -> bool:
    return sum(result.ok for result in ended.values()) >= 2


async def test_a_group_comes_to_what_its_gather_says() -> None:
    """A group's own function makes its result from those of its parts, in their order."""
    async with Stage(lambda attempt: Reply(attempt.prompt, seconds=9 if attempt.task == "a" else 1)).open() as run:
        result = await result_of(run, group("g", [asking("a"), asking("b")], gather=joined))
    assert (result.task, result.ok, result.text) == ("g", True, "a+b")


async def test_a_gather_that_raises_fails_its_group_alone() -> None:
    """What the function raises is the group's error."""

    def broken(parts: Sequence[Result]) -> Result:
        raise ValueError("no idea")

    stage = Stage()
    async with stage.open() as run:
        result = await result_of(run, group("g", [asking("a")], gather=broken))
    assert (result.outcome, result.error) == (Outcome.RAISED, "ValueError: no idea")
    assert stage.statuses == {"g": Status.FAILED, "a": Status.DONE}
    assert stage.of(RunFinished)[0].status == "failed"


async def test_parts_of_a_group_may_need_each_other() -> None:
    """A part starts when the part that it needs is done."""
    stage = Stage()
    async with stage.open() as run:
        await result_of(run, group("g", [asking("b", needs=["a"]), asking("a")][::-1]))
    assert stage.asked == ["a", "b"]


async def test_groups_in_groups() -> None:
    """A group that is a part of a group ends before it, and neither is counted."""
    stage = Stage()
    async with stage.open() as run:
        inner = group("inner", [asking("a"), asking("b")], kind="plan")
        result = await result_of(run, group("outer", [inner, asking("c")], kind="plan"))
        assert run.report().tasks == 3
    assert result.ok
    ends = [event.task for event in stage.of(TaskFinished)]
    assert ends.index("inner") < ends.index("outer")


async def test_many_groups_at_once() -> None:
    """A group of a thousand groups, each with a task, unfolds and ends: no stack grows with their number."""
    stage = Stage(concurrent=50)
    many = [group(f"g{number}", [asking(f"t{number}")], kind="plan") for number in range(1000)]
    async with stage.open() as run:
        assert (await result_of(run, group("all", many, kind="plan"))).ok
    assert (run.report().succeeded, run.report().status) == (1000, "done")


async def test_enough_ends_the_rest() -> None:
    """Once a group has enough, parts at work are ended and those that wait are not begun; neither counts as failed."""
    seconds = {"a": 1, "b": 1e6, "c": 1e6}
    stage = Stage(lambda attempt: Reply(seconds=seconds[attempt.task]), concurrent=3)
    async with stage.open() as run:
        result = await result_of(run, group("g", [asking(name) for name in "abcd"], enough=one))
    assert result.ok
    assert stage.asked == ["a", "b", "c"]
    assert stage.statuses == {"g": Status.DONE, "a": Status.DONE} | dict.fromkeys("bcd", Status.SKIPPED)
    assert [run.report().results[name].outcome for name in "bcd"] == [Outcome.UNNEEDED] * 3
    assert run.report().status == "done"


async def test_enough_from_before_asks_nobody() -> None:
    """When what is there from before is enough, no other part is begun."""
    stage = Stage({"a": ["x"], "b": ["x"], "c": [Reply(seconds=1e6)]}, concurrent=3)
    nodes = [asking(name) for name in "abc"]
    with anyio.move_on_after(100):
        async with stage.open() as run:
            await result_of(run, group("g", nodes))
    assert stage.asked == ["a", "b", "c"]
    stage.use({})
    async with stage.open(run=run.id) as run:
        assert (await result_of(run, group("g", nodes, enough=two))).ok
    assert stage.executor.attempts == []


async def test_a_need_that_may_fail() -> None:
    """A task goes on after one that failed if it says so; another that needs the same is skipped."""
    stage = Stage({"bad": [Reply(outcome=Outcome.REFUSED)]})
    async with stage.open() as run:
        bad = run.submit(Task("x", key="bad", retries=0))
        run.submit(Task("x", key="strict", needs=[bad]))
        run.submit(Task("x", key="lenient", needs=[{"task": bad, "allow": "failed"}]))
    assert stage.statuses == {"bad": Status.FAILED, "strict": Status.SKIPPED, "lenient": Status.DONE}


@pytest.mark.parametrize(
    "need", [{"allow": "failed"}, {"task": "a", "allow": "all"}, {"task": 1, "allow": "failed"}, 3]
)
async def test_a_need_that_is_none(need: Any) -> None:
    """What is no need is refused at once, with what was found."""
    async with Stage().open() as run:
        with pytest.raises(UsageError, match="needs: found"):
            run.submit(Task("x", needs=[need]))


async def test_an_open_group_takes_parts_until_it_is_closed() -> None:
    """A group that may get further parts ends with the last of them, once no more can come."""
    stage = Stage()
    async with stage.open() as run:
        core = run._core
        core.add([group("g", [], kind="group", more=True)])
        for name in "ab":
            core.extend("g", [asking(name, parent="g")])
            await core.wait(name)
        assert "g" not in core.results
        core.extend("g", [], more=False)
        assert (await core.wait("g")).ok
    assert [(event.parts, event.more) for event in stage.of(TaskExpanded)] == [
        *(([], True), (["a"], True), (["b"], True), ([], False))
    ]


async def test_what_an_agent_spawns_is_waited_for_by_those_who_need_it() -> None:
    """A task that needs an agent's starts when the tasks that it spawned have ended too."""
    seconds = {"boss": 5.0, "boss.hand": 50.0, "after": 1.0}
    stage = Stage(lambda attempt: Reply(seconds=seconds[attempt.task]))
    async with stage.open() as run:
        boss = run.submit(Task("lead", key="boss"))
        run.submit(Task("sum up", key="after", needs=[boss]))
        await anyio.sleep(1)
        run._core.spawn(asking("boss.hand", parent="boss"), 1, {"prompt": "help"})
        assert (await boss.result()).ok
    ends = [event.task for event in stage.of(TaskFinished)]
    assert ends == ["boss", "boss.hand", "after"]
    assert stage.state.tasks["boss"].parts == ["boss.hand"]
    assert run.report().tasks == 3


@pytest.mark.parametrize("width", [1, 2])
async def test_places_are_lent(width: int) -> None:
    """An agent that waits for another lends it its place, and goes on when there is one again: never more at once."""
    at_work = set[str]()
    most = 0

    async def act(attempt: Attempt, emit: Any, call: Any = None) -> Result:
        nonlocal most
        at_work.add(attempt.task)
        most = max(most, len(at_work))
        if attempt.task == "boss":
            await anyio.sleep(1)
            core.spawn(asking("boss.hand", parent="boss"), 1, {})
            at_work.remove("boss")
            async with core.lending("boss"):
                await core.wait("boss.hand")
            at_work.add("boss")
            most = max(most, len(at_work))
        await anyio.sleep(10)
        at_work.remove(attempt.task)
        return Result(task=attempt.task, outcome=Outcome.OK)

    stage = Stage(concurrent=width)
    stage.executor.run = act  # type: ignore[method-assign]
    async with stage.open() as run:
        core = run._core
        run.submit(Task("lead", key="boss"))
        for number in range(4):
            run.submit(Task("x", key=f"other{number}"))
    assert most == width
    assert set(stage.statuses.values()) == {Status.DONE}


@pytest.mark.parametrize("allowed", [True, False])
async def test_fail_fast_lets_pass_what_may_fail(allowed: bool) -> None:
    """Under `fail_fast` a task ends the run unless those that need it, or its group, go on without it."""
    stage = Stage({"a": [Reply(outcome=Outcome.REFUSED)]})
    after = asking("after", needs=["g"], allows=("g",) if allowed else ())
    with nullcontext() if allowed else pytest.raises(TaskFailed, match="'a'"):
        async with stage.open(fail_fast=True) as run:
            run._core.add([group("g", [asking("a"), asking("b")], kind="loop"), after])
    assert (stage.statuses["after"] is Status.DONE) is allowed
