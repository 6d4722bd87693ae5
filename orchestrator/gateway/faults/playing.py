"""Plays faults in front of a service, as the API would show them."""

import asyncio
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.events import RequestNoted
from orchestrator.gateway.bodies import given_again, read_body
from orchestrator.gateway.callers import session_of
from orchestrator.gateway.errors import ApiError
from orchestrator.gateway.faults.deciding import Faults
from orchestrator.gateway.faults.rules import Rule
from orchestrator.gateway.model.conversation import is_small
from orchestrator.gateway.outer import Outer
from orchestrator.gateway.seam import Service

FIRST_PART = 0.5
"""Share of a reply that comes before it is cut."""
LONG = 3600.0
"""Seconds until a usage limit is reset, where the rule does not say."""


class Faulty(Outer):
    """A service, some of whose requests fail. Fulfils `Service`.

    Counted are requests for messages that agents make, each time that they are sent; those that the CLI makes for
    itself (a title, a probe) are neither counted nor met.
    """

    def __init__(self, service: Service, rules: Sequence[Rule]) -> None:
        super().__init__(service)
        self._faults = Faults(rules)

    @property
    def played(self) -> int:
        """How many faults there were."""
        return self._faults.played

    def build_app(self, prefix: str) -> ASGIApp:
        """The service's app, with faults in its place."""
        app = self._service.build_app(prefix)

        async def failing(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] != f"{prefix}/v1/messages":
                return await app(scope, receive, send)
            body = await read_body(receive)
            again = given_again(body, receive)
            fault = self._choose(scope, body)
            if fault is None:
                return await app(scope, again, send)
            return await play(*fault, app, scope, again, send)

        return failing

    def _choose(self, scope: Scope, body: bytes) -> tuple[Rule, float] | None:
        """The fault that the request is to meet, and how long it lasts; the run is told."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            asked = json.loads(body)
        except ValueError:
            return None
        if not isinstance(asked, dict) or is_small(asked, headers):
            return None
        session = session_of(headers, asked) or ""
        caller = self._callers.of(session)
        fault = self._faults.take(session, caller.task if caller else "", time.monotonic())
        if fault and caller:
            attempt, text = caller.attempt, fault[0].text
            caller.emit(RequestNoted(task=attempt.task, attempt=attempt.number, note="fault", text=text))
            if fault[0].kind == "quota":
                caller.tell_quota(until_reset(*fault), "usage limit reached (a fault that was asked for)")
        return fault


async def play(rule: Rule, left: float, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """What the rule says, in place of the reply or to it. `left`: seconds until it ends; 0 when no end is set."""
    if rule.kind == "slow":
        await asyncio.sleep(rule.delay)
        return await app(scope, receive, send)
    if rule.kind == "malformed":
        return await answer(send, 200, {"content-type": "application/json"}, b'{"type": "message", "content": [{')
    if rule.kind == "cut":
        return await cut(app, scope, receive, send)
    error, extra = to_error(rule, left)
    name = f"req_{uuid.uuid4().hex[:24]}"
    headers = {**error.headers(name), **extra, "content-type": "application/json"}
    return await answer(send, error.status, headers, json.dumps(error.body(name)).encode())


def until_reset(rule: Rule, left: float) -> float:
    """Seconds until the usage limit is reset."""
    return rule.retry_after if rule.retry_after is not None else left or LONG


def to_error(rule: Rule, left: float) -> tuple[ApiError, Mapping[str, str]]:
    """The API's answer, and headers of its own."""
    if rule.kind != "quota":
        return ApiError(rule.status or 500, retry_after=rule.retry_after), {}
    wait = until_reset(rule, left)
    resets = time.time() + wait
    moment = datetime.fromtimestamp(resets, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    said = f"You've hit your usage limit. It resets at {moment}."
    # The real thing is hours away, so that the CLI does not wait for it: nor must it for one that a test makes short.
    error = ApiError(429, said, retry_after=max(round(wait, 3), 0), final=True)
    unified = "anthropic-ratelimit-unified"
    return error, {
        f"{unified}-status": "rejected",
        f"{unified}-representative-claim": "five_hour",
        f"{unified}-reset": f"{resets:.0f}",
        f"{unified}-5h-status": "rejected",
        f"{unified}-5h-reset": f"{resets:.0f}",
        f"{unified}-5h-utilization": "1.0",
    }


async def answer(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """A whole reply."""
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    size = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*raw, size]})
    await send({"type": "http.response.body", "body": body})


async def cut(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """The first part of the reply; then the connection is dropped."""
    start: dict[str, object] = {}
    body = bytearray()

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            body.extend(message.get("body", b""))

    await app(scope, receive, keep)
    await send(start)
    await send({"type": "http.response.body", "body": bytes(body[: int(len(body) * FIRST_PART)]), "more_body": True})
    # The server drops the connection of an app that leaves its reply unfinished.
