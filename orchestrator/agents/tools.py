"""The run's tools for an attempt's agent: an MCP server in this process, which its CLI speaks to through the SDK."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from claude_agent_sdk import SdkMcpTool, create_sdk_mcp_server

from orchestrator.errors import OrchestratorError
from orchestrator.plan.model import Agent
from orchestrator.protocols import CallTool, no_tools
from orchestrator.tools import PREFIX, SERVER, Tool, tools_of

LONGEST_CALL = 7 * 24 * 3600 * 1000
"""Milliseconds that the CLI waits for a call: an agent may wait for others, whose own limits bound it."""


@dataclass(slots=True)
class Calls:
    """What the tools of a process do, which may be said only once they are there."""

    call: CallTool = no_tools

    async def __call__(self, tool: str, given: Mapping[str, Any]) -> Any:
        """A `CallTool`."""
        return await self.call(tool, given)


def run_server(agent: Agent, call: CallTool) -> dict[str, Any]:
    """The server by its name, for the SDK's `mcp_servers`; nothing for an agent that may not use any of the tools."""
    tools = tools_of(agent)
    if not tools:
        return {}
    server = create_sdk_mcp_server(SERVER, tools=[to_sdk_tool(tool, call) for tool in tools])
    # The timeout here wins over MCP_TOOL_TIMEOUT; a call moved to the background would be told of after the result.
    return {SERVER: {**server, "timeout": LONGEST_CALL, "disableAutoBackground": True}}


def allowed(agent: Agent) -> list[str]:
    """Permission rules that let the calls through: nobody is there to be asked."""
    return [PREFIX + tool.name for tool in tools_of(agent)]


def to_sdk_tool(tool: Tool, call: CallTool) -> SdkMcpTool[Any]:
    """The tool as the SDK takes it. What cannot be done is told to the agent, which can do something about it."""

    async def handle(given: dict[str, Any]) -> dict[str, Any]:
        try:
            return told(await call(tool.name, given))
        except OrchestratorError as error:
            return told(str(error)) | {"is_error": True}
        except Exception as error:
            return told(f"{tool.name}: {type(error).__name__}: {error}") | {"is_error": True}

    return SdkMcpTool(tool.name, tool.description, dict(tool.schema), handle)


def told(answer: Any) -> dict[str, Any]:
    """An answer of plain data, as the content of a tool's result."""
    said = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False, indent=1)
    return {"content": [{"type": "text", "text": said}]}
