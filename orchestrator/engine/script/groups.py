"""A run inside a run: an open group that takes tasks as long as its block lasts."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from orchestrator.engine.script.asking import Setting, to_workspace
from orchestrator.engine.script.scope import Scope
from orchestrator.engine.steps import Expand, Node, sum_up
from orchestrator.engine.telling import told
from orchestrator.errors import UsageError
from orchestrator.plan.model import Agent
from orchestrator.plan.words import describe
from orchestrator.task import Outcome, Result
from workspaces import WorkspaceSpec


@asynccontextmanager
async def open_group(outer: Scope, key: str, setting: Setting) -> AsyncIterator[Scope]:
    """A scope for the tasks of a new group; leaving the block waits for them, an exception cancels them.

    Raises UsageError for a name that is taken.
    """
    name = outer.id(key, "group")
    broken: list[str] = []

    def gather(parts: Sequence[Result]) -> Result:
        if broken:
            return Result(task=name, outcome=Outcome.CANCELLED, error=f"its block was left: {broken[0]}")
        return sum_up(parts)

    opened = Expand((), gather=gather, more=True)
    outer.add([Node(id=name, title=key, kind="group", prepare=lambda: opened)])
    try:
        yield Scope(outer.core, setting, name)
        outer.core.extend(name, [], more=False)
        await outer.core.wait(name)
    except BaseException as error:
        broken.append(told(error) or type(error).__name__)
        stop(outer, name)
        raise


def stop(outer: Scope, group: str) -> None:
    """Ends the tasks of an open group, and lets no more in."""
    outer.core.cancel(group)
    state = outer.core.state.tasks[group]
    if state.more and state.parts:  # one without any has ended now
        with suppress(UsageError):  # the whole run may be at its end
            outer.core.extend(group, [], more=False)


def setting_of(outer: Setting, agent: Agent | None, workspace: WorkspaceSpec | str | Path | None) -> Setting:
    """What a group gives to its tasks that do not say otherwise. Raises UsageError."""
    if not isinstance(agent, Agent | None):
        raise UsageError(f"group: agent: found {describe(agent)}, expected an Agent, as Agent(model='sonnet')")
    return replace(outer, agent=agent or outer.agent, workspace=to_workspace(workspace, outer))
