"""Processor time of the parent for each message of its agents' streams, and for each agent."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from statistics import median

import anyio
from rich.table import Table

from tests.benchmarks.weight.places import places

ROUNDS = 3
WIDTH = 10


@dataclass(frozen=True, slots=True)
class Case:
    """So many agents, up to `WIDTH` at once, each of so many messages; of none: one turn, the shortest there is."""

    agents: int
    messages: int

    @property
    def prompt(self) -> str:
        return f"stream {self.messages}" if self.messages else "say hello"

    @property
    def width(self) -> int:
        return min(self.agents, WIDTH)


CASES = (Case(50, 0), Case(1, 100), Case(1, 1_000), Case(1, 10_000), Case(10, 1_000))


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds."""

    wall: float
    cpu: float
    """Of the parent alone."""


def spent() -> float:
    """Seconds of processor time of this process and its threads, without its children's."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def timed(work: Callable[[], Awaitable[None]]) -> Took:
    cpu, wall = spent(), time.perf_counter()
    await work()
    return Took(time.perf_counter() - wall, spent() - cpu)


async def ours(case: Case) -> Took:
    """A run with its journal on disk; the first agent, which is not counted, has everything imported."""
    from orchestrator import Limits, open_run

    async with open_run("weight", limits=Limits(concurrent=case.width)) as run:

        async def work() -> None:
            results = await run.map(case.prompt + "{}", [""] * case.agents)
            assert all(result.ok for result in results)

        await run.map("say hello{}", [""])
        return await timed(work)


async def bare(case: Case) -> Took:
    """`query()`, whose messages nobody keeps."""
    from claude_agent_sdk import ClaudeAgentOptions, query

    options = ClaudeAgentOptions(cli_path=os.environ["ORCHESTRATOR_CLAUDE"], setting_sources=[])
    limiter = anyio.Semaphore(case.width)

    async def one(prompt: str) -> None:
        async with limiter:
            async for _ in query(prompt=prompt, options=options):
                pass

    async def work() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(case.agents):
                group.start_soon(one, case.prompt)

    await one("say hello")
    return await timed(work)


WAYS = {"ours": ours, "bare": bare}


def child(way: str, agents: str, messages: str) -> None:
    """Runs one way once, and prints what it took."""
    took = anyio.run(WAYS[way], Case(int(agents), int(messages)))
    print(json.dumps([took.wall, took.cpu]))


def measure(way: str, case: Case) -> Took:
    """One measurement, in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks", "weight", "stream", way, str(case.agents), str(case.messages)]
    with places() as place:
        output = subprocess.run(command, env=place.environment, check=True, stdout=subprocess.PIPE).stdout
    return Took(*json.loads(output))


def streams_table(rounds: int = ROUNDS) -> Table:
    """Both ways in turn, in as many rounds; the least disturbed one counts."""
    table = Table(title=f"The parent's processor time; the least of {rounds} rounds, imports left out")
    columns = ("at once", "messages each", "ours CPU s", "query() CPU s", "×", "ours ms/agent", "ours ms/message")
    for column in ("agents", *columns, "query()", "ours wall s"):
        table.add_column(column, justify="right")
    found: dict[Case, Mapping[str, list[Took]]] = {case: {way: [] for way in WAYS} for case in CASES}
    for _ in range(rounds):
        for case, ways in found.items():
            for way, several in ways.items():
                several.append(measure(way, case))
    for case, ways in found.items():
        table.add_row(*row(case, ways))
    table.caption = "messages of 400 letters, written to the journal; query() keeps nothing"
    return table


def row(case: Case, ways: Mapping[str, list[Took]]) -> list[str]:
    cpu = {way: min(took.cpu for took in several) for way, several in ways.items()}
    wall = median(took.wall for took in ways["ours"])
    each = (f"{1000 * cpu[way] / (case.agents * case.messages):.3f}" if case.messages else "" for way in WAYS)
    return [
        *(f"{case.agents:,}", f"{case.width}", f"{case.messages:,}" if case.messages else "one turn"),
        *(f"{cpu['ours']:.2f}", f"{cpu['bare']:.2f}", f"{cpu['ours'] / cpu['bare']:.1f}"),
        *(f"{1000 * cpu['ours'] / case.agents:.1f}", *each, f"{wall:.1f}"),
    ]
