"""A server that answers 8 requests at once: the width that is found, against fixed ones and the usual semaphore.

Each way runs in a process of its own, in turn. What goes beyond 8 is answered 429 with a Retry-After of 1 s.
"""

import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from rich.console import Console
from rich.table import Table

from orchestrator.protocols import Traffic
from tests.benchmarks.limited import AT_ONCE, REPLY_TIME, SERVERS, open_narrow

AGENTS, SEMAPHORE = 40, 20
PROMPT = "What is {} * 3?"


async def ours(concurrent: Any) -> dict[str, Any]:
    from orchestrator import Agent, Limits, open_run
    from orchestrator.events import WidthChanged
    from orchestrator.journal.memory import MemoryJournal

    journal = MemoryJournal()
    async with open_run(
        "bench",
        agent=Agent(tools=("Read",)),
        limits=Limits(concurrent=concurrent),
        journal=journal,
        upstream="tests.benchmarks.limited:open_narrow",
    ) as run:
        results = await run.map(PROMPT, range(AGENTS))
    begun = journal.records[0].at
    changes = [(round(each.at - begun), each.event) for each in journal.records if isinstance(each.event, WidthChanged)]
    widths = [(at, event.width) for at, event in changes]
    return {"ok": sum(result.ok for result in results), "widths": widths}


async def semaphore(concurrent: int) -> dict[str, Any]:
    from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query

    limiter, good = anyio.Semaphore(concurrent), []

    async def one(number: int, env: dict[str, str]) -> None:
        async with limiter:
            options = ClaudeAgentOptions(tools=["Read"], setting_sources=["project"], env=env)
            try:
                async for message in query(prompt=PROMPT.format(number), options=options):
                    if isinstance(message, ResultMessage) and not message.is_error:
                        good.append(number)
            except Exception as error:  # what the CLI gave up
                print(f"agent {number}: {error}", file=sys.stderr)

    with tempfile.TemporaryDirectory() as folder:
        async with open_narrow(Traffic()) as upstream, anyio.create_task_group() as group:
            env = dict(upstream.env) | {"CLAUDE_CONFIG_DIR": str(Path(folder))}
            for number in range(AGENTS):
                group.start_soon(one, number, env)
    return {"ok": len(good), "widths": []}


WAYS = {
    "auto": partial(ours, "auto"),
    "fixed: 4": partial(ours, 4),
    "fixed: 8": partial(ours, 8),
    "fixed: 16": partial(ours, 16),
    f"query() under a semaphore of {SEMAPHORE}": partial(semaphore, SEMAPHORE),
}


def child(way: str) -> None:
    """Runs one way and prints what came of it."""
    began = time.perf_counter()
    figures = anyio.run(WAYS[way])
    wall, server = time.perf_counter() - began, SERVERS[0]
    print(json.dumps({"wall": wall, "refused": server.refused, **figures}))


def main() -> None:
    """Prints the table."""
    title = f"{AGENTS} one-turn agents, replies after {REPLY_TIME:g} s, {AT_ONCE} requests at once"
    table = Table(title=title)
    for column in ("", "agents/min", "wall s", "ok", "429", "width over time (s: places)"):
        table.add_column(column, justify="left" if column in ("", "width over time (s: places)") else "right")
    for way in WAYS:
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks", "width", way], check=True, stdout=subprocess.PIPE
        )
        found = json.loads(done.stdout)
        told = ", ".join(f"{at}: {places}" for at, places in found["widths"])
        pace = found["ok"] / found["wall"] * 60
        table.add_row(
            way, f"{pace:.1f}", f"{found['wall']:.1f}", f"{found['ok']}/{AGENTS}", str(found["refused"]), told
        )
    Console(width=130).print(table)
