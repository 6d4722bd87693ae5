"""The usage limit is reached by agent 20 of 60 and reset later: who is started in between, and what becomes of all.

Ours, for a subscription's login (which says when the limit is reset) and for an API key (which does not), and the usual
pattern of `query()` under a semaphore. Agents that were at work when the limit was reached are not counted.
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
from tests.benchmarks.limited import QUOTA_AT, RESET_AFTER, SERVERS, QuotaModel, open_quota

AGENTS, WIDTH = 60, 10


async def ours(upstream: str) -> dict[str, Any]:
    from orchestrator.events import ApiSignal, AttemptStarted

    ok, records = await fleets.ours(upstream, AGENTS, WIDTH, retries=0)
    launched = [each.at for each in records if isinstance(each.event, AttemptStarted)]
    known = next(each.at for each in records if isinstance(each.event, ApiSignal))
    return {"ok": ok, "launched": launched, "known": known}


async def semaphore() -> dict[str, Any]:
    launched: list[float] = []
    known: list[float] = []
    ok = await fleets.semaphore(
        open_quota,
        AGENTS,
        WIDTH,
        launched=lambda: launched.append(time.time()),
        failed=lambda: known.append(time.time()),
    )
    return {"ok": ok, "launched": launched, "known": min(known)}


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
        found = measured("quota", way)
        row = str(found["after"]), str(found["refused"]), f"{found['ok']}/{AGENTS}", f"{found['wall']:.1f}"
        table.add_row(way, *row)
    Console(width=120).print(table)
