"""The gateway's server: a thread with a loop of its own, so that the run's loop (asyncio or trio) is left alone."""

import asyncio
import logging
import os
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

import anyio
import uvicorn
from anyio.to_thread import run_sync
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.errors import InternalError
from orchestrator.gateway.around import surrounded
from orchestrator.gateway.meter import Sessions, metered
from orchestrator.gateway.seam import Service
from orchestrator.gateway.telling import Telling, open_telling
from orchestrator.protocols import Emit, Traffic, Upstream, ignore
from orchestrator.task import Attempt

_START = 30.0  # seconds until a server that does not start is given up
_STOP = 5.0  # seconds until a thread that does not end is left to the process's end
_KEEP = 600  # seconds a connection may rest: agents think longer between requests than uvicorn's 5 s

NOTHING_SPECIAL = Traffic()

# Without a handler Python prints the server's errors to stderr, across the views.
logging.getLogger("uvicorn").addHandler(logging.NullHandler())


@asynccontextmanager
async def open_gateway(service: Service, traffic: Traffic = NOTHING_SPECIAL) -> AsyncIterator[Upstream]:
    """A server on 127.0.0.1 that `service` answers; gone when the block is left. Raises InternalError."""
    threads, prefix = anyio.CapacityLimiter(2), f"/{secrets.token_urlsafe(24)}"
    async with surrounded(service, traffic) as around, open_telling() as telling:
        sessions = Sessions()
        server = _Server(metered(around.build_app(prefix), sessions), prefix)
        try:
            await run_sync(server.start, limiter=threads)
            yield Gateway(server.url, around, sessions, telling)
        finally:
            with anyio.CancelScope(shield=True):
                await run_sync(server.stop, limiter=threads)


class Gateway:
    """Where agents find the server. Fulfils `Upstream`."""

    def __init__(self, url: str, service: Service, sessions: Sessions, telling: Telling) -> None:
        self._service = service
        self._sessions = sessions
        self._telling = telling
        quiet = {} if service.account else _QUIET
        self._env = {"ANTHROPIC_BASE_URL": url, **quiet, **_around_proxies(os.environ), **service.env}

    @property
    def env(self) -> Mapping[str, str]:
        """Environment variables that point a CLI at the server."""
        return self._env

    @property
    def account(self) -> bool:
        """Whether requests get to the API with the user's account."""
        return self._service.account

    def announce(self, attempt: Attempt, emit: Emit = ignore) -> None:
        """Tells the meter and the service of an attempt."""
        carried = self._telling.carried(emit)
        self._sessions.announce(attempt, carried)
        self._service.announce(attempt, carried)


_QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    # These choose another API, past the gateway.
    "CLAUDE_CODE_USE_BEDROCK": "",
    "CLAUDE_CODE_USE_VERTEX": "",
    "CLAUDE_CODE_USE_FOUNDRY": "",
    "CLAUDE_CODE_USE_MANTLE": "",
    "CLAUDE_CODE_USE_ANTHROPIC_AWS": "",
    "ANTHROPIC_UNIX_SOCKET": "",
}


def _around_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    hosts = [environ.get("NO_PROXY") or environ.get("no_proxy") or "", "127.0.0.1", "localhost"]
    value = ",".join(host for host in hosts if host)
    return {"NO_PROXY": value, "no_proxy": value}


class _Server:
    """A uvicorn server in a thread. `start` and `stop` block; `stop` may be called at any time, more than once."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._prefix = prefix
        self._config = uvicorn.Config(
            _quiet_when_cancelled(app),
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="auto",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,  # the API's own passes through
            proxy_headers=False,
            timeout_keep_alive=_KEEP,
            timeout_graceful_shutdown=1,
        )
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave: asyncio.Event | None = None
        self._error: BaseException | None = None
        # Without the protocol asyncio does not set TCP_NODELAY, and the second piece of an answer comes 40 ms late.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)

    @property
    def url(self) -> str:
        """The server's address, with the secret that every request must carry."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}{self._prefix}"

    def start(self) -> None:
        """Returns when requests are answered. Raises InternalError."""
        self._socket.bind(("127.0.0.1", 0))
        self._thread.start()
        if not self._ready.wait(_START):
            raise InternalError(f"The gateway did not start within {_START:g} s.")
        if self._error:
            raise InternalError(f"The gateway did not start: {self._error!r}") from self._error

    def stop(self) -> None:
        """Returns when the port is closed and the thread has ended."""
        if self._thread.is_alive() and self._loop and self._leave:
            with suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._leave.set)
        if self._thread.ident is not None:
            self._thread.join(_STOP)
        self._socket.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # the thread has no caller: `start` raises it
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._leave = asyncio.get_running_loop(), asyncio.Event()
        server = _Uvicorn(self._config, self._ready)
        serving = asyncio.create_task(server.serve(sockets=[self._socket]))
        leaving = asyncio.create_task(self._leave.wait())
        await asyncio.wait({serving, leaving}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await _drop_connections(server)
        await serving


class _Uvicorn(uvicorn.Server):
    """Says when it listens. In a thread uvicorn leaves the process's signals alone."""

    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()


def _quiet_when_cancelled(app: ASGIApp) -> ASGIApp:
    """The app, so that uvicorn does not report a request as failed that the gateway's end has cut off."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(asyncio.CancelledError):
            await app(scope, receive, send)

    return call


async def _drop_connections(server: uvicorn.Server) -> None:
    """Ends the open streams: their readers are agents that are going too."""
    for listener in server.servers:
        listener.close()
    for connection in list(server.server_state.connections):
        if transport := getattr(connection, "transport", None):
            transport.abort()
    await asyncio.sleep(0)
    for task in list(server.server_state.tasks):
        task.cancel()
