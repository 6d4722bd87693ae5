"""A server that counts what the agents of a command line ask it."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyio import to_thread
from command_line import Cli, Finished, running, wait_until

from orchestrator.gateway.model.offline import OfflineModel
from orchestrator.gateway.seam import ApiEvent, Call
from orchestrator.gateway.server import open_gateway

MARK = re.compile(r"\[task (\w+)\]")


@dataclass
class Counting(OfflineModel):
    """The offline model; counts requests by their first mark, and never answers those with a mark in `held`."""

    held: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """The mark and the whole request, as text."""

    def __post_init__(self) -> None:
        super().__init__()

    @property
    def counts(self) -> Counter[str]:
        return Counter(mark for mark, _ in self.asked)

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        text = json.dumps(call.body["messages"])
        mark = (MARK.findall(text) or ["?"])[0]
        self.asked.append((mark, text))
        if any(f"[task {held}]" in text for held in self.held):
            await asyncio.sleep(1000)  # on the server's own loop
        return await super().answer(call)


@asynccontextmanager
async def serving(cli: Cli, *held: str) -> AsyncIterator[tuple[Counting, Cli]]:
    """A server, and a command line whose agents ask it."""
    model = Counting(held=set(held))
    async with open_gateway(model) as upstream:
        yield model, cli.with_variables(**upstream.env)


async def at(cli: Cli, *arguments: str | Path) -> Finished:
    return await to_thread.run_sync(lambda: cli(*arguments))


async def stop_at(cli: Cli, model: Counting, mark: str, how: Callable[[Any], None], plan: Path) -> Finished:
    """Runs the plan, and stops it once the server was asked about the mark."""

    def act() -> Finished:
        with running(cli, "run", plan, "--view", "none") as process:
            wait_until(lambda: model.counts[mark], f"a request for {mark}")
            how(process)
            return cli.finish(process)

    return await to_thread.run_sync(act)


def report(done: Finished) -> dict[str, Any]:
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout))
