"""The plainest pool of warm processes: `python -m tests.benchmarks.speed.pool AGENTS WIDTH`.

WIDTH clients, no more of them starting at once than there are cores; `/clear` between one task and the next.
No journal, no limits, no checks, no process tree: what speed costs if nothing else is wanted.
"""

import os
import sys
from collections.abc import Iterator

import anyio
from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient, ResultMessage


async def ask(client: ClaudeSDKClient, prompt: str) -> bool:
    """Whether the answer is a good one."""
    await client.query(prompt)
    results = [message async for message in client.receive_response() if isinstance(message, ResultMessage)]
    return not results[-1].is_error


async def serve(prompts: Iterator[str], starting: anyio.Semaphore, failed: list[str]) -> None:
    """Takes one prompt after the other, until there is none left."""
    options = ClaudeAgentOptions(
        system_prompt={"type": "preset", "preset": "claude_code"},
        tools=["Read", "Bash"],
        allowed_tools=["Read", "Bash"],
        setting_sources=["project"],
    )
    client = ClaudeSDKClient(options)
    async with starting:
        await client.connect()
    try:
        for prompt in prompts:
            if not await ask(client, prompt):
                failed.append(prompt)
            await ask(client, "/clear")
    finally:
        await client.disconnect()


async def main(agents: int, width: int) -> None:
    prompts, starting = (f"What is {number} * 3?" for number in range(agents)), anyio.Semaphore(os.cpu_count() or 1)
    failed: list[str] = []
    async with anyio.create_task_group() as group:
        for _ in range(width):
            group.start_soon(serve, prompts, starting, failed)
    sys.exit(bool(failed))


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]), int(sys.argv[2]))
