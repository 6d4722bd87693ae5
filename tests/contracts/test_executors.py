"""The executors keep the contract: the local one with a scripted agent, and the scripted one, made for tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from orchestrator.events import WorkspaceClosed, WorkspaceOpened
from orchestrator.executors.local import LocalExecutor
from orchestrator.plan.model import Agent
from orchestrator.protocols import CallTool, Emit, Executor, no_tools
from orchestrator.task import Attempt, Outcome, Result
from orchestrator.testing import Reply, ScriptedAgent, ScriptedChecks, ScriptedExecutor, check_executor
from orchestrator.testing.executors import CHECKS, Check
from orchestrator.testing.samples import Collected
from workspaces import Workspace, WorkspaceError, WorkspaceSpec, providers
from workspaces.testing import FakeWorkspaces

pytestmark = pytest.mark.anyio


@pytest.fixture
def attempt() -> Attempt:
    return Attempt(
        run="check-1",
        task="one",
        number=1,
        prompt="Work.",
        agent=Agent(),
        workspace=WorkspaceSpec(kind="directory"),
        session_id="5a0c7f9e-0000-4000-8000-000000000001",
    )


@pytest.fixture(params=["local", "scripted"])
def executor(request: pytest.FixtureRequest, tmp_path: Path) -> Executor:
    def reply(_: Attempt) -> Reply:
        return Reply("done", seconds=2.0)

    if request.param == "scripted":
        return ScriptedExecutor(reply)
    # The clock jumps over the time that a real command would take.
    return LocalExecutor(ScriptedAgent(reply), providers(tmp_path), ScriptedChecks())


@pytest.mark.parametrize("check", CHECKS)
async def test_executor_keeps(executor: Executor, attempt: Attempt, check: Check) -> None:
    """Each executor keeps each promise."""
    await check(executor, attempt)


async def test_whole_executor_contract_in_one_call(executor: Executor, attempt: Attempt) -> None:
    """`check_executor` runs all of it on one executor."""
    await check_executor(executor, attempt)


class Mixes:
    """Gives everybody the first one's result."""

    def __init__(self) -> None:
        self.inner = ScriptedExecutor()
        self.first: Result | None = None

    async def run(self, attempt: Attempt, emit: Emit, call: CallTool = no_tools) -> Result:
        self.first = self.first or await self.inner.run(attempt, emit)
        return self.first


class Swallows:
    """Makes a result of a cancellation."""

    async def run(self, attempt: Attempt, emit: Emit, call: CallTool = no_tools) -> Result:
        try:
            return await ScriptedExecutor(lambda _: Reply(seconds=1.0)).run(attempt, emit)
        except BaseException:
            return Result(task=attempt.task, outcome=Outcome.CANCELLED)


class Believes:
    """Runs no checks."""

    async def run(self, attempt: Attempt, emit: Emit, call: CallTool = no_tools) -> Result:
        script = ScriptedExecutor(lambda _: Reply("done", seconds=2.0))
        return await script.run(replace(attempt, checks=()), emit)


@pytest.mark.parametrize("bad", [Mixes, Swallows, Believes])
async def test_executor_contract_finds(bad: type[Executor], attempt: Attempt) -> None:
    """The suite fails for an executor that mixes up results, swallows a cancellation, or runs no checks."""
    with pytest.raises((AssertionError, BaseExceptionGroup)):
        await check_executor(bad(), attempt)


async def test_local_executor_tells_of_an_unknown_kind_of_workspace(tmp_path: Path, attempt: Attempt) -> None:
    """A kind that no provider has is a result that says which there are, and the agent is not asked."""
    agent = ScriptedAgent()
    result = await LocalExecutor(agent, {"fake": FakeWorkspaces(tmp_path)}).run(attempt, Collected())
    assert result.outcome is Outcome.WORKSPACE
    assert "expected one of fake" in (result.error or "")
    assert not agent.attempts


async def test_local_executor_tells_of_a_workspace_that_cannot_be_made(tmp_path: Path, attempt: Attempt) -> None:
    """A workspace that is refused is a result with the provider's words."""
    workspaces = FakeWorkspaces(tmp_path)
    workspaces.refuses.add("check-1/one")
    result = await LocalExecutor(ScriptedAgent(), {"directory": workspaces}).run(attempt, Collected())
    assert result.outcome is Outcome.WORKSPACE
    assert "refused" in (result.error or "")
    assert result.workspace is None


class Writer(ScriptedAgent):
    """Leaves a file behind."""

    async def run(self, attempt: Attempt, workspace: Workspace, emit: Emit, call: CallTool = no_tools) -> Result:
        (workspace.path / "new.txt").write_text("x")
        return await super().run(attempt, workspace, emit)


async def test_local_executor_tells_where_the_work_is(tmp_path: Path, attempt: Attempt) -> None:
    """The result, and an event before the agent's first, name the workspace; the result also what changed there."""
    events = Collected()
    result = await LocalExecutor(Writer(), {"directory": FakeWorkspaces(tmp_path)}).run(attempt, events)
    assert result.workspace is not None
    assert result.workspace.changed == ("new.txt",)
    assert isinstance(events[0], WorkspaceOpened)
    assert events[0].path == result.workspace.path


async def test_local_executor_keeps_what_the_agent_gave_when_the_work_cannot_be_put_away(
    tmp_path: Path, attempt: Attempt
) -> None:
    """A good answer whose work could not be put away is no success, but its words and costs are there."""

    class Sticky(FakeWorkspaces):
        @asynccontextmanager
        async def open(self, spec: WorkspaceSpec, name: str) -> AsyncIterator[Workspace]:
            async with super().open(spec, name) as workspace:
                yield workspace
            raise WorkspaceError("The disk is full.")

    agent = ScriptedAgent(lambda _: Reply("done", cost_usd=0.5))
    result = await LocalExecutor(agent, {"directory": Sticky(tmp_path)}).run(attempt, Collected())
    assert (result.outcome, result.text, result.cost_usd) == (Outcome.WORKSPACE, "done", 0.5)
    assert "The disk is full." in (result.error or "")


def steps(events: Collected) -> list[tuple[type, int]]:
    """The openings and closings of workspaces, each with the number of its attempt."""
    return [(type(event), event.attempt) for event in events if isinstance(event, WorkspaceOpened | WorkspaceClosed)]


async def run_two(executor: LocalExecutor, one: Attempt, other: Attempt) -> tuple[list[Result], Collected]:
    """Runs two attempts at once."""
    events, results = Collected(), []

    async def run(attempt: Attempt) -> None:
        results.append(await executor.run(attempt, events))

    async with anyio.create_task_group() as group:
        group.start_soon(run, one)
        group.start_soon(run, other)
    return results, events


async def test_local_executor_opens_a_workspace_for_one_at_a_time(tmp_path: Path, attempt: Attempt) -> None:
    """Of two tasks in one workspace the second opens it when the first has closed it; waiting is no work."""
    agent = ScriptedAgent(lambda _: Reply(seconds=60.0))
    executor = LocalExecutor(agent, {"directory": FakeWorkspaces(tmp_path)})
    other = replace(attempt, task="two", number=2, place=attempt.name, timeout=90.0)
    results, events = await run_two(executor, attempt, other)
    assert [result.outcome for result in results] == [Outcome.OK, Outcome.OK]
    (_, one), (_, _), (_, two), (_, _) = steps(events)
    assert steps(events) == [(kind, each) for each in (one, two) for kind in (WorkspaceOpened, WorkspaceClosed)]
    assert {one, two} == {1, 2}
    assert [result.duration for result in results] == [pytest.approx(60.0), pytest.approx(60.0)]


@pytest.mark.parametrize("apart", ["other workspaces", "here"])
async def test_local_executor_makes_nobody_wait_for_nothing(tmp_path: Path, attempt: Attempt, apart: str) -> None:
    """Tasks in workspaces of their own, and those that share the directory that is there, are at work together."""
    agent = ScriptedAgent(lambda _: Reply(seconds=60.0))
    kind = "here" if apart == "here" else "directory"
    executor = LocalExecutor(agent, {kind: FakeWorkspaces(tmp_path)})
    one = replace(attempt, workspace=WorkspaceSpec(kind=kind))
    await run_two(executor, one, replace(one, task="two", place=one.name if apart == "here" else None))
    assert agent.most_at_once == 2


async def test_local_executor_goes_on_when_who_waits_is_cancelled(tmp_path: Path, attempt: Attempt) -> None:
    """A task that is cancelled while it waits for a workspace never opens it, and leaves it to the next."""
    workspaces = FakeWorkspaces(tmp_path)
    executor = LocalExecutor(ScriptedAgent(lambda _: Reply(seconds=60.0)), {"directory": workspaces})
    async with anyio.create_task_group() as group:
        group.start_soon(executor.run, attempt, Collected())
        with anyio.move_on_after(30.0) as waiting:
            await anyio.sleep(1.0)
            await executor.run(attempt, Collected())
        assert waiting.cancelled_caught
    assert len(workspaces.opened) == 1
    assert (await executor.run(attempt, Collected())).ok
