import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpcore2
import pytest
from certificates import make_certificate

from orchestrator.gateway.passing.sockets import MOST_UNREAD, Backend, Connection

pytestmark = pytest.mark.anyio

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A loopback server; its port."""
    at_work: set[asyncio.Task[None] | None] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at_work.add(asyncio.current_task())
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    yield listening.sockets[0].getsockname()[1]
    listening.close()
    for task in at_work:
        if task:
            task.cancel()
            await asyncio.wait({task})
    await asyncio.sleep(0)  # transports are closed in the loop's next round


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    connection = await Backend().connect_tcp("127.0.0.1", port)
    assert isinstance(connection, Connection)
    try:
        yield connection
    finally:
        await connection.aclose()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not condition():
            await anyio.sleep(0.001)


async def read_to_the_end(connection: Connection) -> bytes:
    pieces = []
    while piece := await connection.read(65536):
        assert len(piece) <= 65536
        pieces.append(piece)
    return b"".join(pieces)


async def test_a_server_waits_for_one_that_does_not_read() -> None:
    """No more is taken than a share of it, and in the end all has come, byte for byte."""
    body = bytes(range(251)) * 80_000

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with server(serve) as port, connected(port) as connection:
        await until(lambda: connection._paused)
        assert MOST_UNREAD < len(connection._unread) <= 2 * MOST_UNREAD
        assert await read_to_the_end(connection) == body


async def test_one_that_writes_waits_for_a_server_that_does_not_read() -> None:
    """What is written does not pile up, and goes on as soon as it is read."""
    may_read = asyncio.Event()
    body = b"x" * 30_000_000

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await may_read.wait()
        await reader.readexactly(len(body))
        writer.write(b"thanks")
        await writer.drain()
        await reader.read()

    async with server(serve) as port, connected(port) as connection:
        async with anyio.create_task_group() as group:
            group.start_soon(connection.write, body)
            await until(lambda: connection._writer is not None)
            may_read.set()
        assert await connection.read(100) == b"thanks"


async def test_a_connection_that_the_server_has_closed_is_not_used_again() -> None:
    """It says so before anything is written to it, and a write fails in httpcore2's words."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)

    async with server(serve) as port, connected(port) as connection:
        assert connection.get_extra_info("is_readable") is False
        await connection.write(b"x")
        await until(lambda: connection.get_extra_info("is_readable") is True)
        with pytest.raises(httpcore2.WriteError):
            await connection.write(b"x")


async def test_one_that_waits_hears_that_the_connection_is_lost() -> None:
    """A reset is a ReadError, an end that was said is an empty piece."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write_eof()
        await reader.read()

    async with server(reset) as port, connected(port) as connection:
        with pytest.raises(httpcore2.ReadError):
            await connection.read(100)
    async with server(end) as port, connected(port) as connection:
        assert await connection.read(100) == b""


async def test_one_that_stops_waiting_loses_nothing() -> None:
    """A read that is cancelled takes no bytes from the next."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.write(b"all of it")
        await writer.drain()
        await reader.read()

    async with server(serve) as port, connected(port) as connection:
        async with anyio.create_task_group() as group:
            group.start_soon(connection.read, 100)
            await until(lambda: connection._reader is not None)
            group.cancel_scope.cancel()
        await connection.write(b"x")
        assert await connection.read(100) == b"all of it"


async def test_a_server_that_nobody_reaches_is_an_error_in_time() -> None:
    """Nobody there is a ConnectError; one that says nothing to TLS is a ConnectTimeout, and is let go of."""
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        gone.set()

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(httpcore2.ConnectError):
            await Backend().connect_tcp("127.0.0.1", closed.getsockname()[1])
    async with server(silent) as port, connected(port) as connection:
        with pytest.raises(httpcore2.ConnectTimeout):
            await connection.start_tls(ssl.create_default_context(), "127.0.0.1", timeout=0.05)
        with anyio.fail_after(60):
            await gone.wait()


async def test_tls_that_ends_without_a_word_has_ended(tmp_path: Path) -> None:
    """What came before is given, and then the end: whether the answer was whole is for HTTP to say."""
    certificate = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await writer.drain()

    async with server(serve, context) as port, connected(port) as connection:
        await connection.start_tls(ssl.create_default_context(cafile=str(certificate)), "127.0.0.1", timeout=10)
        assert connection.get_extra_info("ssl_object") is not None
        assert await read_to_the_end(connection) == b"hello"


async def test_tls_goes_through_a_proxy_that_speaks_tls_itself(tmp_path: Path) -> None:
    """The one is inside the other, and the API's answer comes through both."""
    certificate = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    trusted = ssl.create_default_context(cafile=str(certificate))

    async def api(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        await writer.drain()
        await reader.read()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readuntil(b"\r\n\r\n")
        host, _, port = line.split()[1].decode().partition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

        async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while piece := await source.read(65536):
                target.write(piece)

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(pass_on, reader, far_writer)
                group.start_soon(pass_on, far_reader, writer)
        finally:
            far_writer.transport.abort()

    async with server(api, context) as api_port, server(proxy, context) as proxy_port:
        between = httpcore2.Proxy(f"https://127.0.0.1:{proxy_port}", ssl_context=trusted)
        async with httpcore2.AsyncConnectionPool(trusted, proxy=between, network_backend=Backend()) as pool:
            with anyio.fail_after(60):
                response = await pool.request("GET", f"https://127.0.0.1:{api_port}/")
    assert response.content == b"hello"
