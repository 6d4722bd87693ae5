"""Takes a CLI that has nothing to do to another directory: the one place that goes behind the SDK's public face.

The CLI's control requests for it are known to the TypeScript SDK and marked internal. What is found of them here is
asked for before it is used, and whoever cannot be moved stays where it is.
"""

from pathlib import Path
from typing import Any

from claude_agent_sdk import ClaudeSDKClient


async def move(client: ClaudeSDKClient, directory: Path) -> bool:
    """Has the CLI work in the directory from now on; gives whether it does. Raises what the SDK does.

    The conversation that it is in goes along, and is told of the move: it has to be cleared afterwards. What the CLI
    then says is the same as in the first conversation of a process that was started there (CLI 2.1.329).
    """
    answer = await request(client, {"subtype": "set_cwd", "path": str(directory)})
    if answer.get("status") == "needs_trust":
        trusted = {"trust_accepted": True, "trusted_directory": answer.get("directory")}
        answer = await request(client, {"subtype": "set_cwd", "path": str(directory), **trusted})
    return answer.get("status") == "ok" and bool(answer.get("changed"))


async def request(client: ClaudeSDKClient, asked: dict[str, Any]) -> dict[str, Any]:
    """The CLI's answer; nothing from an SDK that has changed inside."""
    send = getattr(getattr(client, "_query", None), "_send_control_request", None)
    return await send(asked) or {} if callable(send) else {}
