"""Many one-turn agents at a server that takes only so much: ours, and the usual `query()` under a semaphore."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio

from orchestrator.events import Record
from orchestrator.protocols import Traffic, Upstream

PROMPT = "What is {} * 3?"


async def ours(upstream: str, agents: int, concurrent: Any, **same: Any) -> tuple[int, Sequence[Record]]:
    """How many succeeded, and the journal; `same` is what `run.map` is told besides."""
    from orchestrator import Agent, Limits, open_run
    from orchestrator.journal.memory import MemoryJournal

    journal = MemoryJournal()
    async with open_run(
        "bench",
        agent=Agent(tools=("Read",)),
        limits=Limits(concurrent=concurrent),
        journal=journal,
        upstream=f"tests.benchmarks.limited:{upstream}",
    ) as run:
        results = await run.map(PROMPT, range(agents), **same)
    return sum(result.ok for result in results), journal.records


async def semaphore(
    server: Callable[[Traffic], AbstractAsyncContextManager[Upstream]],
    agents: int,
    concurrent: int,
    *,
    launched: Callable[[], None] = lambda: None,
    failed: Callable[[], None] = lambda: None,
) -> int:
    """How many succeeded; `launched` is called before each agent, `failed` when its result is an error."""
    from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query

    limiter, good = anyio.Semaphore(concurrent), []

    async def one(number: int, env: dict[str, str]) -> None:
        async with limiter:
            launched()
            options = ClaudeAgentOptions(tools=["Read"], setting_sources=["project"], env=env)
            try:
                async for message in query(prompt=PROMPT.format(number), options=options):
                    if isinstance(message, ResultMessage) and message.is_error:
                        failed()
                    elif isinstance(message, ResultMessage):
                        good.append(number)
            except Exception as error:  # what the CLI gave up
                print(f"agent {number}: {error}", file=sys.stderr)

    with tempfile.TemporaryDirectory() as folder:
        async with server(Traffic()) as upstream, anyio.create_task_group() as group:
            env = dict(upstream.env) | {"CLAUDE_CONFIG_DIR": str(Path(folder))}
            for number in range(agents):
                group.start_soon(one, number, env)
    return len(good)


def measured(benchmark: str, way: str) -> dict[str, Any]:
    """What one way of a benchmark prints, in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks", benchmark, way]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found
