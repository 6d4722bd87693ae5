"""Tasks that agents add: bounds, waiting, and that they are there again when the run is gone on with."""

import json
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from colleagues import SPAWNS, Act, add, stage, told
from running import Stage

from orchestrator import Agent, Limits, Outcome, Run, Status, Task, UsageError, WorkspaceSpec
from orchestrator.engine.going_on.keys import options
from orchestrator.events import RunStarted, TaskFinished, TaskSpawned
from orchestrator.plan.model import Spawn
from orchestrator.protocols import CallTool
from orchestrator.task import Attempt
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio

FULFILS: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}}


def spawning(names: Sequence[str], prompts: str = "do {}", **how: Any) -> Act:
    """Adds tasks of these names, then waits for all, and says what they gave."""

    async def act(call: CallTool) -> str:
        for name in names:
            await call("spawn_task", {"name": name, "prompt": prompts.format(name), **how})
        found = await call("await_tasks", {})
        return " ".join(f"{each['task']}={each.get('text', each.get('error'))}" for each in found["tasks"])

    return act


async def refusal(call: CallTool, tool: str, given: Any) -> str:
    with pytest.raises(UsageError) as raised:
        await call(tool, given)
    return str(raised.value)


@pytest.mark.parametrize("width", [1, 2, 5])
async def test_a_planner_and_its_workers(width: int) -> None:
    """Workers run under the planner's name; it waits for them with its place lent, and never are more at work."""
    story = stage(width, boss=spawning(["x", "y", "z"]))
    async with story.open() as run:
        add(run, "boss", SPAWNS)
        add(run, "after", needs=["boss"])
    assert told(story, "boss") == "boss.x=said do x boss.y=said do y boss.z=said do z"
    assert story.statuses == dict.fromkeys(["boss", "after", "boss.x", "boss.y", "boss.z"], Status.DONE)
    assert [task.parent for task in story.state.tasks.values()] == [None, None, "boss", "boss", "boss"]
    assert story.asked[-1] == "after"
    assert story.executor.most_at_once == min(width, 3) + 1, "the scripted agent counts the one that waits"


async def test_what_is_waited_for() -> None:
    """An agent may wait for some by name, for the first of them, or look without waiting; failures are told."""

    async def boss(call: CallTool) -> str:
        for name in ("quick", "slow", "bad"):
            await call("spawn_task", {"name": name, "prompt": name})
        now = await call("await_tasks", {"first": 0})
        first = await call("await_tasks", {"names": ["quick", "boss.slow"], "first": 1})
        bad = await call("await_tasks", {"names": ["bad"]})
        return json.dumps([now, first, bad])

    acts = {"boss__slow": Reply("s", seconds=50), "boss__bad": Reply("no", outcome=Outcome.REFUSED), "boss": boss}
    story = stage(4, **acts)
    async with story.open() as run:
        add(run, "boss", SPAWNS)
    now, first, bad = json.loads(told(story, "boss"))
    assert {each["status"] for each in now["tasks"]} <= {"pending", "running"}
    assert first["tasks"] == [
        {"task": "boss.quick", "status": "done", "text": "said quick"},
        {"task": "boss.slow", "status": "running"},
    ]
    assert bad["tasks"] == [{"task": "boss.bad", "status": "failed", "text": "no", "error": "refused: no"}]


async def test_a_typed_result() -> None:
    """A spawned task may have a schema: its value is what the agent gets."""

    async def boss(call: CallTool) -> str:
        await call("spawn_task", {"name": "x", "prompt": "count", "returns": FULFILS})
        return json.dumps((await call("await_tasks", {}))["tasks"][0]["value"])

    story = stage(1, boss=boss, boss__x=Reply("", value={"n": 3}))
    async with story.open() as run:
        add(run, "boss", SPAWNS)
    assert told(story, "boss") == '{"n": 3}'
    assert story.executor.attempts[-1].schema == FULFILS


async def test_needs_among_spawned_tasks() -> None:
    """A spawned task may need another of the same agent; one that fails it is skipped, and so told."""

    async def boss(call: CallTool) -> str:
        await call("spawn_task", {"name": "a", "prompt": "a"})
        await call("spawn_task", {"name": "b", "prompt": "b", "needs": ["a"]})
        return str([each["status"] for each in (await call("await_tasks", {}))["tasks"]])

    story = stage(4, boss=boss, boss__a=Reply(outcome=Outcome.REFUSED))
    async with story.open() as run:
        add(run, "boss", SPAWNS)
    assert "failed" in told(story, "boss")
    assert story.statuses["boss.b"] == Status.SKIPPED


async def test_the_same_is_added_once() -> None:
    """The same name and input is the same task, also from an attempt that begins anew; another input is an error."""
    errors: list[str] = []

    async def boss(call: CallTool) -> str:
        for _ in range(2):
            await call("spawn_task", {"name": "x", "prompt": "one"})
        errors.append(await refusal(call, "spawn_task", {"name": "x", "prompt": "two"}))
        return str(await call("await_tasks", {}))

    def script(attempt: Attempt) -> Reply:
        if attempt.task != "boss":
            return Reply("x")
        return Reply(act=boss, outcome=Outcome.EMPTY if attempt.number == 1 else Outcome.OK)

    story = Stage(script)
    async with story.open() as run:
        add(run, "boss", SPAWNS, retries=1)
    assert story.asked.count("boss.x") == 1
    assert len(story.of(TaskSpawned)) == 1
    assert errors == ["name: found 'x', which you have given to another task: choose another"] * 2


@pytest.mark.parametrize(
    ("tool", "given", "why"),
    [
        ("await_tasks", {}, "you have added no tasks yet"),
        ("await_tasks", {"names": ["x"]}, "names: found 'x', expected tasks of yours: you have added none"),
        ("spawn_task", {"name": "a b", "prompt": "x"}, "name: 'a b' does not match"),
        ("spawn_task", {"name": "x", "prompt": "x", "agent": "q"}, "agent: found the text 'q', expected none"),
        ("spawn_task", {"name": "x", "prompt": "x", "needs": ["y"]}, "needs: found 'y', expected tasks of yours"),
        ("spawn_task", {"name": "x", "prompt": "x", "returns": {"type": "lst"}}, "returns: "),
        ("spawn_task", {"name": "taken", "prompt": "x"}, "the run has a task boss.taken already"),
    ],
)
async def test_what_cannot_be_done(tool: str, given: Any, why: str) -> None:
    """What an agent asks for that makes no sense is told, with what was found, and adds nothing."""

    async def boss(call: CallTool) -> str:
        return await refusal(call, tool, given)

    story = stage(boss=boss)
    async with story.open() as run:
        add(run, "boss.taken")
        add(run, "boss", SPAWNS)
    assert why in told(story, "boss")
    assert story.of(TaskSpawned) == []


async def test_a_spawn_storm() -> None:
    """Beyond an agent's own bound, and beyond the run's, nothing is added, the agent is told, and the rest goes on."""

    async def storm(call: CallTool) -> str:
        added = 0
        while True:
            try:
                await call("spawn_task", {"name": f"t{added}", "prompt": f"{added}"})
            except UsageError as error:
                await call("await_tasks", {})
                return f"{added}: {error}"
            added += 1

    story = stage(4, a=storm, b=storm)
    story.limits = Limits(concurrent=4, spawned=5)
    async with story.open() as run:
        add(run, "a", Agent(spawn=Spawn(count=3)))
        add(run, "b", Agent(spawn=Spawn(count=3)), needs=["a"])
    assert told(story, "a").startswith("3: you have added 3 tasks, which is the most that you may (spawn.count)")
    assert "2: the agents of this run have added 5 tasks" in told(story, "b")
    assert set(story.statuses.values()) == {Status.DONE}
    assert len(story.statuses) == 7


async def test_depth() -> None:
    """Tasks of an agent with depth 2 may add tasks themselves, and those none."""
    deepest: list[Spawn | None] = []

    async def inner(call: CallTool) -> str:
        await call("spawn_task", {"name": "y", "prompt": "y"})
        return str(len((await call("await_tasks", {}))["tasks"]))

    story = stage(1, boss=spawning(["x"]), boss__x=inner)
    async with story.open() as run:
        add(run, "boss", Agent(spawn=Spawn(depth=2)))
    deepest = [attempt.agent.spawn for attempt in story.executor.attempts]
    assert [each and each.depth for each in deepest] == [2, 1, None]
    assert story.statuses["boss.x.y"] == Status.DONE


async def test_agents_by_name() -> None:
    """Where the plan or script names agents for it, a spawned task has one of these, and no other."""

    async def boss(call: CallTool) -> str:
        error = await refusal(call, "spawn_task", {"name": "x", "prompt": "x", "agent": "tset"})
        await call("spawn_task", {"name": "x", "prompt": "x", "agent": "test"})
        return error

    story = stage(boss=boss)
    async with story.open(agents={"test": Agent(model="m", spawn=Spawn())}) as run:
        add(run, "boss", Agent(spawn=Spawn(agents=("test",))))
    assert told(story, "boss") == "agent: found the text 'tset' (did you mean test?), expected one of test"
    assert story.executor.attempts[-1].agent == Agent(model="m")


async def test_workspaces() -> None:
    """A spawned task works in the same kind of place or in one of its own, never closer to the user than its parent."""

    async def boss(call: CallTool) -> str:
        await call("spawn_task", {"name": "a", "prompt": "a", "workspace": "directory"})
        await call("spawn_task", {"name": "b", "prompt": "b"})
        kinds = ("here", "worktree")
        given = [{"name": "no", "prompt": "x", "workspace": kind} for kind in kinds]
        return " ".join([await refusal(call, "spawn_task", each) for each in given])

    async def free(call: CallTool) -> None:
        await call("spawn_task", {"name": "c", "prompt": "c", "workspace": "worktree"})

    story = stage(boss=boss, free=free)
    async with story.open() as run:
        add(run, "boss", SPAWNS, workspace=WorkspaceSpec(kind="directory"))
        add(run, "free", SPAWNS)
    assert "you work in no repository" in told(story, "boss")
    assert "you work in a place of your own" in told(story, "boss")
    kinds = {attempt.task: attempt.workspace.kind for attempt in story.executor.attempts}
    assert kinds["boss.a"] == kinds["boss.b"] == "directory"
    assert story.state.tasks["free.c"].parent == "free"


def outcome(story: Stage) -> Any:
    return {task: status.value for task, status in story.statuses.items()}


async def tasks(run: Run) -> None:
    add(run, "boss", SPAWNS)
    add(run, "after", needs=["boss"])


async def test_gone_on_with_after_the_planner_had_ended() -> None:
    """Its workers are added again before its result is told, with the same ids; what had finished is not paid again."""

    async def boss(call: CallTool) -> str:
        for name in ("x", "y"):
            await call("spawn_task", {"name": name, "prompt": f"do {name}"})
        return "added"

    story = stage(4, boss=boss, boss__y=Reply(seconds=1e6))
    with anyio.move_on_after(100):
        async with story.open() as run:
            await tasks(run)
    assert story.statuses["boss"] == story.statuses["boss.x"] == Status.DONE
    later = stage(4)
    later.journal = story.journal
    async with later.open(run=run.id) as again:
        await tasks(again)
    assert later.asked[-2:] == ["boss.y", "after"]
    assert [attempt.task for attempt in later.executor.attempts] == ["boss.y", "after"]
    assert outcome(later) == dict.fromkeys(["boss", "after", "boss.x", "boss.y"], "done")
    since = later.events[max(index for index, event in enumerate(later.events) if isinstance(event, RunStarted)) :]
    said = [(type(event), getattr(event, "task", None)) for event in since]
    assert said.index((TaskSpawned, "boss")) < said.index((TaskFinished, "boss"))
    assert [event.child for event in since if isinstance(event, TaskSpawned)] == ["boss.x", "boss.y"]


@pytest.mark.parametrize("width", [1, 4])
async def test_gone_on_with_while_the_planner_waits(width: int) -> None:
    """A planner that was cut off finds its workers; those that had finished are not paid again, whatever the width."""
    story = stage(width, boss=spawning(["x", "y"]), boss__y=Reply(seconds=1e6))
    with anyio.move_on_after(100):
        async with story.open() as run:
            await tasks(run)
    assert story.statuses["boss.x"] == Status.DONE
    later = stage(width, boss=spawning(["x", "y"]))
    later.journal = story.journal
    async with later.open(run=run.id) as again:
        await tasks(again)
    assert told(later, "boss") == "boss.x=said do x boss.y=said do y"
    assert sorted(attempt.task for attempt in later.executor.attempts) == ["after", "boss", "boss.y"]
    assert len(later.of(TaskFinished, "boss.x")) == 2


async def test_done_again() -> None:
    """A planner that is to be done again has no workers from before, and its workers are done again too."""
    story = stage(4, boss=spawning(["x", "y"]))
    async with story.open() as run:
        await tasks(run)
    later = stage(4, boss=spawning(["x", "z"]))
    later.journal = story.journal
    async with later.open(run=run.id, rerun=["boss"]) as again:
        await tasks(again)
    assert sorted(later.state.tasks) == ["after", "boss", "boss.x", "boss.z"]
    assert {attempt.task for attempt in later.executor.attempts} >= {"boss", "boss.x", "boss.z"}


def test_keys() -> None:
    """The tools that an agent has are part of its tasks' keys; an agent without them has the key that it always had."""
    assert not {"talk", "spawn"} & options(Agent()).keys()
    assert options(Agent(talk=True)) == options(Agent()) | {"talk": True}
    assert options(Agent(spawn=Spawn(count=2)))["spawn"] == {"count": 2, "depth": 1, "agents": []}


async def test_an_agent_that_is_cancelled_while_it_waits() -> None:
    """Its workers end with it, and no place is lost."""
    story = stage(1, boss=spawning(["x"]), boss__x=Reply(seconds=1e6))
    async with story.open() as run:
        handle = run.submit(Task("boss", key="boss", agent=SPAWNS))
        await anyio.sleep(50)
        handle.cancel()
        await handle.result()
        for number in range(3):
            add(run, f"other{number}")
    assert story.statuses["boss.x"] == story.statuses["boss"] == Status.CANCELLED
    assert story.executor.most_at_once == 2


async def test_a_budget_that_is_spent() -> None:
    """A worker that the budget leaves no money for is told as such, and the run is not complete."""
    story = stage(2, boss=spawning(["x"]), first=Reply(cost_usd=0.006, seconds=0.1))
    story.limits = Limits(concurrent=2, usd=0.01, soft=0.5)
    async with story.open() as run:
        add(run, "boss", SPAWNS)
        add(run, "first")
    assert "budget" in told(story, "boss")
    assert story.statuses["boss.x"] == Status.CANCELLED
