"""What the gateway adds to a request: the time until its first byte and to each piece of a stream, and CPU.

A loopback server, the gateway and the client are three processes, so that CPU time is told apart. Each piece of a
stream has in it when it was sent, on a clock that all processes share.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from statistics import median
from urllib.parse import urlsplit

import anyio
import psutil
from rich.console import Console
from rich.table import Table

BODY = b"x" * 40_000
"""A request of the CLI in its first turns has about so many bytes."""
PIECES, EVERY = 100, 0.04
"""A stream: so many pieces, with so many seconds between them."""
ALONE, TOGETHER = 300, 100
SPREAD = 2.0
"""Seconds over which streams that are at work at once begin."""


async def serve() -> None:
    """The API: a stream at once, or one whose pieces take their time where the path says so."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(len(BODY))
                pause = EVERY if b"?slow" in head else 0.0
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                )
                for _ in range(PIECES if pause else 1):
                    text = b'data: {"type": "content_block_delta", "delta": {"text": "%020.9f"}}\n\n' % time.monotonic()
                    writer.write(b"%x\r\n%s\r\n" % (len(text), text))
                    await asyncio.sleep(pause)
                writer.write(b"0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=2**20)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


async def stand_between() -> None:
    """The gateway, before the API that the environment names."""
    from orchestrator.gateway.passing.anthropic import open_anthropic

    async with open_anthropic() as upstream:
        print(upstream.env["ANTHROPIC_BASE_URL"], flush=True)
        await anyio.sleep_forever()


def child(role: str) -> None:
    anyio.run({"serve": serve, "gateway": stand_between}[role])


@contextmanager
def process(role: str, **env: str) -> Iterator[tuple[str, psutil.Process]]:
    """The address that a child process prints, and the process."""
    command = [sys.executable, "-m", "tests.benchmarks", "gateway", role]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | env)
    try:
        assert child.stdout
        yield child.stdout.readline().strip(), psutil.Process(child.pid)
    finally:
        child.kill()
        child.communicate()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["Client"]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**20)
    try:
        yield Client(reader, writer, parts.path)
    finally:
        writer.close()


class Client:
    """A connection, and what was measured on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
        self.reader, self.writer, self.path = reader, writer, path
        self.first: list[float] = []
        self.pieces: list[float] = []
        self.total: list[float] = []

    async def ask(self, query: str = "") -> None:
        head = f"POST {self.path}/v1/messages{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n"
        began = time.monotonic()
        self.writer.write(head.encode() + BODY)
        await self.reader.readuntil(b"\r\n\r\n")
        self.first.append(time.monotonic() - began)
        while size := int(await self.reader.readline(), 16):
            text = await self.reader.readexactly(size + 2)
            for part in text.split(b'"text": "')[1:]:
                self.pieces.append(time.monotonic() - float(part[:20]))
        await self.reader.readline()
        self.total.append(time.monotonic() - began)


async def measure(url: str, together: bool) -> list[Client]:
    """The clients, after all their requests."""
    if not together:
        async with connected(url) as client:
            for _ in range(20):
                await client.ask()
            client.first, client.pieces, client.total = [], [], []
            for _ in range(ALONE):
                await client.ask()
            return [client]

    async def one(number: int) -> Client:
        await asyncio.sleep(number * SPREAD / TOGETHER)  # agents do not begin all in one moment
        async with connected(url) as client:
            await client.ask("?slow")
            return client

    return list(await asyncio.gather(*(one(number) for number in range(TOGETHER))))


def ms(values: list[float]) -> str:
    """Median and 99th percentile."""
    ordered = sorted(values)
    return f"{median(ordered) * 1000:.2f} / {ordered[int(len(ordered) * 0.99)] * 1000:.2f}"


def main() -> None:
    """Prints the table."""
    table = Table(title=f"ms, median / 99 %; {PIECES} pieces in {PIECES * EVERY:g} s; CPU of the gateway per request")
    for column in ("", "first byte", "per piece", "total", "CPU ms"):
        table.add_column(column, justify="right" if column else "left")
    with process("serve") as (api, _), process("gateway", ANTHROPIC_BASE_URL=api) as (gateway, itself):
        for together in (False, True):
            for name, url in (("direct", api), ("gateway", gateway)):
                before = itself.cpu_times()
                clients = asyncio.run(measure(url, together))
                after = itself.cpu_times()
                used = (after.user + after.system - before.user - before.system) * 1000
                totals = [each for client in clients for each in client.total]
                table.add_row(
                    f"{name}, {TOGETHER if together else 1} at once",
                    ms([each for client in clients for each in client.first]),
                    ms([each for client in clients for each in client.pieces]),
                    ms(totals),
                    f"{used / len(totals):.2f}" if url == gateway else "",
                )
    Console(width=120).print(table)
