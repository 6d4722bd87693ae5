"""The contract that every agent runner keeps.

@pytest.mark.anyio
@pytest.mark.parametrize("check", CHECKS)
async def test_contract(check, tmp_path):
    await check(MyRunner(), attempt, Workspace(path=tmp_path))
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from orchestrator.protocols import AgentRunner, Emit
from orchestrator.task import Attempt, Outcome, Result
from orchestrator.testing.running import PROMISES, Promise
from workspaces import Workspace

Check = Callable[[AgentRunner, Attempt, Workspace], Awaitable[None]]


def _check(promise: Promise) -> Check:
    async def check(runner: AgentRunner, attempt: Attempt, workspace: Workspace) -> None:
        async def run(attempt: Attempt, emit: Emit) -> Result:
            return await runner.run(attempt, workspace, emit)

        await promise(run, attempt)

    check.__name__, check.__doc__ = f"check_{promise.__name__}", promise.__doc__
    return check


CHECKS: tuple[Check, ...] = tuple(map(_check, PROMISES))
"""What every agent runner promises, of an attempt that succeeds."""


async def check_times_out(runner: AgentRunner, attempt: Attempt, workspace: Workspace) -> None:
    """An attempt that takes longer than its `timeout`, here half a second, is a TIMEOUT that names its session."""
    result = await runner.run(replace(attempt, timeout=0.5), workspace, lambda _: None)
    assert result.outcome is Outcome.TIMEOUT, f"{result.outcome}: {result.error}"
    assert result.session_id == attempt.session_id
    assert "0.5 s" in (result.error or "")


async def check_agent_runner(runner: AgentRunner, attempt: Attempt, workspace: Workspace) -> None:
    """The whole contract, with an attempt that succeeds. Raises AssertionError with what was not kept."""
    for check in CHECKS:
        await check(runner, attempt, workspace)
