"""40 agents of 400 MB each where 4 GB may be used: ours, and the usual pattern of `query()` under a fixed semaphore.

No cgroup can be made without root, so a watcher stands in for the kernel: each 50 ms it adds up what all the agents of
a way use, and once that is more than 4 GB it kills the largest with SIGKILL. It goes by resident less shared pages:
the proportional set size, which the kernel would take seconds of processor time for, is the same for agents that share
nothing but code. The agents are fake CLIs: they grow to 400 MB within 1.5 s, hold that for 3 s, and answer.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import anyio
from rich.console import Console
from rich.table import Table

from orchestrator.processes.tree import descendants
from orchestrator.testing import fake_claude_path

AGENTS, EACH, LIMIT = 40, 400_000_000, 4_000_000_000
OWN = 14_000_000
"""Bytes of a fake CLI by itself."""
PROMPT = f"use {(EACH - OWN) / 1e6:g} 1.5 3"
PAUSE = 0.05
PAGE = os.sysconf("SC_PAGE_SIZE")


async def ours(concurrent: int) -> int:
    from orchestrator import Limits, open_run

    with tempfile.TemporaryDirectory() as folder:
        limits = Limits(concurrent=concurrent, memory=f"{LIMIT / 1e9:g}GB")
        async with open_run("bench", limits=limits, journal=Path(folder) / "journal.db") as run:
            results = await run.map(PROMPT + "{}", [""] * AGENTS)
        report = run.report()
    print(f"told by the run: {report.peak_memory / 1e9:.2f} GB at most", file=sys.stderr)
    return sum(result.ok for result in results)


async def semaphore(concurrent: int) -> int:
    from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query

    limiter, done = anyio.Semaphore(concurrent), 0

    async def one(folder: str) -> None:
        nonlocal done
        async with limiter:
            options = ClaudeAgentOptions(
                cli_path=os.environ["ORCHESTRATOR_CLAUDE"], env={"CLAUDE_CONFIG_DIR": folder}, setting_sources=[]
            )
            try:
                async for message in query(prompt=PROMPT, options=options):
                    done += isinstance(message, ResultMessage) and not message.is_error
            except Exception as error:
                print(f"lost: {error}", file=sys.stderr)

    with tempfile.TemporaryDirectory() as folder:
        async with anyio.create_task_group() as group:
            for _ in range(AGENTS):
                group.start_soon(one, folder)
    return done


WAYS: dict[str, Callable[[], Coroutine[Any, Any, int]]] = {
    "query(), semaphore of 20": partial(semaphore, 20),
    "query(), semaphore of 10": partial(semaphore, 10),
    "query(), semaphore of 4": partial(semaphore, 4),
    "ours, 20 at once, memory: 4GB": partial(ours, 20),
}


def child(way: str) -> None:
    """Runs one way and prints how many agents came to their end."""
    print(anyio.run(WAYS[way]))


@dataclass
class Watched:
    """What became of a way."""

    done: int = 0
    kills: int = 0
    samples: list[tuple[float, int]] = field(default_factory=list)
    """Seconds, and bytes of all agents."""

    @property
    def working(self) -> list[tuple[float, int]]:
        """From the first launch to the last end."""
        busy = [at for at, used in self.samples if used > OWN]
        return [(at, used) for at, used in self.samples if busy[0] <= at <= busy[-1]]

    @property
    def wall(self) -> float:
        return self.working[-1][0] - self.working[0][0]

    @property
    def mean(self) -> float:
        return fmean(used for _, used in self.working) / LIMIT

    @property
    def middle(self) -> float:
        """Without the first and the last quarter of the time, in which it fills and empties."""
        begun = self.working[0][0]
        return fmean(used for at, used in self.working if 0.25 <= (at - begun) / self.wall <= 0.75) / LIMIT

    @property
    def peak(self) -> float:
        return max(used for _, used in self.samples) / LIMIT


def watch(way: str, fake: Path) -> Watched:
    """Runs a way under the watcher."""
    environment = {**os.environ, "ORCHESTRATOR_CLAUDE": str(fake), "CLAUDE_AGENT_SDK_SKIP_VERSION_CHECK": "1"}
    command = [sys.executable, "-m", "tests.benchmarks", "memory", way]
    watched = Watched()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process:
        while process.poll() is None:
            used = {pid: private(pid) for pid in descendants([process.pid])}
            watched.samples.append((time.monotonic(), sum(used.values())))
            if sum(used.values()) > LIMIT:
                watched.kills += 1
                kill(max(used, key=lambda pid: used[pid]))
            time.sleep(PAUSE)
        assert process.stdout is not None
        watched.done = json.loads(process.stdout.read())
    return watched


def private(pid: int) -> int:
    """Bytes that a process shares with no other."""
    try:
        resident, shared = map(int, Path(f"/proc/{pid}/statm").read_text().split()[1:3])
    except (OSError, ValueError):
        return 0
    return (resident - shared) * PAGE


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Prints the table."""
    title = f"{AGENTS} agents of {EACH / 1e6:g} MB, {LIMIT / 1e9:g} GB; use as shares of the limit"
    table = Table(title=title)
    for column in ("", "kills", "done", "wall s", "mean use", "in the middle", "peak"):
        table.add_column(column, justify="right" if column else "left")
    with tempfile.TemporaryDirectory() as folder:
        fake = fake_claude_path(Path(folder))
        for way in WAYS:
            it = watch(way, fake)
            shares = (f"{share:.0%}" for share in (it.mean, it.middle, it.peak))
            table.add_row(way, str(it.kills), f"{it.done} of {AGENTS}", f"{it.wall:.1f}", *shares)
    Console(width=110).print(table)
