"""One attempt from its workspace's making to its putting away: what an executor does, on whatever machine."""

from collections.abc import Mapping
from dataclasses import replace

import anyio

from orchestrator.checks import Ask, RunCheck, Time, ask_until_checked, run_check
from orchestrator.events import WorkspaceClosed, WorkspaceOpened
from orchestrator.protocols import AgentRunner, CallTool, Emit, no_tools
from orchestrator.task import Attempt, Outcome, Result, WorkspaceInfo
from workspaces import Workspace, WorkspaceError, WorkspaceProvider


async def work(
    attempt: Attempt,
    emit: Emit,
    runner: AgentRunner,
    providers: Mapping[str, WorkspaceProvider],
    check: RunCheck = run_check,
    call: CallTool = no_tools,
) -> Result:
    """Runs the attempt in its workspace. Every failure is a result with its outcome; only cancellation gets out."""
    started = anyio.current_time()
    workspace: Workspace | None = None
    result = Result(task=attempt.task, outcome=Outcome.WORKSPACE)
    try:
        async with providers[attempt.workspace.kind].open(attempt.workspace, attempt.name) as workspace:
            emit(opened(attempt, workspace))
            # Still open between the rounds: what git ignores, as node_modules, is gone once a worktree is put away.
            time = Time(attempt.timeout)
            ask = asking(workspace, runner, time.pauses.calling(call))
            result = await ask_until_checked(attempt, workspace.path, emit, ask, check, time)
    except (WorkspaceError, OSError, ValueError) as error:
        # What the agent gave is kept, but work that could not be put away is no success.
        outcome = Outcome.WORKSPACE if result.ok else result.outcome
        result = replace(result, outcome=outcome, error="; ".join(filter(None, [result.error, str(error)])))
    finally:
        if workspace is not None:
            emit(closed(attempt, workspace))
    return replace(result, workspace=info(attempt, workspace), duration=anyio.current_time() - started)


def asking(workspace: Workspace, runner: AgentRunner, call: CallTool = no_tools) -> Ask:
    """Runs an agent in the workspace."""

    async def ask(attempt: Attempt, emit: Emit) -> Result:
        return await runner.run(attempt, workspace, emit, call)

    return ask


def opened(attempt: Attempt, workspace: Workspace) -> WorkspaceOpened:
    return WorkspaceOpened(
        task=attempt.task,
        attempt=attempt.number,
        workspace=attempt.workspace.kind,
        path=str(workspace.path),
        branch=workspace.branch,
        base=workspace.base,
        name=attempt.name,
        origin=attempt.workspace.path,
    )


def closed(attempt: Attempt, workspace: Workspace) -> WorkspaceClosed:
    return WorkspaceClosed(
        task=attempt.task,
        attempt=attempt.number,
        branch=workspace.branch,
        commit=workspace.commit,
        changed=list(workspace.changed),
    )


def info(attempt: Attempt, workspace: Workspace | None) -> WorkspaceInfo | None:
    """What the workspace was and what is left there; None when it could not be made."""
    if workspace is None:
        return None
    return WorkspaceInfo(
        kind=attempt.workspace.kind,
        path=str(workspace.path),
        branch=workspace.branch,
        base=workspace.base,
        commit=workspace.commit,
        changed=workspace.changed,
        name=attempt.name,
        origin=attempt.workspace.path,
    )
