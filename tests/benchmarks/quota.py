"""The usage limit is reached by agent 20 of 60 and reset later: who is started in between, and what becomes of all.

Ours, for a subscription's login (which says when the limit is reset) and for an API key (which does not), and the usual
pattern of `query()` under a semaphore. Agents that were at work when the limit was reached are not counted.
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
from tests.benchmarks.limited import QUOTA_AT, RESET_AFTER, SERVERS, QuotaModel, open_quota

AGENTS, WIDTH = 60, 10
PROMPT = "What is {} * 3?"


async def ours(upstream: str) -> dict[str, Any]:
    from orchestrator import Agent, Limits, open_run
    from orchestrator.events import ApiSignal, AttemptStarted
    from orchestrator.journal.memory import MemoryJournal

    journal = MemoryJournal()
    async with open_run(
        "bench",
        agent=Agent(tools=("Read",)),
        limits=Limits(concurrent=WIDTH),
        journal=journal,
        upstream=f"tests.benchmarks.limited:{upstream}",
    ) as run:
        results = await run.map(PROMPT, range(AGENTS), retries=0)
    launched = [each.at for each in journal.records if isinstance(each.event, AttemptStarted)]
    known = next(each.at for each in journal.records if isinstance(each.event, ApiSignal))
    return {"ok": sum(result.ok for result in results), "launched": launched, "known": known}


async def semaphore() -> dict[str, Any]:
    from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query

    limiter = anyio.Semaphore(WIDTH)
    good: list[int] = []
    launched: list[float] = []
    known: list[float] = []

    async def one(number: int, env: dict[str, str]) -> None:
        async with limiter:
            launched.append(time.time())
            options = ClaudeAgentOptions(tools=["Read"], setting_sources=["project"], env=env)
            try:
                async for message in query(prompt=PROMPT.format(number), options=options):
                    if isinstance(message, ResultMessage):
                        (known if message.is_error else good).append(time.time() if message.is_error else number)
            except Exception as error:  # what the CLI gave up
                print(f"agent {number}: {error}", file=sys.stderr)

    with tempfile.TemporaryDirectory() as folder:
        async with open_quota(Traffic()) as upstream, anyio.create_task_group() as group:
            env = dict(upstream.env) | {"CLAUDE_CONFIG_DIR": str(Path(folder))}
            for number in range(AGENTS):
                group.start_soon(one, number, env)
    return {"ok": len(good), "launched": launched, "known": min(known)}


WAYS = {
    "ours, a subscription's limit": partial(ours, "open_login_quota"),
    "ours, an API key's limit": partial(ours, "open_quota"),
    f"query() under a semaphore of {WIDTH}": semaphore,
}


def child(way: str) -> None:
    """Runs one way and prints what came of it."""
    began = time.perf_counter()
    figures = anyio.run(WAYS[way])
    wall, server = time.perf_counter() - began, SERVERS[0]
    assert isinstance(server, QuotaModel)
    after = [at for at in figures["launched"] if figures["known"] < at < server.resets_at]
    print(json.dumps({"wall": wall, "ok": figures["ok"], "after": len(after), "refused": server.refused}))


def main() -> None:
    """Prints the table."""
    table = Table(title=f"Usage limit at agent {QUOTA_AT} of {AGENTS}, reset after {RESET_AFTER:g} s, {WIDTH} at once")
    for column in ("", "started while it was known", "requests refused", "ok", "wall s"):
        table.add_column(column, justify="left" if not column else "right")
    for way in WAYS:
        command = [sys.executable, "-m", "tests.benchmarks", "quota", way]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        row = str(found["after"]), str(found["refused"]), f"{found['ok']}/{AGENTS}", f"{found['wall']:.1f}"
        table.add_row(way, *row)
    Console(width=120).print(table)
