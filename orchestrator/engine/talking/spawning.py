"""Tasks that agents add to their run, as nodes of it."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.engine.script.asking import Setting, title, to_resuming_node
from orchestrator.engine.script.returns import to_reading
from orchestrator.engine.steps import Ask, Node
from orchestrator.errors import UsageError
from orchestrator.plan.model import Agent, Spawn
from orchestrator.plan.words import describe, did_you_mean, listed
from orchestrator.prompts import asked_by
from orchestrator.task import Result, Task
from orchestrator.tools import NAME
from workspaces import WorkspaceSpec


def to_spawned_node(step: Ask, task: str, asked: Mapping[str, Any], needs: tuple[str, ...]) -> Node:
    """The node that the agent at work on `task`, which does `step`, wants. Raises UsageError for what it may not."""
    if not re.fullmatch(NAME, asked["name"]):  # which the schema's pattern is not, where a line break follows
        raise UsageError(f"name: found {describe(asked['name'])}, expected letters, digits, dashes and underscores")
    schema, _ = to_reading(asked.get("returns"), Path())
    child = replace(
        step,
        prompt=asked["prompt"],
        agent=agent_for(step, asked.get("agent")),
        workspace=workspace_for(step.workspace, asked.get("workspace")),
        schema=schema,
        parse=None,
        checks=(),
        inputs=(),
        resume=None,
        fork=False,
        after=None,
        place=None,
        rehearsal=None,
    )
    return Node(
        id=f"{task}.{asked['name']}",
        title=title(child.prompt),
        kind="agent",
        prepare=lambda: child,
        needs=needs,
        parent=task,
        agent=asked.get("agent"),
        runs=child.agent,
        named=needs,
        talk=child.agent.talk,
    )


def agent_for(step: Ask, name: str | None) -> Agent:
    """Who does a task that the step's agent adds. Raises UsageError for one that it may not have."""
    spawn = step.agent.spawn
    assert spawn is not None
    if name is None and not spawn.agents:
        return bounded(step.agent, spawn)
    if name not in spawn.agents:
        there = f"expected one of {listed(spawn.agents)}" if spawn.agents else "expected none: it has your own options"
        raise UsageError(f"agent: found {describe(name)}{did_you_mean(name or '', spawn.agents)}, {there}")
    if name not in step.agents:
        raise UsageError(f"agent: found {describe(name)}, and this run has no agent of that name")
    return bounded(step.agents[name], spawn)


def bounded(agent: Agent, spawn: Spawn) -> Agent:
    """The agent, which may add tasks one level less deep than the one that adds it; or none."""
    own = agent.spawn
    depth = min(own.depth, spawn.depth - 1) if own else 0
    return agent.model_copy(update={"spawn": own.model_copy(update={"depth": depth}) if own and depth else None})


def workspace_for(spec: WorkspaceSpec, kind: str | None) -> WorkspaceSpec:
    """Where a task works that an agent adds which works there. Raises UsageError for what would be too much."""
    match kind:
        case None:
            return spec
        case "here" if spec.kind != "here":
            why = "you work in a place of your own, and so does what you add"
            raise UsageError(f"workspace: found here, expected directory, worktree or nothing: {why}")
        case "directory":
            return WorkspaceSpec(kind="directory")
        case "worktree" if spec.path is None:
            raise UsageError("workspace: found worktree, expected directory or nothing: you work in no repository")
        case _:
            return replace(spec, kind=kind)


READING = ("Glob", "Grep", "Read")
"""Tools that change nothing, and reach nobody."""


def reading_only(agent: Agent) -> Agent:
    """The agent, which can do no more than look and speak."""
    has = READING if agent.tools == "default" else agent.tools
    keeps = {
        "tools": tuple(tool for tool in has if tool in READING),
        "allow": (),
        "permission_mode": "dontAsk",
        "mcp_servers": {},
        "talk": False,
        "spawn": None,
    }
    return agent.model_copy(update=keeps)


def to_answering_node(asker: str, child: str, question: str, other: Ask, result: Result) -> Node:
    """The node in which a copy of another task's session answers. Raises UsageError when that has none.

    The copy has none of the run's tools: it answers, and asks nobody in turn. Of its other tools it has those that only
    read: else whoever asks could have done what its own options do not allow, under the other's name.
    """
    agent = reading_only(other.agent)
    prompt, rehearsal = asked_by(asker, question), other.rehearsal
    task = Task(prompt, agent=agent, retries=other.retries, timeout=other.timeout, rehearsal=rehearsal)
    setting = Setting(agent=agent, workspace=other.workspace, directory=Path.cwd())
    node = to_resuming_node(task, child, setting, result, fork=True)
    return replace(node, title=title(question), parent=asker)
