"""One-turn agents at once: ours, the same one after the other, and the usual pattern of `query()` under a semaphore.

Each runs in a process of its own, in turn, so that CPU time is told apart and nothing is warm from the one before.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import anyio
from rich.console import Console
from rich.table import Table

from tests.benchmarks.servers import REPLY_TIME, open_slow

AGENTS, WIDTH, ROUNDS = 20, 10, 3
PROMPT = "What is {} * 3?"


async def ours(concurrent: int) -> None:
    from orchestrator import Agent, Limits, open_run

    with tempfile.TemporaryDirectory() as folder:
        async with open_run(
            "bench",
            agent=Agent(tools=("Read",)),
            limits=Limits(concurrent=concurrent),
            journal=Path(folder) / "journal.db",
            upstream="tests.benchmarks.servers:open_slow",
        ) as run:
            results = await run.map(PROMPT, range(AGENTS))
    assert all(result.ok for result in results), results


async def semaphore(concurrent: int) -> None:
    from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query

    limiter, results = anyio.Semaphore(concurrent), []

    async def one(number: int, env: dict[str, str]) -> None:
        async with limiter:
            options = ClaudeAgentOptions(tools=["Read"], setting_sources=["project"], env=env)
            async for message in query(prompt=PROMPT.format(number), options=options):
                if isinstance(message, ResultMessage):
                    results.append(message)

    with tempfile.TemporaryDirectory() as folder:
        async with open_slow() as upstream, anyio.create_task_group() as group:
            env = dict(upstream.env) | {"CLAUDE_CONFIG_DIR": folder}
            for number in range(AGENTS):
                group.start_soon(one, number, env)
    assert len(results) == AGENTS


WAYS = {
    "ours, 10 at once": partial(ours, WIDTH),
    "query() under a semaphore of 10": partial(semaphore, WIDTH),
    "ours, one after the other": partial(ours, 1),
}


def child(way: str) -> None:
    """Runs one way and prints what it took."""
    began = time.perf_counter()
    anyio.run(WAYS[way])
    wall = time.perf_counter() - began
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps({"wall": wall, "cpu": sum(each.ru_utime + each.ru_stime for each in used)}))


def main() -> None:
    """Prints the table."""
    figures: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for round_number in range(ROUNDS):
        for way in WAYS if round_number == 0 else list(WAYS)[:2]:
            command = [sys.executable, "-m", "tests.benchmarks", "parallel", way]
            figures[way].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    ideal = AGENTS / WIDTH * REPLY_TIME
    table = Table(title=f"{AGENTS} one-turn agents, replies after {REPLY_TIME:g} s, ideal {ideal:g} s; medians")
    for column in ("", "wall s", "of ideal", "CPU-s", "CPU-s per agent"):
        table.add_column(column, justify="left" if not column else "right")
    for way, runs in figures.items():
        wall, cpu = median(run["wall"] for run in runs), median(run["cpu"] for run in runs)
        table.add_row(way, f"{wall:.1f}", f"{wall / ideal:.2f}", f"{cpu:.1f}", f"{cpu / AGENTS:.2f}")
    Console(width=110).print(table)
