"""Many agents on an API with limits per minute: ours by the user's limits, ours by what the API's headers tell, and the
usual pattern of `query()` under a semaphore.

The API answers 429 with a Retry-After to what is beyond its limits, which are token buckets that hold little, and tells
them in `anthropic-ratelimit-*`. Each way runs in a process of its own, one after the other.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from rich.console import Console
from rich.table import Table
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.gateway.model.offline import OfflineModel
from orchestrator.gateway.server import open_gateway
from orchestrator.gateway.wire import estimate_tokens
from orchestrator.protocols import Emit, ignore
from orchestrator.task import Attempt

AGENTS, WIDTH = 22, 10
REQUESTS, TOKENS, FEW_TOKENS = 60, 200_000, 110_000
"""Per minute; the last in place of the second where tokens are to be what is scarce."""
HOLDS = {"requests": 2.0, "input-tokens": 10.0}
"""Seconds' filling that the API's buckets hold."""
REPLY_TIME = 1.0
PROMPT = "What does `{}` mean here?"
WORDS = ["tasks", "needs", "limits", "agents", "foreach", "prompt", "write", "workspace", "returns", "vars"]
TOOLS, SYSTEM = ("Read", "Glob", "Grep"), "Answer in few words."
PLACE = Path(__file__).parents[2] / "examples"


class LimitedApi:
    """The offline model behind limits. Fulfils `Service`."""

    account = False
    env = OfflineModel.env

    def __init__(self, tokens: int) -> None:
        self._model = OfflineModel()
        self._limits = {"requests": REQUESTS, "input-tokens": tokens}
        self._levels = {kind: self._holds(kind) for kind in HOLDS}
        self._at = time.monotonic()
        self.served: list[tuple[float, int]] = []
        """When, and with how many input tokens."""
        self.refused = 0

    def announce(self, attempt: Attempt, emit: Emit = ignore) -> None:
        pass

    def build_app(self, prefix: str) -> ASGIApp:
        app = self._model.build_app(prefix)

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or not scope["path"].endswith("/v1/messages"):
                return await app(scope, receive, send)
            return await self._limited(app, scope, receive, send)

        return call

    async def _limited(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        wait = self._admit(count(json.loads(body)))
        headers = self._headers()
        if wait > 0:
            self.refused += 1
            headers.append((b"retry-after", str(max(1, round(wait + 0.5))).encode()))
            await send({"type": "http.response.start", "status": 429, "headers": headers})
            error = {"type": "error", "error": {"type": "rate_limit_error", "message": "too many"}}
            await send({"type": "http.response.body", "body": json.dumps(error).encode()})
            return

        asked: list[Message] = [{"type": "http.request", "body": body}]

        async def given() -> Message:
            return asked.pop() if asked else await receive()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        await asyncio.sleep(REPLY_TIME)
        await app(scope, given, answer)

    def _admit(self, tokens: int) -> float:
        """Takes what a request needs; seconds to wait where there is not enough."""
        now = time.monotonic()
        for kind, limit in self._limits.items():
            filled = self._levels[kind] + (now - self._at) * limit / 60
            self._levels[kind] = min(filled, self._holds(kind))
        self._at = now
        needs = {"requests": 1.0, "input-tokens": float(tokens)}
        waits = [(need - self._levels[kind]) * 60 / self._limits[kind] for kind, need in needs.items()]
        if max(waits) <= 0:
            for kind, need in needs.items():
                self._levels[kind] -= need
            self.served.append((now, tokens))
        return max(waits)

    def _headers(self) -> list[tuple[bytes, bytes]]:
        told = {}
        for kind, limit in self._limits.items():
            told |= {f"{kind}-limit": limit, f"{kind}-remaining": max(0, int(self._levels[kind]))}
        return [(f"anthropic-ratelimit-{name}".encode(), str(value).encode()) for name, value in told.items()]

    def _holds(self, kind: str) -> float:
        return self._limits[kind] / 60 * HOLDS[kind]


def count(body: Mapping[str, Any]) -> int:
    """Its input tokens, as the offline model reckons them."""
    return sum(estimate_tokens(body[name]) for name in ("system", "tools", "messages") if body.get(name))


async def ours(learned: bool, tokens: int) -> None:
    from orchestrator import Agent, Limits, open_run

    named = Limits(requests_per_minute=REQUESTS, input_tokens_per_minute=tokens, headroom=1.0)
    with tempfile.TemporaryDirectory() as folder:
        async with open_run(
            "bench",
            agent=Agent(tools=TOOLS, system=SYSTEM),
            limits=Limits(headroom=1.0) if learned else named,
            journal=Path(folder) / "journal.db",
            directory=PLACE,
            upstream="anthropic",
        ) as run:
            results = await run.map(PROMPT, [WORDS[number % len(WORDS)] for number in range(AGENTS)])
    assert all(result.ok for result in results), results


async def semaphore(tokens: int) -> None:
    from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query

    limiter, results = asyncio.Semaphore(WIDTH), []

    async def one(number: int, folder: str) -> None:
        async with limiter:
            options = ClaudeAgentOptions(
                tools=list(TOOLS), cwd=PLACE, setting_sources=[], env={"CLAUDE_CONFIG_DIR": folder},
                system_prompt=SYSTEM, permission_mode="dontAsk",
            )  # fmt: skip
            async for message in query(prompt=PROMPT.format(WORDS[number % len(WORDS)]), options=options):
                if isinstance(message, ResultMessage):
                    results.append(message)

    with tempfile.TemporaryDirectory() as folder:
        await asyncio.gather(*(one(number, folder) for number in range(AGENTS)))
    assert len(results) == AGENTS


WAYS = {
    "ours, by the user's limits": partial(ours, False),
    "ours, by the API's headers": partial(ours, True),
    f"query() under a semaphore of {WIDTH}": semaphore,
}


def child(way: str, tokens: int) -> None:
    """Runs one way."""
    anyio.run(WAYS[way], tokens)


async def measure(way: str, tokens: int) -> list[str]:
    """The cells of a way's row."""
    api, began = LimitedApi(tokens), time.monotonic()
    async with open_gateway(api) as upstream:
        env = os.environ | dict(upstream.env) | {"ANTHROPIC_API_KEY": "sk-made-up", "IS_SANDBOX": "1"}
        command = [sys.executable, "-m", "tests.benchmarks", "pacing", way, str(tokens)]
        done = await anyio.run_process(command, env=env, check=False, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(done.stdout.decode())
    minutes = (time.monotonic() - began) / 60
    served = api.served[: int(len(api.served) * 0.9)]  # towards the end too few agents are left to ask for more
    seconds = served[-1][0] - served[0][0]
    share = len(served) * 60 / seconds / REQUESTS
    of_tokens = sum(count for _, count in served) * 60 / seconds / tokens
    refused = api.refused / (api.refused + len(api.served))
    cells = [f"{len(api.served)}", f"{share:.0%}", f"{of_tokens:.0%}", f"{refused:.1%}", f"{AGENTS / minutes:.1f}"]
    return [way, *cells, f"{minutes * 60:.0f}"]


def main(tokens: bool = False) -> None:
    """Prints the table."""
    per_minute = FEW_TOKENS if tokens else TOKENS
    limits = f"{REQUESTS} requests and {per_minute // 1000}k input tokens a minute"
    table = Table(title=f"{AGENTS} agents, an API that allows {limits}")
    for column in ("", "requests served", "of the limit", "of the tokens", "answered 429", "agents a minute", "s"):
        table.add_column(column, justify="right" if column else "left")
    for way in WAYS:
        row = anyio.run(measure, way, per_minute)
        print(*row, sep=" · ", file=sys.stderr)  # the table takes minutes
        table.add_row(*row)
    Console(width=120).print(table)
