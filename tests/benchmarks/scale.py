"""The orchestrator's own share per task: scripted agents that take no time, beside bare task groups."""

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import anyio
from rich.console import Console
from rich.table import Table

COUNTS, WIDTH = (1_000, 10_000, 100_000), 10
REACH = 50
"""In the random graph a task needs up to three of so many before it."""

Needs = Sequence[Sequence[int]]
"""For each task the numbers of those that it needs."""


def flat(count: int) -> Needs:
    """No task needs another."""
    return [()] * count


def chain(count: int) -> Needs:
    """Each task needs the one before it."""
    return [() if number == 0 else (number - 1,) for number in range(count)]


def random_graph(count: int) -> Needs:
    """Each task needs up to three of the fifty before it."""
    dice = random.Random(1)
    return [
        dice.sample(range(max(0, number - REACH), number), k=min(number, dice.randint(0, 3))) for number in range(count)
    ]


SHAPES: dict[str, Callable[[int], Needs]] = {"flat": flat, "chain": chain, "graph": random_graph}


async def ours(journal: str, needs: Needs) -> None:
    """A run whose tasks a script submits one by one."""
    from orchestrator import Limits, Task, open_run
    from orchestrator.testing import ScriptedExecutor

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "journal.db" if journal == "file" else journal
        async with open_run(
            "bench", executor=ScriptedExecutor(), limits=Limits(concurrent=WIDTH), journal=place
        ) as run:
            for number, wanted in enumerate(needs):
                run.submit(Task(f"task {number}", key=str(number), needs=[str(each) for each in wanted]))
    assert run.report().succeeded == len(needs)


async def bare(needs: Needs) -> None:
    """A task group under a limiter; each task waits for the events of those that it needs."""
    limiter, results = anyio.CapacityLimiter(WIDTH), []
    ended = [anyio.Event() for _ in needs]

    async def one(number: int) -> None:
        for need in needs[number]:
            await ended[need].wait()
        async with limiter:
            await anyio.sleep(0)
            results.append(number)
        ended[number].set()

    async with anyio.create_task_group() as group:
        for number in range(len(needs)):
            group.start_soon(one, number)
    assert len(results) == len(needs)


WAYS = {
    "ours, every event on disk": partial(ours, "file"),
    "ours, journal in memory": partial(ours, "memory"),
    "a bare task group under a limiter": bare,
}


def child(way: str, shape: str, count: str) -> None:
    """Runs one way and prints what it took."""
    needs = SHAPES[shape](int(count))
    if way != "a bare task group under a limiter":
        import orchestrator.engine.opening
        import orchestrator.testing  # noqa: F401
    before, began = peak_mb(), time.perf_counter()
    anyio.run(WAYS[way], needs)
    print(json.dumps({"wall": time.perf_counter() - began, "peak": peak_mb(), "before": before}))


def peak_mb() -> float:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(way: str, shape: str, count: int) -> dict[str, float]:
    """One measurement, in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks", "scale", way, shape, str(count)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def main() -> None:
    """Prints the table."""
    table = Table(title=f"Tasks that take no time, {WIDTH} at once; imports left out")
    for column in ("", "shape", "tasks", "wall s", "µs per task", "× bare", "kB per task", "peak MB"):
        table.add_column(column, justify="right" if column not in ("", "shape") else "left")
    for shape in SHAPES:
        for count in COUNTS:
            found = {way: measure(way, shape, count) for way in reversed(WAYS)}
            for way in WAYS:
                wall, memory = found[way]["wall"], found[way]["peak"] - found[way]["before"]
                ratio = wall / found["a bare task group under a limiter"]["wall"]
                table.add_row(
                    *(way, shape, f"{count:,}", f"{wall:.2f}", f"{wall / count * 1e6:.0f}", f"{ratio:.0f}"),
                    *(f"{memory / count * 1024:.1f}", f"{found[way]['peak']:.0f}"),
                )
    Console(width=120).print(table)
