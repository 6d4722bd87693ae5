"""The orchestrator's own share per task: scripted agents that take no time, beside a bare task group."""

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

COUNTS, WIDTH, ROUNDS = (1_000, 10_000), 10, 3


async def ours(journal: str, count: int) -> None:
    from orchestrator import Limits, open_run
    from orchestrator.testing import ScriptedExecutor

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "journal.db" if journal == "file" else journal
        async with open_run(
            "bench", executor=ScriptedExecutor(), limits=Limits(concurrent=WIDTH), journal=place
        ) as run:
            results = await run.map("task {}", range(count))
    assert all(result.ok for result in results)


async def bare(count: int) -> None:
    limiter, results = anyio.CapacityLimiter(WIDTH), []

    async def one(number: int) -> None:
        async with limiter:
            await anyio.sleep(0)
            results.append(number)

    async with anyio.create_task_group() as group:
        for number in range(count):
            group.start_soon(one, number)
    assert len(results) == count


WAYS = {
    "ours, every event on disk": partial(ours, "file"),
    "ours, journal in memory": partial(ours, "memory"),
    "a bare task group under a limiter": bare,
}


def child(way: str, count: str) -> None:
    """Runs one way and prints what it took."""
    began = time.perf_counter()
    anyio.run(WAYS[way], int(count))
    wall = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall": wall, "peak": peak}))


def main() -> None:
    """Prints the table."""
    table = Table(title=f"Tasks that take no time, {WIDTH} at once; medians of {ROUNDS}, import included")
    for column in ("", "tasks", "wall s", "µs per task", "peak MB"):
        table.add_column(column, justify="left" if not column else "right")
    for way in WAYS:
        for count in COUNTS:
            command = [sys.executable, "-m", "tests.benchmarks", "scale", way, str(count)]
            runs = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(ROUNDS)]
            wall, peak = median(run["wall"] for run in runs), median(run["peak"] for run in runs)
            table.add_row(way, f"{count:,}", f"{wall:.2f}", f"{wall / count * 1e6:.0f}", f"{peak:.0f}")
    Console(width=110).print(table)
