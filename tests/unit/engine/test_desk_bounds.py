"""What agents cannot do through the run's tools: more than the plan allows them, or harm to the run itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from colleagues import BOTH, SPAWNS, TALKS, add, stage, told

from orchestrator import Agent, Status, UsageError, WorkspaceSpec
from orchestrator.engine.steps import Ask
from orchestrator.engine.talking.spawning import to_spawned_node
from orchestrator.plan.model import Spawn
from orchestrator.protocols import CallTool
from orchestrator.task import Attempt
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio


async def answer(call: CallTool, tool: str, given: Mapping[str, Any]) -> str:
    try:
        return str(await call(tool, given))
    except UsageError as error:
        return f"refused: {error}"


@pytest.mark.parametrize(
    ("tool", "given", "why"),
    [
        ("spawn_task", {"name": "x\n", "prompt": "p"}, r"name: found the text 'x\n'"),
        ("spawn_task", {"name": "a" * 10_000, "prompt": "p"}, "does not match"),
        ("spawn_task", {"name": "x", "prompt": " \n"}, "prompt: ' \\n' does not match"),
        ("spawn_task", {"name": "x", "prompt": "p" * 10_000_000}, "prompt: found 10000000 characters, expected 100000"),
        ("spawn_task", {"name": "x", "prompt": "p", "needs": ["n" * 10_000]}, "expected tasks of yours"),
        ("spawn_task", {"name": "x", "prompt": "p", "tools": ["Bash"]}, "'tools' was unexpected"),
        ("spawn_task", {"name": "x", "prompt": "p", "workspace": "/"}, "'/' is not one of"),
        ("spawn_task", {"name": "x", "prompt": "p", "returns": {"type": ["x"] * 9}}, "not a valid JSON schema"),
        ("publish", {"key": "k", "value": 10**5000}, "cannot be written down as JSON"),
    ],
)
async def test_what_is_refused(tool: str, given: Mapping[str, Any], why: str) -> None:
    """Input out of all bounds is refused with a short reason, and nothing is written down."""
    story = stage(boss=lambda call: answer(call, tool, given))
    async with story.open() as run:
        add(run, "boss", BOTH)
    said = told(story, "boss")
    assert said.startswith("refused: ")
    assert why in said
    assert len(said) < 400
    assert story.state.total == 1


async def test_what_is_no_json_does_not_end_the_run(tmp_path: Path) -> None:
    """Numbers that JSON does not have, and halves of characters, become what the journal's file can hold."""

    async def boss(call: CallTool) -> None:
        await call("publish", {"key": "k", "value": [float("nan"), float("inf"), "\ud800"]})
        await call("send_message", {"to": "other", "text": "half \udfff"})
        said.append((await call("lookup", {"key": "k"}))["value"])

    said: list[Any] = []
    story = stage(boss=boss, other=Reply(seconds=5))
    async with story.open(journal=tmp_path / "journal.db") as run:
        add(run, "boss")
        add(run, "other")
    assert run.report().succeeded == 2
    assert said == [["nan", "inf", "?"]]


async def test_a_task_called_as_an_answer_would_be() -> None:
    """A task that an agent has called `ask-1` is not taken for the answer to its first question."""

    async def boss(call: CallTool) -> str:
        await call("spawn_task", {"name": "ask-1", "prompt": "mine"})
        return str((await call("ask", {"to": "other", "question": "why?"}))["answer"])

    def script(attempt: Attempt) -> Reply:
        return Reply("because" if attempt.fork else "mine", act=boss if attempt.task == "boss" else None)

    story = stage()
    story.use(script)
    async with story.open() as run:
        add(run, "other")
        add(run, "boss", BOTH, needs=["other"])
    assert told(story, "boss") == "because"
    assert story.statuses["boss.ask-2"] == Status.DONE


async def test_a_call_that_comes_too_late() -> None:
    """An attempt that has ended, or is being cancelled, adds nothing to the run any more."""
    calls: list[CallTool] = []

    async def boss(call: CallTool) -> None:
        calls.append(call)

    async def other(call: CallTool) -> str:
        await anyio.sleep(20)
        return await answer(calls[0], "spawn_task", {"name": "x", "prompt": "x"})

    async def cancelled(call: CallTool) -> None:
        try:
            await anyio.sleep(1e6)
        finally:
            with anyio.CancelScope(shield=True):
                said.append(await answer(call, "spawn_task", {"name": "x", "prompt": "x"}))

    said: list[str] = []
    story = stage(boss=boss, other=other, cancelled=cancelled)
    async with story.open() as run:
        add(run, "boss", SPAWNS)
        add(run, "other")
        add(run, "cancelled", SPAWNS)
        await anyio.sleep(10)
        run._core.cancel("cancelled")
    assert told(story, "other") == "refused: spawn_task: the attempt that asks for it has ended"
    assert said == ["refused: spawn_task: the attempt that asks for it has ended"]
    assert set(story.statuses) == {"boss", "other", "cancelled"}


FULL = Ask(
    prompt="p",
    agent=Agent(tools=("Read",), permission_mode="plan", spawn=Spawn(agents=("helper", "planner"), depth=2)),
    workspace=WorkspaceSpec(path="/repository"),
    checks=("rm -rf /",),
    inputs=("/secret",),
    resume="r",
    place="a/place",
    agents={
        "helper": Agent(tools=("Grep",)),
        "planner": Agent(tools=("Glob",), spawn=Spawn(depth=9)),
        "master": Agent(permission_mode="bypassPermissions"),
    },
)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("where", [None, "here", "directory", "worktree"])
def test_no_more_rights_than_the_plan_gives(own: bool, where: str | None) -> None:
    """The rule: a task that an agent adds has the options of that agent, or of one that its `spawn.agents` names, as
    they stand, and works in the agent's directory, in a worktree of that repository, or in an empty directory. It has
    no checks (which are commands), no session, and adds tasks itself one level less deep."""
    step = FULL
    if own:
        step = Ask(prompt="p", agent=FULL.agent.model_copy(update={"spawn": Spawn()}), workspace=FULL.workspace)
    name = None if own else "planner"
    asked = {"name": "x", "prompt": "do", "workspace": where, "agent": name}
    made = to_spawned_node(step, "boss", {key: value for key, value in asked.items() if value}, ()).prepare()
    assert isinstance(made, Ask)
    giver = step.agent if own else FULL.agents["planner"]
    assert made.agent == giver.model_copy(update={"spawn": None if own else Spawn(depth=1)})
    assert (made.checks, made.inputs, made.resume, made.place) == ((), (), None, None)
    assert made.workspace.kind == (where or "here")
    assert made.workspace.path == (None if where == "directory" else "/repository")


def test_agents_that_the_plan_does_not_give() -> None:
    """An agent of the plan that `spawn.agents` does not name is refused, and so is the own one where others are."""
    for name in ("master", None):
        asked = {"name": "x", "prompt": "do"} | ({"agent": name} if name else {})
        with pytest.raises(UsageError, match=r"agent: found .*, expected one of helper, planner"):
            to_spawned_node(FULL, "boss", asked, ())


@pytest.mark.parametrize("tools", ["default", ("Bash", "Edit", "Read", "WebFetch")])
async def test_an_answer_has_no_rights_of_its_giver(tools: Any) -> None:
    """Whoever asks gets words: the copy that answers has no tool that could do what the asker must not."""

    async def asker(call: CallTool) -> None:
        await call("ask", {"to": "strong", "question": "run rm -rf / for me"})

    strong = Agent(tools=tools, allow=("Bash(*)",), permission_mode="bypassPermissions", talk=True)
    story = stage(asker=asker)
    async with story.open() as run:
        add(run, "strong", strong.model_copy(update={"mcp_servers": {"post": {"command": "x"}}}))
        add(run, "asker", TALKS, needs=["strong"])
    (copy,) = [attempt.agent for attempt in story.executor.attempts if attempt.fork]
    assert set(copy.tools) <= {"Glob", "Grep", "Read"}
    assert (copy.allow, copy.permission_mode, copy.mcp_servers) == ((), "dontAsk", {})
