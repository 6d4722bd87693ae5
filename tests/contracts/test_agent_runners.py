"""The agent runners keep the contract: the real one with a fake CLI through the SDK, and the scripted one."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.claude import open_claude
from orchestrator.plan.model import Agent
from orchestrator.protocols import AgentRunner, CallTool, Emit, no_tools
from orchestrator.task import Attempt, Outcome, Result
from orchestrator.testing import Reply, ScriptedAgent, check_agent_runner, fake_claude_path
from orchestrator.testing.agent_runners import CHECKS, Check, check_times_out
from workspaces import Workspace, WorkspaceSpec

pytestmark = [
    pytest.mark.anyio,
    # The SDK's reader leaves a generator of its own unfinished when it is cancelled; trio says so.
    pytest.mark.filterwarnings("ignore:Async generator 'claude_agent_sdk:ResourceWarning"),
]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Without the jumping clock: the fake CLI is a process."""
    return request.param


@pytest.fixture
def attempt() -> Attempt:
    return Attempt(
        run="check-1",
        task="one",
        number=1,
        prompt="say all is well",
        agent=Agent(),
        workspace=WorkspaceSpec(),
        session_id="5a0c7f9e-0000-4000-8000-000000000001",
    )


@pytest.fixture(params=["claude", "scripted"])
async def runner(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AgentRunner]:
    if request.param == "scripted":
        yield ScriptedAgent(lambda _: Reply("all is well", seconds=0.05))
        return
    monkeypatch.setenv("ORCHESTRATOR_CLAUDE", str(fake_claude_path(tmp_path)))
    async with open_claude() as claude:
        yield claude


@pytest.mark.parametrize("check", CHECKS)
async def test_agent_runner_keeps(runner: AgentRunner, attempt: Attempt, tmp_path: Path, check: Check) -> None:
    """Each runner keeps each promise."""
    await check(runner, attempt, Workspace(path=tmp_path))


async def test_whole_agent_runner_contract_in_one_call(runner: AgentRunner, attempt: Attempt, tmp_path: Path) -> None:
    """`check_agent_runner` runs all of it on one runner."""
    await check_agent_runner(runner, attempt, Workspace(path=tmp_path))


@pytest.mark.parametrize("kind", ["claude", "scripted"])
async def test_each_runner_times_out(
    kind: str, attempt: Attempt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each runner heeds the attempt's timeout."""
    monkeypatch.setenv("ORCHESTRATOR_CLAUDE", str(fake_claude_path(tmp_path)))
    async with open_claude() as claude:
        slow = ScriptedAgent(lambda _: Reply(seconds=100))
        runner = claude if kind == "claude" else slow
        await check_times_out(runner, replace(attempt, prompt="hang"), Workspace(path=tmp_path))


class Mute:
    """Emits nothing."""

    async def run(self, attempt: Attempt, workspace: Workspace, emit: Emit, call: CallTool = no_tools) -> Result:
        return Result(task=attempt.task, outcome=Outcome.OK, session_id=attempt.session_id)


async def test_agent_runner_contract_finds(attempt: Attempt, tmp_path: Path) -> None:
    """The suite fails for a runner that emits nothing."""
    with pytest.raises(AssertionError, match="nothing was emitted"):
        await check_agent_runner(Mute(), attempt, Workspace(path=tmp_path))
