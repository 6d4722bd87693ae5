"""An attempt's options in the SDK's words, and the environment of its process."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from claude_agent_sdk import ClaudeAgentOptions
from claude_agent_sdk.types import SandboxSettings, SystemPromptPreset

from orchestrator.agents.opening import Opening
from orchestrator.agents.tools import allowed, run_server
from orchestrator.processes.den import Den
from orchestrator.protocols import CallTool, Upstream, no_tools
from orchestrator.task import Attempt
from orchestrator.tools import introduction, tools_of

LINE_LIMIT = 64 * 1024 * 1024
"""Bytes that one message may have. The SDK's 1 MiB is exceeded by an image that an agent reads."""

ADDRESSES = ("ANTHROPIC_BASE_URL", "ANTHROPIC_BEDROCK_BASE_URL", "ANTHROPIC_VERTEX_BASE_URL")
SANDBOX = {"enabled": True, "failIfUnavailable": True}
"""Without the second the CLI runs unsandboxed, with no more than a warning, where it cannot do it."""

QUIET = {
    "DISABLE_AUTOUPDATER": "1",
    # A shell or an agent left in the background would make a second result after the first.
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    # The agents of one run would all write the same notes in the user's folder, and read each other's.
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    # Without it the CLI does not notice, with a server that is not the API itself, that a stream has died.
    "CLAUDE_ENABLE_BYTE_WATCHDOG": "1",
    "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS": "300000",
}
"""Variables that an attempt's agent may set otherwise by its `env`."""

OUT_OF_HAND = (
    *(
        "Agent",
        "AskUserQuestion",
        "CronCreate",
        "CronDelete",
        "CronList",
        "EnterWorktree",
        "ExitWorktree",
        "ListAgents",
    ),
    *("Monitor", "ScheduleWakeup", "SendMessage", "Task", "TaskStop", "Workflow"),
)


def to_options(
    attempt: Attempt,
    opening: Opening,
    cwd: Path,
    den: Den,
    config: Mapping[str, str],
    upstream: Upstream | None,
    call: CallTool = no_tools,
) -> ClaudeAgentOptions:
    """What the SDK is given. `config`: the variables that lead the CLI to its state, its lease and its lock."""
    agent = attempt.agent
    ours, own = run_server(agent, call), mcp_configuration(attempt, den)
    return ClaudeAgentOptions(
        cli_path=den.launcher,
        cwd=cwd,
        env=environment(attempt, den, config, upstream),
        max_buffer_size=LINE_LIMIT,
        session_id=None if opening.how == "continued" else opening.session_id,
        resume=opening.resume,
        fork_session=opening.how == "forked",
        model=agent.model,
        fallback_model=agent.fallback_model,
        effort=agent.effort,
        max_turns=agent.max_turns,
        max_budget_usd=agent.usd,  # the CLI counts what its own process spends, though it tells the sum of the session
        system_prompt=system_prompt(attempt),
        tools={"type": "preset", "preset": "claude_code"} if agent.tools == "default" else list(agent.tools),
        allowed_tools=[*agent.allow, *allowed(agent)],
        disallowed_tools=[*agent.deny, *unwanted(attempt)],
        permission_mode=attempt.permission_mode,  # type: ignore[arg-type]  # the model has checked it
        settings=str(den.settings),
        setting_sources=list(agent.settings),
        strict_mcp_config=True,
        mcp_servers=ours or own,
        extra_args={"mcp-config": str(own)} if ours and own else {},  # the CLI takes both
        sandbox=cast("SandboxSettings", SANDBOX) if agent.sandbox else None,
        output_format={"type": "json_schema", "schema": dict(attempt.schema)} if attempt.schema is not None else None,
    )


def write_settings(den: Den, upstream: Upstream | None) -> None:
    """Writes the settings that keep the CLI's requests where they belong.

    The workspace's own settings can set environment variables, and would win over those of the process: a repository
    could have the agents' requests, with the user's key, sent to any address.
    """
    addresses = {name: os.environ[name] for name in ADDRESSES if name in os.environ}
    kept = (
        dict(upstream.env) if upstream and not upstream.account else addresses | dict(upstream.env if upstream else {})
    )
    den.settings.write_text(json.dumps({"env": kept}), encoding="utf-8")


def mcp_configuration(attempt: Attempt, den: Den) -> dict[str, Any] | str:
    """The path of the attempt's MCP configuration; nothing when it has none."""
    servers = attempt.agent.mcp_servers
    if isinstance(servers, str) or not servers:
        return servers if isinstance(servers, str) else {}
    text = json.dumps({"mcpServers": servers})
    path = den.servers(hashlib.sha256(text.encode()).hexdigest())  # one for all that have the same
    if not path.exists():
        path.write_text(text, encoding="utf-8")
    return str(path)


def unwanted(attempt: Attempt) -> list[str]:
    """Tools of the CLI's own set that start, wake or message agents, or ask somebody: off unless allowed by name."""
    allowed = {rule.partition("(")[0] for rule in attempt.agent.allow}
    return [tool for tool in OUT_OF_HAND if tool not in allowed] if attempt.agent.tools == "default" else []


def system_prompt(attempt: Attempt) -> Any:
    """The agent's own prompt, or Claude Code's, with what differs from directory to directory moved out of it."""
    agent = attempt.agent
    appended = "\n\n".join(filter(None, [agent.append_system, introduction(attempt.task, agent)]))
    if agent.system is not None:
        return f"{agent.system}\n\n{appended}" if appended else agent.system
    preset = SystemPromptPreset(type="preset", preset="claude_code", exclude_dynamic_sections=True)
    return preset | {"append": appended} if appended else preset


def environment(attempt: Attempt, den: Den, config: Mapping[str, str], upstream: Upstream | None) -> dict[str, str]:
    """Variables on top of the orchestrator's own, which reach the CLI as they are. `config` leads to its state."""
    ours = {
        "CLAUDE_CODE_TMPDIR": str(den.temporary),
        "ORCHESTRATOR_PARENT": str(os.getpid()),
        **config,
        **(upstream.env if upstream else {}),
    }
    dropped = foreign_variables() if upstream and not upstream.account else []
    drop = [name for name in dropped if name not in ours | QUIET | attempt.agent.env]
    return {**QUIET, **shown_tools(attempt), **attempt.agent.env, **ours, "ORCHESTRATOR_DROP": " ".join(drop)}


def shown_tools(attempt: Attempt) -> dict[str, str]:
    """The run's tools are in the agent's sight from its start, and need not be searched for."""
    return {"ENABLE_TOOL_SEARCH": "false"} if tools_of(attempt.agent) else {}


def foreign_variables() -> list[str]:
    """What of the user's account and settings is in the environment."""
    return [name for name in os.environ if name.startswith(("ANTHROPIC_", "CLAUDE_"))]
