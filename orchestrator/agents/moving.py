"""Takes a CLI that has nothing to do to another directory: the one place that goes behind the SDK's public face.

The CLI's control requests for it are known to the TypeScript SDK and marked internal. What is found of them here is
asked for before it is used, and whoever cannot be moved stays where it is.

There are two ways, and in the first conversation both come to what a process says that was started there (CLI 2.1.329):
one that has been asked before is moved (`set_cwd`), and one that was started ahead, parked, is claimed. A claim starts
MCP servers too, and refuses where it would leave out what a start does, as in a place whose settings set variables.
"""

from pathlib import Path
from typing import Any

from claude_agent_sdk import ClaudeSDKClient


async def move(client: ClaudeSDKClient, directory: Path) -> bool:
    """Has the CLI work in the directory from now on; gives whether it does. Raises what the SDK does.

    The conversation that it is in goes along, and is told of the move: it has to be cleared afterwards. What the CLI
    then says is the same as in the first conversation of a process that was started there (CLI 2.1.329). It goes only
    where it is told that the place is trusted, and lets the settings there allow what they name: see `kinds`.
    """
    answer = await request(client, {"subtype": "set_cwd", "path": str(directory)})
    if answer.get("status") == "needs_trust":
        trusted = {"trust_accepted": True, "trusted_directory": answer.get("directory")}
        answer = await request(client, {"subtype": "set_cwd", "path": str(directory), **trusted})
    return answer.get("status") == "ok" and bool(answer.get("changed"))


PARKED: dict[str, str | None] = {"await-claim": None}
"""Arguments of a CLI that is to be claimed."""


async def claim(client: ClaudeSDKClient, directory: Path) -> str | None:
    """Has a parked CLI begin in the directory; gives the session that it is in, and None when it does not begin.

    What it remembers of a place it reads then, and not when it was started. It is told nothing of trust: a place that
    nobody has trusted stays so, as for a process that was started there, or its settings would allow what they name
    to the agent. Raises what the SDK does.
    """
    answer = await request(client, {"subtype": "claim_session", "cwd": str(directory)})
    return str(answer.get("session_id")) if answer.get("status") == "ok" else None


async def request(client: ClaudeSDKClient, asked: dict[str, Any]) -> dict[str, Any]:
    """The CLI's answer; nothing from an SDK that has changed inside."""
    send = getattr(getattr(client, "_query", None), "_send_control_request", None)
    return await send(asked) or {} if callable(send) else {}
