"""The meter: what each request of an agent took, told to its run. It sees what passes, and changes nothing of it."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.events import ApiSignal, RequestAnswered
from orchestrator.gateway.passing.verdict import Verdict
from orchestrator.gateway.usage import Reader, Unread, Usage, reader_for
from orchestrator.protocols import Emit
from orchestrator.task import Attempt

EXCHANGE = "orchestrator.exchange"
"""Where an app finds the exchange in its ASGI scope."""
OK, TOO_MANY = 200, 429
MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]{1,200})"')


@dataclass(frozen=True, slots=True)
class Known:
    """Whose requests those of a session are."""

    task: str
    attempt: int
    emit: Emit
    address: str | None
    """Where the agent's own environment has them sent."""
    own_account: bool
    reads_user: bool = False
    """Whether the agent reads the user's settings."""

    def signal(self, verdict: Verdict, status: int | None, reason: str = "") -> None:
        """Tells what the API said of how much it takes, if it said anything."""
        if verdict.signal:
            self.emit(
                ApiSignal(
                    task=self.task,
                    attempt=self.attempt,
                    signal=verdict.signal,
                    source="gateway",
                    status=status,
                    retry_after=verdict.retry_after,
                    resets_at=verdict.resets_at,
                    reason=reason,
                    own_account=self.own_account,
                    limit=verdict.limit,
                )
            )


class Sessions:
    """The sessions of the attempts that were announced. Written in the run's thread, read in the gateway's."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}

    def announce(self, attempt: Attempt, emit: Emit) -> None:
        """Notes an attempt's session, and the one that it goes on with."""
        agent = attempt.agent
        address, reads_user = agent.env.get("ANTHROPIC_BASE_URL") or None, "user" in agent.settings
        known = Known(attempt.task, attempt.number, emit, address, agent.own_account, reads_user)
        self._known[attempt.session_id] = known
        if attempt.resume is not None and not attempt.fork:
            self._known[attempt.resume] = known

    def find(self, session: str | None) -> Known | None:
        """Whose the session is; None for one that nobody announced."""
        return self._known.get(session or "")


@dataclass(slots=True)
class Exchange:
    """A request and its answer."""

    session: str | None
    known: Known | None
    """Whose it is."""
    arrived: float
    """On the monotonic clock, s; so are the other times."""
    model: str = ""
    status: int = 0
    sent: float | None = None
    """When it was sent, the last time; None: when it arrived."""
    first: float | None = None
    """When its content began."""
    queued_s: float = 0.0
    retries: int = 0
    refused: int = 0
    """How many of its sendings were answered by 429, without the last."""
    usage: Usage = field(default_factory=Usage)
    reader: Reader = field(default_factory=Unread)
    heed: Callable[[Usage, bool], None] = lambda usage, is_over: None
    """Told when its input is known, and when it is over."""
    told: bool = False

    def ask(self, message: Message) -> None:
        """A piece of the request."""
        if not self.model and (found := MODEL.search(message.get("body", b"")[:100_000])):
            self.model = found[1].decode("utf-8", "replace")

    def answer(self, message: Message, now: float) -> None:
        """A piece of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message["headers"]}
            self.reader = reader_for(headers, self.usage) if self.status == OK else Unread()
        elif body := message.get("body", b""):
            begun, known = self.usage.begun, self.usage.known
            self.reader.feed(body)
            if self.usage.begun and not begun:
                self.first = now
            if self.usage.known and not known:
                self.heed(self.usage, False)

    def event(self, known: Known, now: float) -> RequestAnswered:
        """What is told of it."""
        usage, sent = self.usage, self.sent or self.arrived
        return RequestAnswered(
            task=known.task,
            attempt=known.attempt,
            model=usage.model or self.model,
            status=self.status,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            queued_s=round(self.queued_s, 3),
            first_token_s=round(self.first - sent, 4) if self.first is not None else None,
            seconds=round(now - sent, 4),
            retries=self.retries,
            refused=self.refused + (self.status == TOO_MANY),
        )


def metered(app: ASGIApp, sessions: Sessions) -> ASGIApp:
    """The app, with each request for a message told to its run: before its last piece gets to the agent, which may then
    come to its end."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith("/v1/messages"):
            return await app(scope, receive, send)
        session = session_of(scope)
        exchange = Exchange(session, sessions.find(session), time.monotonic())

        async def hear() -> Message:
            message = await receive()
            exchange.ask(message)
            return message

        async def tell(message: Message) -> None:
            exchange.answer(message, time.monotonic())
            is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if exchange.usage.over or is_last:
                conclude(exchange)
            await send(message)

        try:
            return await app({**scope, EXCHANGE: exchange}, hear, tell)
        finally:
            conclude(exchange)

    return call


def conclude(exchange: Exchange) -> None:
    """Tells of an exchange that is over, once; of one that was not answered, nothing."""
    if exchange.told or not exchange.status:
        return
    exchange.told = True
    exchange.reader.close()
    exchange.heed(exchange.usage, True)
    if exchange.known:
        exchange.known.emit(exchange.event(exchange.known, time.monotonic()))


def exchange_of(scope: Scope) -> Exchange:
    """The exchange that a request is; one of its own where nobody meters."""
    found: Exchange | None = scope.get(EXCHANGE)
    return found or Exchange(session_of(scope), None, time.monotonic())


def session_of(scope: Scope) -> str | None:
    """The Claude session that a request belongs to."""
    for name, value in scope["headers"]:
        if name == b"x-claude-code-session-id":
            return str(value.decode("latin-1"))
    return None
