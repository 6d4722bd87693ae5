"""A server that answers 8 requests at once: the width that is found, against fixed ones and the usual semaphore.

Each way runs in a process of its own, in turn. What goes beyond 8 is answered 429 with a Retry-After of 1 s.
"""

import json
import time
from functools import partial
from typing import Any

import anyio
from rich.console import Console
from rich.table import Table

from tests.benchmarks import fleets
from tests.benchmarks.fleets import measured
from tests.benchmarks.limited import AT_ONCE, REPLY_TIME, SERVERS, open_narrow

AGENTS, SEMAPHORE = 40, 20


async def ours(concurrent: Any) -> dict[str, Any]:
    from orchestrator.events import WidthChanged

    ok, records = await fleets.ours("open_narrow", AGENTS, concurrent)
    begun = records[0].at
    changes = [(round(each.at - begun), each.event) for each in records if isinstance(each.event, WidthChanged)]
    return {"ok": ok, "widths": [(at, event.width) for at, event in changes]}


async def semaphore(concurrent: int) -> dict[str, Any]:
    return {"ok": await fleets.semaphore(open_narrow, AGENTS, concurrent), "widths": []}


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
        found = measured("width", way)
        told = ", ".join(f"{at}: {places}" for at, places in found["widths"])
        pace = found["ok"] / found["wall"] * 60
        table.add_row(
            way, f"{pace:.1f}", f"{found['wall']:.1f}", f"{found['ok']}/{AGENTS}", str(found["refused"]), told
        )
    Console(width=130).print(table)
