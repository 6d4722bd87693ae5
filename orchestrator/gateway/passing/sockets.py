"""Connections to the API by asyncio's own transports, for httpcore2.

The gateway's loop is always asyncio's, also in a run on trio. httpcore2's own backend goes by anyio's streams, which
begin and end to listen at the loop's selector for each piece; at a hundred streams that was a third of all the work.
"""

import asyncio
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from httpcore2 import AsyncNetworkBackend, AsyncNetworkStream, ConnectError, ConnectTimeout, ReadError, WriteError

MOST_UNREAD = 256 * 1024
"""Bytes that are taken from the network before anybody wants them; the server waits with what is beyond."""

Option = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
"""Arguments of `setsockopt`."""


class Backend(AsyncNetworkBackend):
    """Opens connections. Of the gateway's loop."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Option] | None = None,
    ) -> AsyncNetworkStream:
        """Raises ConnectError, ConnectTimeout. `timeout`: seconds."""
        assert not socket_options, "our pools ask for none"
        local = (local_address, 0) if local_address else None
        loop = asyncio.get_running_loop()
        with failing_to_connect():
            async with asyncio.timeout(timeout):
                _, connection = await loop.create_connection(Connection, host, port, local_addr=local, **HAPPY)
        return connection

    async def sleep(self, seconds: float) -> None:
        """As `asyncio.sleep`."""
        await asyncio.sleep(seconds)


HAPPY: dict[str, Any] = {"happy_eyeballs_delay": 0.25}
"""Of a host with several addresses the next is tried after so many seconds, as anyio does."""


class Connection(asyncio.Protocol, AsyncNetworkStream):
    """One connection: what comes is taken at once, and given to the one that reads."""

    def __init__(self) -> None:
        self._transport = cast("asyncio.Transport", None)  # until `connection_made`
        self._unread = bytearray()
        self._is_over = False
        """Whether nothing more comes."""
        self._error: Exception | None = None
        self._paused = False
        """Whether the server waits."""
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of asyncio."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Of asyncio."""
        self._unread += data
        if len(self._unread) > MOST_UNREAD and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        wake(self._reader)

    def eof_received(self) -> bool:
        """Of asyncio, which is to close the connection then."""
        self._is_over = True
        wake(self._reader)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Of asyncio."""
        self._is_over = True
        self._error = error
        wake(self._reader)
        wake(self._writer)

    def pause_writing(self) -> None:
        """Of asyncio."""
        self._writer = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Of asyncio."""
        wake(self._writer)
        self._writer = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has come, as soon as anything has; nothing at the end. Raises ReadError. Our pools set no `timeout`."""
        if not self._unread and not self._is_over:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        data = bytes(self._unread[:max_bytes])
        del self._unread[:max_bytes]
        if self._paused and not self._unread:
            self._paused = False
            self._transport.resume_reading()
        if not data and self._error:
            raise ReadError(str(self._error)) from self._error
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Returns when more may be written. Raises WriteError. Our pools set no `timeout`."""
        if self._transport.is_closing():
            raise WriteError(str(self._error or "the connection is closed")) from self._error
        self._transport.write(buffer)
        if self._writer:
            await self._writer

    async def aclose(self) -> None:
        """Closes it, without waiting for what was not sent yet."""
        self._transport.abort()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> AsyncNetworkStream:
        """Goes on encrypted. Raises ConnectError, ConnectTimeout; the connection is closed then. `timeout`: seconds."""
        loop, plain = asyncio.get_running_loop(), self._transport
        try:
            with failing_to_connect():
                async with asyncio.timeout(timeout):
                    secret = await loop.start_tls(plain, self, ssl_context, server_hostname=server_hostname)
                if secret is None:
                    raise ConnectionAbortedError("the server has gone away")
        except BaseException:
            plain.abort()
            raise
        self._transport = secret
        return self

    def get_extra_info(self, info: str) -> Any:
        """What httpcore2 asks for: `is_readable` of one that rests means that it is of no more use."""
        if info == "is_readable":
            return bool(self._unread) or self._is_over or self._transport.is_closing()
        names = {"client_addr": "sockname", "server_addr": "peername"}
        return self._transport.get_extra_info(names.get(info, info))


def wake(waiting: "asyncio.Future[None] | None") -> None:
    """Has the one go on that waits, if anybody does."""
    if waiting and not waiting.done():
        waiting.set_result(None)


@contextmanager
def failing_to_connect() -> Iterator[None]:
    """Says errors in httpcore2's words. An ssl.SSLError is an OSError."""
    try:
        yield
    except TimeoutError as error:
        raise ConnectTimeout(str(error)) from error
    except OSError as error:
        raise ConnectError(str(error)) from error
