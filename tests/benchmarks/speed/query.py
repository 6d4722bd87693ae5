"""`query()` for each agent: `python -m tests.benchmarks.speed.query WAY AGENTS WIDTH [DIRECTORY...]`.

WAY: `anyio`, a task group under a semaphore; `gather`, the same with asyncio's own. The agents are given what ours
have, Claude Code's prompt and two tools, and work in the directories in turn, or all in the current one.
"""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from itertools import cycle, islice
from typing import Any

import anyio
from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query


async def one(number: int, directory: str, place: AbstractAsyncContextManager[Any]) -> bool:
    """Whether the agent succeeded."""
    options = ClaudeAgentOptions(
        cwd=directory,
        system_prompt={"type": "preset", "preset": "claude_code"},
        tools=["Read", "Bash"],
        allowed_tools=["Read", "Bash"],
        setting_sources=["project"],
    )
    good = False
    async with place:
        async for message in query(prompt=f"What is {number} * 3?", options=options):
            if isinstance(message, ResultMessage):
                good = not message.is_error
    return good


async def in_task_group(directories: Sequence[str], width: int) -> bool:
    semaphore, results = anyio.Semaphore(width), []

    async def note(number: int, directory: str) -> None:
        results.append(await one(number, directory, semaphore))

    async with anyio.create_task_group() as group:
        for number, directory in enumerate(directories):
            group.start_soon(note, number, directory)
    return all(results)


async def gathered(directories: Sequence[str], width: int) -> bool:
    semaphore = asyncio.Semaphore(width)
    return all(await asyncio.gather(*(one(*each, semaphore) for each in enumerate(directories))))


if __name__ == "__main__":
    way, agents, width = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    directories = list(islice(cycle(sys.argv[4:] or ["."]), agents))
    run = {"anyio": in_task_group, "gather": gathered}[way]
    sys.exit(not anyio.run(run, directories, width))
