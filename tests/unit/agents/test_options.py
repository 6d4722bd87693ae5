"""An attempt's options, as the SDK is given them."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.opening import Opening
from orchestrator.agents.options import environment, to_options
from orchestrator.agents.tools import to_sdk_tool
from orchestrator.errors import UsageError
from orchestrator.plan.model import Agent, Spawn
from orchestrator.processes.den import Den
from orchestrator.protocols import Emit, ignore
from orchestrator.task import Attempt
from orchestrator.tools import SPAWN, TALK
from workspaces import WorkspaceSpec

DEN = Den(Path("/den"))


class Upstream:
    """Points CLIs at a server of ours."""

    env = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:1", "ANTHROPIC_API_KEY": "none"}  # noqa: RUF012

    account = False

    def announce(self, attempt: Attempt, emit: Emit = ignore) -> None:
        """Nobody listens."""


def attempt(kind: str = "here", schema: Any = None, **agent: Any) -> Attempt:
    spec = WorkspaceSpec(kind=kind)
    return Attempt(
        run="r", task="t", number=1, prompt="p", agent=Agent(**agent), workspace=spec, session_id="s", schema=schema
    )


FRESH = Opening(how="fresh", session_id="s", prompt="p")
CONFIG = {"CLAUDE_CONFIG_DIR": "/den/config/s"}


def options(
    kind: str = "here", schema: Any = None, upstream: Any = None, opening: Opening = FRESH, **agent: Any
) -> Any:
    return to_options(attempt(kind, schema, **agent), opening, Path("/place"), DEN, CONFIG, upstream)


@pytest.mark.parametrize(
    ("kind", "own", "mode"),
    [
        ("here", None, "dontAsk"),
        ("directory", None, "acceptEdits"),
        ("worktree", None, "acceptEdits"),
        ("here", "bypassPermissions", "bypassPermissions"),
        ("worktree", "plan", "plan"),
    ],
)
def test_permission_mode(kind: str, own: str | None, mode: str) -> None:
    """In a place of its own an agent may edit; the agent's own mode comes first."""
    assert options(kind, permission_mode=own).permission_mode == mode


def test_tools() -> None:
    """An agent has the tools that its options name, and those alone."""
    named = options(tools=["Read"], allow=["Bash(ls)"], deny=["Read(/etc/*)"])
    assert (named.tools, named.allowed_tools, named.disallowed_tools) == (["Read"], ["Bash(ls)"], ["Read(/etc/*)"])
    assert "Bash" in options().tools
    assert "Agent" not in options().tools


def test_the_default_tools_start_no_agents() -> None:
    """With the CLI's own set, tools that start or wake agents are off unless `allow` names them."""
    default = options(tools="default")
    assert default.tools == {"type": "preset", "preset": "claude_code"}
    assert {"Agent", "Workflow", "SendMessage", "ScheduleWakeup"} <= set(default.disallowed_tools)
    allowed = options(tools="default", allow=["Agent(explorer)"])
    assert "Agent" not in allowed.disallowed_tools
    assert "Workflow" in allowed.disallowed_tools


def test_nothing_of_the_workspaces_mcp_servers(tmp_path: Path) -> None:
    """Only the servers that the agent names are started; a mapping goes into a private file, as it may hold secrets."""
    assert options().strict_mcp_config is True
    assert options().mcp_servers == {}
    assert options(mcp_servers="servers.json").mcp_servers == "servers.json"
    given = to_options(attempt(mcp_servers={"a": {"command": "b"}}), FRESH, tmp_path, Den(tmp_path), {}, None)
    assert json.loads(Path(given.mcp_servers).read_text()) == {"mcpServers": {"a": {"command": "b"}}}


def test_system_prompt() -> None:
    """Claude Code's own prompt, the same in every directory; or the agent's, with what is to be added."""
    preset = {"type": "preset", "preset": "claude_code", "exclude_dynamic_sections": True}
    assert options().system_prompt == preset
    assert options(append_system="More.").system_prompt == preset | {"append": "More."}
    assert options(system="Mine.").system_prompt == "Mine."
    assert options(system="Mine.", append_system="More.").system_prompt == "Mine.\n\nMore."


def test_limits_and_shape() -> None:
    """Limits, model, session, schema and the size of a line are handed on."""
    made = options(schema={"type": "object"}, model="opus", max_turns=3, usd=0.5, effort="low", settings=["user"])
    assert (made.model, made.max_turns, made.max_budget_usd, made.effort) == ("opus", 3, 0.5, "low")
    assert (made.session_id, made.cwd, made.setting_sources) == ("s", Path("/place"), ["user"])
    assert made.output_format == {"type": "json_schema", "schema": {"type": "object"}}
    assert made.max_buffer_size >= 64 * 1024 * 1024
    assert made.cli_path == Path("/den/claude")
    assert options().output_format is None


def test_how_the_session_begins() -> None:
    """A new session and a fork get their id; one that goes on keeps its own, and has a limit of its own."""
    forked = Opening(how="forked", session_id="s", prompt="p", resume="old", cost_usd=2.0)
    going_on = Opening(how="continued", session_id="old", prompt="p", resume="old", cost_usd=2.0)
    made = [options(opening=each, usd=0.5) for each in (FRESH, forked, going_on)]
    assert [(each.session_id, each.resume, each.fork_session) for each in made] == [
        ("s", None, False),
        ("s", "old", True),
        (None, "old", False),
    ]
    assert [each.max_budget_usd for each in made] == [0.5, 0.5, 0.5]


def test_the_sandbox_is_never_silently_off() -> None:
    """A sandbox that is asked for and not possible is refused by the CLI."""
    assert options().sandbox is None
    assert options(sandbox=True).sandbox == {"enabled": True, "failIfUnavailable": True}


def test_environment_without_an_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's account stays; the agent's own variables win over the quiet ones, never over the lease."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "user")
    agent = {"DISABLE_AUTOUPDATER": "0", "ORCHESTRATOR_LEASE": "x", "A": "b"}
    made = environment(attempt(env=agent), DEN, {**CONFIG, "ORCHESTRATOR_LEASE": "/den/s.lease"}, None)
    assert (made["DISABLE_AUTOUPDATER"], made["A"]) == ("0", "b")
    assert made["ORCHESTRATOR_LEASE"] == "/den/s.lease"
    assert made["ORCHESTRATOR_PARENT"] == str(os.getpid())
    assert "ANTHROPIC_API_KEY" not in made
    assert made["ORCHESTRATOR_DROP"] == ""


def test_environment_with_an_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an upstream of ours nothing of the user's account reaches the CLI, and its settings stay out."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "user")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "user")
    monkeypatch.setenv("CLAUDE_CODE_USE_BEDROCK", "1")
    monkeypatch.setenv("CLAUDE_CODE_KEPT", "user")
    made = environment(attempt(env={"CLAUDE_CODE_KEPT": "agent"}), DEN, CONFIG, Upstream())
    assert made["ANTHROPIC_API_KEY"] == "none"
    assert made["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:1"
    assert made["CLAUDE_CONFIG_DIR"] == "/den/config/s"
    assert made["CLAUDE_CODE_KEPT"] == "agent"
    assert set(made["ORCHESTRATOR_DROP"].split()) == {"ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_USE_BEDROCK"}


def test_an_agent_cannot_leave_its_upstream() -> None:
    """An agent's own variables do not lead it past the upstream."""
    made = environment(attempt(env={"ANTHROPIC_BASE_URL": "http://elsewhere"}), DEN, CONFIG, Upstream())
    assert made["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:1"


def test_the_runs_tools() -> None:
    """An agent that may talk or spawn has a server of ours, rules that let its calls through, and all in its sight."""
    assert options().mcp_servers == {}
    assert "ENABLE_TOOL_SEARCH" not in options().env
    both = options(talk=True, spawn=Spawn())
    (server,) = both.mcp_servers.values()
    assert server["type"] == "sdk"
    assert both.allowed_tools == [f"mcp__run__{tool.name}" for tool in (*TALK, *SPAWN)]
    assert options(spawn=Spawn()).allowed_tools == ["mcp__run__spawn_task", "mcp__run__await_tasks"]
    assert both.env["ENABLE_TOOL_SEARCH"] == "false"
    assert options(talk=True, env={"ENABLE_TOOL_SEARCH": "true"}).env["ENABLE_TOOL_SEARCH"] == "true"


def test_the_runs_tools_beside_the_agents_own_servers(tmp_path: Path) -> None:
    """The agent's own configuration is a file, as ever, and no part of the command line."""
    assert options(talk=True, mcp_servers="/own.json").extra_args == {"mcp-config": "/own.json"}
    assert options(mcp_servers="/own.json").extra_args == {}
    den = Den(tmp_path)
    den.servers("s").parent.mkdir(parents=True, exist_ok=True)
    made = to_options(
        attempt(talk=True, mcp_servers={"own": {"command": "x", "env": {"KEY": "secret"}}}),
        FRESH,
        Path("/place"),
        den,
        CONFIG,
        None,
    )
    assert "secret" in Path(made.extra_args["mcp-config"]).read_text()
    assert list(made.mcp_servers) == ["run"]


def test_an_agent_is_told_its_name() -> None:
    """It is told what it is called and which tools it has, behind what its options append; others are told nothing."""
    assert (
        options(talk=True, append_system="Be brief.")
        .system_prompt["append"]
        .startswith("Be brief.\n\nYou are the agent called `t`")
    )
    told = options(system="You test.", spawn=Spawn(count=3, agents=("q",))).system_prompt
    assert told.startswith("You test.\n\nYou are the agent called `t`")
    assert "3 at most" in told
    assert "The agents that you can choose from: q." in told
    assert options(system="You test.").system_prompt == "You test."


@pytest.mark.anyio
async def test_what_a_tool_gives() -> None:
    """An answer is text; what cannot be done, and a fault of ours, are errors that the agent can read."""

    async def call(tool: str, given: Any) -> Any:
        if tool == "publish":
            raise UsageError("no such key")
        if tool == "ask":
            raise ValueError("odd")
        return {"tool": tool, **given}

    handlers = {tool.name: to_sdk_tool(tool, call).handler for tool in TALK}
    text = (await handlers["lookup"]({"key": "k"}))["content"][0]["text"]
    assert json.loads(text) == {"tool": "lookup", "key": "k"}
    refused = await handlers["publish"]({})
    assert refused == {"content": [{"type": "text", "text": "no such key"}], "is_error": True}
    assert (await handlers["ask"]({}))["content"][0]["text"] == "ask: ValueError: odd"
