"""How a request gets to the API: in its turn, and once more where that helps (`verdict` has who tries what again)."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Protocol

import anyio
import httpcore2
from starlette.types import Send

from orchestrator.errors import UsageError
from orchestrator.events import ApiPaused, RequestDequeued, RequestQueued
from orchestrator.gateway.errors import ApiError
from orchestrator.gateway.meter import TOO_MANY, Exchange, Known
from orchestrator.gateway.passing.client import FAILURES, Address, Headers
from orchestrator.gateway.passing.forwarding import Asked, give, plain, refuse, unreachable
from orchestrator.gateway.passing.guessing import Guess
from orchestrator.gateway.passing.pacing import Sent
from orchestrator.gateway.passing.queue import Queue
from orchestrator.gateway.passing.verdict import Verdict, judge
from orchestrator.gateway.usage import Usage, readable

LONGEST_SILENCE = 600.0
"""Seconds until the first word of an answer. The CLI itself would wait for 360; in the queue it waits for an hour."""
MOST_REFUSALS = 20
"""How often a request is sent again that is answered by 429."""
BRIEF = 1.0
"""Seconds in the queue that are not worth telling of."""
BACK_OFFS = (1.0, 2.0, 4.0)
"""Seconds before a request that met an overloaded API is sent again."""
STALE = (httpcore2.ReadError, httpcore2.WriteError, httpcore2.RemoteProtocolError)
"""What happens on a kept connection that the API has closed just now."""


class Sender(Protocol):
    """What brings requests to the API, or to what stands for it."""

    async def send(
        self, address: Address, method: str, target: tuple[bytes, bytes], headers: Headers, body: bytes
    ) -> httpcore2.Response:
        """The answer, its body not yet read. `target`: path and query. Raises one of `FAILURES`."""
        ...


class Passage:
    """Of all requests of a gateway."""

    def __init__(
        self, client: Sender, address: Address, queue: Queue, guess: Guess, user_address: str | None = None
    ) -> None:
        """`user_address`: the API of agents that read the user's settings, where that is another."""
        self._client = client
        self._address = address
        self._user_address = user_address
        self._queue = queue
        self._guess = guess
        self._denied: set[str | None] = set()
        """Sessions whose last request was answered by 401."""

    async def forward(self, asked: Asked, exchange: Exchange, send: Send) -> None:
        """Has the API answer at once: what does not count, and what is another account's."""
        try:
            async with self._send(asked, exchange) as response:
                await give(response, send)
        except UsageError as error:
            await refuse(ApiError(400, str(error), final=True), send)
        except FAILURES as error:
            await refuse(unreachable(error), send)

    async def converse(self, asked: Asked, exchange: Exchange, send: Send) -> None:
        """Has the API answer a request that counts."""
        try:
            while not await self._try(asked, exchange, send):
                exchange.retries += 1
        except UsageError as error:  # in the agent's own environment
            await refuse(ApiError(400, str(error), final=True), send)
        except FAILURES as error:
            if exchange.known:
                exchange.known.signal(Verdict("cut"), None, f"no answer: {type(error).__name__}")
            await refuse(unreachable(error), send)

    async def _try(self, asked: Asked, exchange: Exchange, send: Send) -> bool:
        """Sends it in its turn; whether the client has its answer. Raises one of `FAILURES`."""
        sent = await self._turn(asked, exchange)
        exchange.heed = partial(self._settle, asked, exchange, sent)
        try:
            async with self._send(asked, exchange) as response:
                headers = plain(response.headers)
                verdict = self._heed(sent, exchange, response.status, headers)
                if verdict.again and may_try(response.status, exchange):
                    await response.aread()
                else:
                    await give(response, send, [(b"x-should-retry", b"false")] if verdict.final else None)
                    return True
        except FAILURES:
            self._queue.pacing.went_well(sent)  # nobody has refused it
            raise
        finally:
            self._close(sent, exchange)
        await self._back_off(response.status, verdict, exchange)
        return False

    async def _turn(self, asked: Asked, exchange: Exchange) -> Sent:
        session = exchange.session or ""
        need = self._guess.need(session, exchange.model, len(asked.body))
        with queued(exchange):
            sent = await self._queue.turn(session, need, again=exchange.retries > 0)
        exchange.sent = time.monotonic()
        return sent

    @asynccontextmanager
    async def _send(self, asked: Asked, exchange: Exchange) -> AsyncIterator[httpcore2.Response]:
        named = self._named(exchange.known)
        address = Address.of(named) if named else self._address
        headers = [
            (name, readable(value.decode("latin-1")).encode("latin-1") if name == b"accept-encoding" else value)
            for name, value in asked.headers
        ]
        target = (asked.path, asked.query)
        try:
            response = await answer(self._client, address, asked, target, headers)
        except STALE:
            response = await answer(self._client, address, asked, target, headers)
        try:
            yield response
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()

    def _named(self, known: Known | None) -> str | None:
        """The API that the agent's own environment names, or else the settings that it reads."""
        if known is None:
            return None
        return known.address or (self._user_address if known.reads_user else None)

    def _heed(self, sent: Sent, exchange: Exchange, status: int, headers: dict[str, str]) -> Verdict:
        """Learns from an answer's status and headers, and tells of them."""
        pacing, now, clock = self._queue.pacing, anyio.current_time(), time.time()
        verdict = judge(status, headers, clock)
        pacing.learn(sent, headers, now)
        if verdict.signal == "rate_limit":
            until = pacing.refused(sent, verdict.retry_after, now)
            if until is not None and exchange.known:
                exchange.known.emit(ApiPaused(until=clock + until - now, reason="the API answers 429"))
        elif verdict.signal not in ("quota", "overloaded"):
            pacing.went_well(sent)
        self._queue.pump()
        if exchange.known and not (verdict.signal == "auth" and self._is_first_denial(exchange)):
            exchange.known.signal(verdict, status)
        if verdict.signal != "auth":
            self._denied.discard(exchange.session)
        return verdict

    def _is_first_denial(self, exchange: Exchange) -> bool:
        """Whether the session was let in before: a login that has run out is refreshed by the CLI itself."""
        first = exchange.session not in self._denied
        self._denied.add(exchange.session)
        return first

    def _settle(self, asked: Asked, exchange: Exchange, sent: Sent, usage: Usage, is_over: bool) -> None:
        """What it has really taken, as soon as it is known."""
        pacing, now = self._queue.pacing, anyio.current_time()
        if usage.known and sent.settled_input is None:
            self._guess.learn_input(exchange.session or "", len(asked.body), usage.counted_input)
            pacing.settle(sent, now, input_tokens=usage.counted_input)
        if is_over:
            pacing.settle(sent, now, output_tokens=usage.output_tokens)
        if usage.over:
            self._guess.learn_output(usage.output_tokens)
        self._queue.pump()

    def _close(self, sent: Sent, exchange: Exchange) -> None:
        """Its answer is over, or has never come."""
        if not exchange.usage.known and sent.settled_input is None:
            self._queue.pacing.settle(sent, anyio.current_time(), input_tokens=0, output_tokens=0)
        self._queue.pacing.close(sent)
        self._queue.pump()

    async def _back_off(self, status: int, verdict: Verdict, exchange: Exchange) -> None:
        if status == TOO_MANY:
            exchange.refused += 1
            return
        overloaded = exchange.retries - exchange.refused
        with queued(exchange):
            await anyio.sleep(max(verdict.retry_after or 0.0, BACK_OFFS[overloaded]))


@contextmanager
def queued(exchange: Exchange) -> Iterator[None]:
    """A block in which a request waits: what that takes is counted, and told when it is not brief."""
    began, known, told = time.monotonic(), exchange.known, False

    def tell(known: Known) -> None:
        nonlocal told
        told = True
        waited = round(time.monotonic() - began, 3)
        known.emit(RequestQueued(task=known.task, attempt=known.attempt, queued_s=waited))

    timer = asyncio.get_running_loop().call_later(BRIEF, tell, known) if known else None
    try:
        yield
    finally:
        exchange.queued_s += time.monotonic() - began
        if timer:
            timer.cancel()
        if known and told:
            known.emit(RequestDequeued(task=known.task, attempt=known.attempt))


def may_try(status: int, exchange: Exchange) -> bool:
    """Whether the gateway sends it once more."""
    if status == TOO_MANY:
        return exchange.refused < MOST_REFUSALS
    return exchange.retries - exchange.refused < len(BACK_OFFS)


async def answer(
    client: Sender, address: Address, asked: Asked, target: tuple[bytes, bytes], headers: Headers
) -> httpcore2.Response:
    """The beginning of the API's answer. Raises one of `FAILURES`, also for a silence that is too long."""
    with anyio.move_on_after(LONGEST_SILENCE):
        return await client.send(address, asked.method, target, headers, asked.body)
    raise httpcore2.ReadTimeout(f"nothing in {LONGEST_SILENCE:g} s")
