"""Connections of many agents over one gateway to one API."""

import asyncio
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import pytest
from anyio.to_thread import run_sync
from raw_api import Received, Wire, raw_api

from orchestrator.gateway.passing.anthropic import open_anthropic
from orchestrator.protocols import Upstream

pytestmark = pytest.mark.anyio

AGENTS = 200
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"


@pytest.fixture
def anyio_backend() -> str:
    """The clients are asyncio's; the gateway has a loop of its own."""
    return "asyncio"


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def ask(upstream: Upstream, times: int = 1) -> None:
    """An agent: so many requests on a connection of its own."""
    parts = urlsplit(upstream.env["ANTHROPIC_BASE_URL"])
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        for _ in range(times):
            writer.write(f"POST {parts.path}/v1/messages HTTP/1.1\r\nHost: g\r\nContent-Length: 0\r\n\r\n".encode())
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            assert (await reader.readuntil(b"0\r\n\r\n")).startswith(b"5\r\nhello\r\n")
    finally:
        writer.close()


async def ask_all(upstream: Upstream, agents: int, times: int = 1) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(agents):
            group.start_soon(ask, upstream, times)


async def test_nobody_waits_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred streams are under way at once: the API ends none of them before it has begun the last."""
    under_way, all_there = [], threading.Event()

    async def answer(request: Received, wire: Wire) -> None:
        await wire.say(HEAD)
        under_way.append(request)
        if len(under_way) == AGENTS:
            all_there.set()
        while not all_there.is_set():
            await asyncio.sleep(0.01)
        await wire.say(b"0\r\n\r\n")

    with raw_api(answer) as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        async with open_anthropic() as upstream:
            with anyio.fail_after(50):
                await ask_all(upstream, AGENTS)
        assert api.connections == AGENTS


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts files as Linux tells them")
async def test_connections_are_used_again_and_closed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three hundred requests of ten agents take no more connections than there are agents; those that are broken off
    leave none behind; and when the gateway has ended no file is open that was not before."""
    breaks = iter(range(10_000))

    async def answer(request: Received, wire: Wire) -> None:
        await wire.say(HEAD, b"0\r\n\r\n")

    async def break_off(upstream: Upstream) -> None:
        parts = urlsplit(upstream.env["ANTHROPIC_BASE_URL"])
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(f"POST {parts.path}/v1/messages HTTP/1.1\r\nHost: g\r\nContent-Length: 0\r\n\r\n".encode())
        if next(breaks) % 2:
            await reader.readuntil(b"hello")
        writer.transport.abort()

    with raw_api(answer) as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        await run_sync(time.sleep, 0)  # the thread is there from now on
        before = open_files()
        async with open_anthropic() as upstream:
            with anyio.fail_after(50):
                await ask_all(upstream, 10, 30)
                assert len(api.received) == 300
                assert api.connections <= 10
                for _ in range(100):
                    await break_off(upstream)
                while open_files() > before + 45:  # the gateway's own, and both ends of the connections that are kept
                    await anyio.sleep(0.01)
        with anyio.fail_after(20):
            while open_files() > before:
                await anyio.sleep(0.01)
