"""A raw loopback server: it keeps what it was sent, and answers with whatever bytes a test gives it."""

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Received:
    """A request, as it was on the wire."""

    line: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        return next((value for each, value in self.headers if each.lower() == name), None)


@dataclass
class Wire:
    """The connection of a request, for the test's answer."""

    writer: asyncio.StreamWriter
    reader: asyncio.StreamReader

    async def say(self, *pieces: bytes, pause: float = 0.0) -> None:
        """Sends the pieces, each on its own."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(pause)

    async def cut(self) -> None:
        """Breaks the connection off."""
        self.writer.transport.abort()


Answer = Callable[[Received, Wire], Awaitable[None]]


@dataclass
class RawApi:
    """The server. Connections are closed by `Connection: close`, by `cut`, or by the other end."""

    answer: Answer
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    left: threading.Event = field(default_factory=threading.Event)
    """Set when a client has gone away."""
    port: int = 0
    context: ssl.SSLContext | None = None
    """With it the server speaks TLS."""

    @property
    def url(self) -> str:
        return f"http{'s' if self.context else ''}://127.0.0.1:{self.port}"

    async def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=2**26, ssl=self.context)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                request = await read_request(reader)
                self.received.append(request)
                await self.answer(request, Wire(writer, reader))
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            self.left.set()
        finally:
            writer.close()


async def read_request(reader: asyncio.StreamReader) -> Received:
    head = await reader.readuntil(b"\r\n\r\n")
    line, *rest = head[:-4].split(b"\r\n")
    headers = [(name, value.strip()) for name, _, value in (each.partition(b":") for each in rest)]
    request = Received(line, headers, b"")
    request.body = await reader.readexactly(int(request.header(b"content-length") or 0))
    return request


@contextmanager
def raw_api(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[RawApi]:
    """The server in a thread of its own."""
    api, ready = RawApi(answer, context=context), threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(api.serve(ready, stop))
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield api
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
