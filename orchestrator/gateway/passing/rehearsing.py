"""A service of ours at the API's place behind the pass-through, so that limits can be tried with no account.

Requests wait in the same queue, for the same buckets, and what is answered by 429 pauses all, as it would there.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

import anyio
import httpcore2
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.gateway.bodies import given_again
from orchestrator.gateway.passing.between import build_between
from orchestrator.gateway.passing.client import PATIENCE, Address, Headers, without_hops
from orchestrator.gateway.passing.guessing import Guess
from orchestrator.gateway.passing.pacing import Pacing
from orchestrator.gateway.passing.passage import Passage
from orchestrator.gateway.passing.queue import Queue
from orchestrator.gateway.seam import Service
from orchestrator.plan.model import Limits
from orchestrator.protocols import Emit, ignore
from orchestrator.task import Attempt

HERE = Address("http", "gateway", None, "")


class Paced:
    """A service whose requests wait for their turn. Fulfils `Service`."""

    def __init__(self, service: Service, limits: Limits) -> None:
        self._service = service
        self._limits = limits

    @property
    def account(self) -> bool:
        return self._service.account

    @property
    def env(self) -> Mapping[str, str]:
        return {**PATIENCE, **self._service.env}

    def announce(self, attempt: Attempt, emit: Emit = ignore) -> None:
        """Tells the service."""
        self._service.announce(attempt, emit)

    def build_app(self, prefix: str) -> ASGIApp:
        """The service's app, with the queue before it."""
        app = self._service.build_app(prefix)
        between = build_between(Passage(Inside(app, prefix), HERE, Queue(Pacing(self._limits)), Guess()), prefix)

        async def paced(scope: Scope, receive: Receive, send: Send) -> None:
            await (between if scope["type"] == "http" else app)(scope, receive, send)

        return paced


@dataclass(frozen=True, slots=True)
class Inside:
    """Sends requests to an app of this process. Fulfils `Sender`."""

    app: ASGIApp
    prefix: str

    async def send(
        self, address: Address, method: str, target: tuple[bytes, bytes], headers: Headers, body: bytes
    ) -> httpcore2.Response:
        """The answer as it begins. Raises RemoteProtocolError when there is none."""
        answer = Answer()
        raw, query = self.prefix.encode() + target[0], target[1]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": address.scheme,
            "method": method,
            "path": unquote(raw.decode("latin-1")),
            "raw_path": raw,
            "query_string": query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in without_hops(headers)],
        }
        answer.work = asyncio.create_task(answer.come(self.app, scope, given_again(body, nothing)))
        try:
            start = await answer.next()
        except BaseException:
            await answer.aclose()
            raise
        return httpcore2.Response(start["status"], headers=start.get("headers", []), content=answer)


@dataclass(slots=True)
class Answer:
    """Of an app of this process, as it comes. Of the gateway's event loop, which is asyncio's."""

    work: "asyncio.Task[None] | None" = None
    _came: "asyncio.Queue[Message | None]" = field(default_factory=lambda: asyncio.Queue(1))

    async def come(self, app: ASGIApp, scope: Scope, receive: Receive) -> None:
        """Has the app answer."""
        try:
            await app(scope, receive, self._came.put)
        except Exception:
            await self._came.put(None)
            raise
        await self._came.put(None)  # not when it is cancelled: nobody takes it then, nor what came before it

    async def next(self) -> Message:
        """The next message of it. Raises RemoteProtocolError where it breaks off."""
        if (message := await self._came.get()) is None:
            raise httpcore2.RemoteProtocolError("the answer broke off")
        return message

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (message := await self.next()).get("more_body", False):
            yield message.get("body", b"")
        yield message.get("body", b"")

    async def aclose(self) -> None:
        """Nobody waits for more of it."""
        if self.work:
            self.work.cancel()
            await asyncio.wait({self.work})
            if not self.work.cancelled():
                self.work.exception()  # the client has heard that it broke off; asyncio would report it once more


async def nothing() -> Message:
    """What comes behind a request: one whose client goes away is cut off."""
    await anyio.sleep_forever()
    raise AssertionError("not reached")
