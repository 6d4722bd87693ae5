"""The upstream `replay`: answers agents as they were answered when it was recorded, with no account and no network."""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.to_thread import run_sync
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.errors import UsageError
from orchestrator.events import RequestNoted
from orchestrator.gateway.app import build_app
from orchestrator.gateway.bodies import given_again, read_body
from orchestrator.gateway.callers import Caller, Callers
from orchestrator.gateway.errors import ApiError
from orchestrator.gateway.model.conversation import is_small
from orchestrator.gateway.model.offline import OfflineModel
from orchestrator.gateway.passing.forwarding import while_there
from orchestrator.gateway.recording.blurring import unlike
from orchestrator.gateway.recording.canon import asked, canonical
from orchestrator.gateway.recording.exchanges import Exchange
from orchestrator.gateway.recording.matching import Tapes, told_left
from orchestrator.gateway.recording.places import Places, places_of
from orchestrator.gateway.recording.reading import read_recording
from orchestrator.gateway.recording.replies import spell
from orchestrator.gateway.seam import ApiEvent, Call
from orchestrator.gateway.server import open_gateway
from orchestrator.gateway.wire import estimate_tokens, stream, text_block
from orchestrator.protocols import Emit, Traffic, Upstream, ignore
from orchestrator.task import Attempt

HELD = 15.0
"""Seconds that an agent waits for an answer that never came in the recording: there it was ended, as one whose vote was
not needed any more, and so it should be here."""

USER = "user"
OWN_SETTINGS = (
    "its agent has `settings: [user]`, of which there are none in a replay, but for the user's CLAUDE.md, which makes "
    "no difference: leave it out of plans that are recorded"
)


@asynccontextmanager
async def open_replay(traffic: Traffic) -> AsyncIterator[Upstream]:
    """A gateway whose answers come from `traffic.replay`. Tells at the end what was never asked for.

    Raises UsageError for a file that cannot be replayed; InternalError.
    """
    if traffic.replay is None:
        raise UsageError("replay: found no recording, expected a file, as --replay FILE or open_run(replay=FILE)")
    recording = await run_sync(read_recording, traffic.replay)
    replay = Replay(await run_sync(Tapes, recording))
    async with open_gateway(replay, traffic) as upstream:
        yield upstream
    if left := replay.left:
        print(f"replay: {told_left(left)}", file=sys.stderr)  # noqa: T201 - the plan may have changed


class Replay:
    """Answers each request as it was answered before. Fulfils `Service` and `Source`."""

    account = False

    def __init__(self, tapes: Tapes) -> None:
        self._tapes = tapes
        # The CLI says other things to other models, so that the requests of those that name none would differ.
        default = {"ANTHROPIC_MODEL": tapes.default_model} if tapes.default_model else {}
        self.env: Mapping[str, str] = {**OfflineModel.env, **default}
        self._callers = Callers()
        self._places: dict[str, Places] = {}
        self._given: set[str] = set()
        self._told: set[tuple[str | None, str]] = set()
        self._unmatched: set[str] = set()
        """Tasks of which it was told that they asked what the recording has not."""

    @property
    def left(self) -> Mapping[str | None, int]:
        """How many answers were never asked for, by task."""
        return self._tapes.unasked()

    def build_app(self, prefix: str) -> ASGIApp:
        """Parses requests, and has them answered here as long as somebody waits for it."""
        app = build_app(self, prefix)

        async def watching(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return await app(scope, receive, send)
            body = given_again(await read_body(receive), nothing)
            return await while_there(receive, lambda: app(scope, body, send))

        return watching

    def announce(self, attempt: Attempt, emit: Emit = ignore) -> None:
        """Notes whose requests the attempt's are."""
        self._callers.note(attempt, emit)

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        """The reply as it was. Raises ApiError: one that was recorded, or one that says what does not match."""
        caller = self._callers.of(call.session_id)
        places = self._places_of(caller, call.session_id)
        # In a thread: of a long conversation it takes milliseconds, in which no other stream would go on.
        request = await run_sync(lambda: places.hide(asked(call.body)))
        canon = await run_sync(canonical, request)
        task = caller.task if caller else None
        exchange = self._tapes.find(task, canon)
        if exchange is None:
            if self._tapes.was_ended(task, canon):
                await asyncio.sleep(HELD)
            return self._without(call, caller, canon)
        if caller and (differing := await run_sync(unlike, exchange.request or {}, request)):
            self._tell(caller, *differing)
        if exchange.status >= 400:
            raise error_of(exchange)
        return as_stream(places.show(self._anew(exchange)))

    async def count(self, call: Call) -> int:
        """About how many tokens the call has."""
        return estimate_tokens(call.body)

    async def models(self) -> Sequence[Mapping[str, Any]]:
        """Those of the offline model."""
        return await OfflineModel().models()

    def _without(self, call: Call, caller: Caller | None, canon: Mapping[str, Any]) -> AsyncIterator[ApiEvent]:
        """What the CLI asks for itself gets some answer. Raises ApiError for everything else."""
        if is_small(call.body, call.headers):
            seed, model = uuid.uuid4().hex[:20], str(call.body["model"])
            return as_events(list(stream([text_block("replay")], model=model, seed=seed, input_tokens=1)))
        why = self._tapes.explain(caller.task if caller else None, canon)
        also = hint(caller)
        # The CLI sends a request that is refused a few times more, in other words, and so do further attempts.
        if caller and caller.attempt.task not in self._unmatched:
            attempt = caller.attempt
            self._unmatched.add(attempt.task)
            caller.emit(
                RequestNoted(
                    task=attempt.task,
                    attempt=attempt.number,
                    note="unmatched",
                    text=why.short + also,
                    details=why.details,
                )
            )
        raise ApiError(400, f"replay: {why.short}{also}", final=True)

    def _tell(self, caller: Caller, recorded: str, found: str) -> None:
        """Says, once for each such text, that it was taken as the same."""
        attempt = caller.attempt
        if (attempt.task, found) not in self._told:
            self._told.add((attempt.task, found))
            text = f"recorded {recorded}, found {found}: a date, an id or a time alone, taken as the same"
            caller.emit(RequestNoted(task=attempt.task, attempt=attempt.number, note="alike", text=text))

    def _anew(self, exchange: Exchange) -> Mapping[str, Any]:
        """The recorded message; given once more it has another id: the CLI takes two of one id for one message."""
        reply = exchange.reply or {}
        name = str(reply.get("id"))
        if name in self._given:
            return {**reply, "id": f"{name}{uuid.uuid4().hex[:8]}"}
        self._given.add(name)
        return reply

    def _places_of(self, caller: Caller | None, session_id: str | None) -> Places:
        if caller is None:
            return Places(())
        known = caller.attempt.session_id
        if known not in self._places:
            self._places[known] = places_of(caller.attempt, session_id)
        return self._places[known]


def hint(caller: Caller | None) -> str:
    """What else may be the reason that a request of the caller's was not recorded."""
    return f" ({OWN_SETTINGS})" if caller and USER in caller.attempt.agent.settings else ""


async def nothing() -> Message:
    """What comes behind a request: whether the client has gone is watched elsewhere."""
    await anyio.sleep_forever()
    raise AssertionError("not reached")


def error_of(exchange: Exchange) -> ApiError:
    """The error that was recorded."""
    said = (exchange.reply or {}).get("error")
    after = exchange.headers.get("retry-after")
    return ApiError(
        exchange.status,
        said.get("message") if isinstance(said, Mapping) else None,
        float(after) if after and after.replace(".", "", 1).isdigit() else None,
        final=exchange.headers.get("x-should-retry") == "false",
    )


async def as_stream(message: Mapping[str, Any]) -> AsyncIterator[ApiEvent]:
    """The message, or the error that a stream ended with, as events."""
    if message.get("type") == "error":
        error = message.get("error") or {}
        raise ApiError(500, error.get("message"))
    for event in spell(message):
        yield event


async def as_events(events: Sequence[ApiEvent]) -> AsyncIterator[ApiEvent]:
    for event in events:
        yield event
