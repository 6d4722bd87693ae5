"""A budget of 1 USD and 60 agents of about 0.04 USD each: ours, and the usual check of the sum before each `query()`.

The agents are real CLI processes, which reckon their costs by their own price list from what the server says they used.
"""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anyio
from rich.console import Console
from rich.table import Table

from orchestrator.gateway.model.conversation import read_conversation
from orchestrator.gateway.model.offline import OfflineModel
from orchestrator.gateway.seam import ApiEvent, Call
from orchestrator.gateway.server import open_gateway
from orchestrator.gateway.wire import stream, text_block, tool_block
from orchestrator.protocols import Traffic, Upstream
from tests.benchmarks.fleets import measured
from tests.benchmarks.servers import SLOWEST, pace

AGENTS, WIDTH, USD, AGENT_USD = 60, 10, 1.0, 0.04
MODEL = "sonnet"
REPLIES = 4
REPLY_TIME = 0.7
"""Seconds before each reply."""
USD_PER_TOKEN = 2e-6
"""Of the model's input, as the CLI of this version reckons; checked by what comes out."""
PROMPT = "Look at part {} of the folder and say what it is for."


class DearModel(OfflineModel):
    """Each agent looks at a file three times and answers; what it uses comes to `AGENT_USD`, half as much or more."""

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        await asyncio.sleep(REPLY_TIME)
        conversation = read_conversation(call)
        asked = sum(message["role"] == "assistant" for message in call.body["messages"])
        last = asked >= REPLIES - 1
        block = text_block("It is for tea.") if last else tool_block("Read", {"file_path": f"part-{asked}.md"})
        share = 0.5 + pace(conversation.turn.prompt) / SLOWEST
        tokens = round(AGENT_USD / REPLIES / USD_PER_TOKEN * share * 0.9)
        return _as_stream(stream([block], model=conversation.model, seed=conversation.seed, input_tokens=tokens))


async def _as_stream(events: Any) -> AsyncIterator[ApiEvent]:
    for event in events:
        yield event


def open_dear(traffic: Traffic) -> AbstractAsyncContextManager[Upstream]:
    """For `open_run(upstream="tests.benchmarks.budget:open_dear")`."""
    return open_gateway(DearModel(), traffic)


async def ours(concurrent: int | Literal["auto"]) -> dict[str, float]:
    from orchestrator import Agent, Limits, Outcome, open_run

    with tempfile.TemporaryDirectory() as folder:
        async with open_run(
            "bench",
            agent=Agent(tools=("Read",), model=MODEL),
            limits=Limits(concurrent=concurrent, usd=USD),
            journal=Path(folder) / "journal.db",
            upstream="tests.benchmarks.budget:open_dear",
        ) as run:
            results = await run.map(PROMPT, range(AGENTS))
    cut = [result for result in results if result.outcome is Outcome.BUDGET and result.attempts]
    done = sum(result.ok for result in results)
    strange = [result for result in results if not result.ok and result.outcome is not Outcome.BUDGET]
    assert not strange, strange
    return {"spent": run.report().cost_usd, "done": done, "cut": len(cut), "started": done + len(cut)}


async def semaphore(concurrent: int) -> dict[str, float]:
    from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query

    limiter, costs = asyncio.Semaphore(concurrent), []

    async def one(number: int, env: dict[str, str]) -> None:
        async with limiter:
            if sum(costs) >= USD:
                return
            options = ClaudeAgentOptions(tools=["Read"], model=MODEL, setting_sources=["project"], env=env)
            async for message in query(prompt=PROMPT.format(number), options=options):
                if isinstance(message, ResultMessage):
                    costs.append(message.total_cost_usd or 0.0)

    with tempfile.TemporaryDirectory() as folder:
        async with open_dear(Traffic()) as upstream:
            env = dict(upstream.env) | {"CLAUDE_CONFIG_DIR": folder}
            await asyncio.gather(*(one(number, env) for number in range(AGENTS)))
    return {"spent": sum(costs), "done": len(costs), "cut": 0, "started": len(costs)}


WAYS = {
    "ours, width found": partial(ours, "auto"),
    "ours, 10 at once": partial(ours, WIDTH),
    "query() under a semaphore of 10, sum checked": partial(semaphore, WIDTH),
}


def child(way: str) -> None:
    """Runs one way and prints what came of it."""
    print(json.dumps(anyio.run(WAYS[way])))


def main() -> None:
    """Prints the table."""
    table = Table(title=f"a budget of {USD:g} USD, {AGENTS} agents of about {AGENT_USD:g} USD each")
    for column in ("", "spent USD", "over USD", "over, in agents", "agents started", "done", "cut"):
        table.add_column(column, justify="left" if not column else "right")
    for way in WAYS:
        found = measured("budget", way)
        over = max(found["spent"] - USD, 0.0)
        figures = [f"{found['started']:.0f}", f"{found['done']:.0f}", f"{found['cut']:.0f}"]
        table.add_row(way, f"{found['spent']:.3f}", f"{over:.3f}", f"{over / AGENT_USD:.1f}", *figures)
    Console(width=110).print(table)
