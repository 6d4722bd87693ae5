"""The pass-through: what an agent asks goes to the API as it is, and the answer comes back as it is, piece by piece."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio
from httpcore2 import Response
from starlette.types import Receive, Scope, Send

from orchestrator.gateway.errors import ApiError
from orchestrator.gateway.passing.client import FAILURES, Headers, chunks, without_hops


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of an agent."""

    method: str
    path: bytes
    """Below the gateway's prefix."""
    query: bytes
    headers: Headers
    body: bytes

    def header(self, name: bytes) -> str | None:
        """The value of a header, whose name is given in lower case."""
        return next((value.decode("latin-1") for each, value in self.headers if each == name), None)


class Left(Exception):  # noqa: N818 - it is no error
    """The client has gone away."""


async def read(scope: Scope, receive: Receive, prefix: str) -> Asked:
    """The request, whole. Raises Left."""
    pieces, more = [], True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Left
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    path = scope["raw_path"][len(prefix) :]
    return Asked(scope["method"], path, scope["query_string"], list(scope["headers"]), b"".join(pieces))


async def while_there(receive: Receive, work: Callable[[], Awaitable[None]]) -> None:
    """Does the work, and breaks it off as soon as the client has gone away."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        await work()
        group.cancel_scope.cancel()


async def give(response: Response, send: Send, changed: Headers | None = None) -> None:
    """Passes the answer on, with the `changed` headers in the place of its own of those names. Of one that breaks off
    the client's stays unfinished, so that its connection is cut too."""
    instead = {name for name, _ in changed or ()}
    kept = [(name, value) for name, value in without_hops(response.headers) if name.lower() not in instead]
    headers = kept + (changed or [])
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    try:
        async for chunk in chunks(response):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except FAILURES:
        return
    await send({"type": "http.response.body", "body": b""})


async def refuse(error: ApiError, send: Send) -> None:
    """Answers in the API's place."""
    body = json.dumps(error.body("req_gateway")).encode()
    told = error.headers("req_gateway") | {"content-type": "application/json", "content-length": str(len(body))}
    headers = [(name.encode(), value.encode()) for name, value in told.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def plain(headers: Headers) -> dict[str, str]:
    """The headers by name, in lower case."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


def unreachable(error: BaseException) -> ApiError:
    """What the client is told when no answer came."""
    return ApiError(502, f"the gateway got no answer from the API: {type(error).__name__}: {error}")
