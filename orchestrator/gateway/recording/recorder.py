"""Keeps what passes a service: requests and replies pass as they are, and a copy of them is written down."""

import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
from anyio.to_thread import run_sync
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.gateway.callers import Caller, session_of
from orchestrator.gateway.model.conversation import is_small
from orchestrator.gateway.outer import Outer
from orchestrator.gateway.recording.canon import asked, canonical, key_of
from orchestrator.gateway.recording.exchanges import Exchange
from orchestrator.gateway.recording.places import Places, places_of
from orchestrator.gateway.recording.replies import UnreadableError, decode, put_together, read_events, read_message
from orchestrator.gateway.recording.writing import Writer, check_free, check_writable
from orchestrator.gateway.seam import Service
from orchestrator.protocols import Emit, Traffic, ignore
from orchestrator.task import Attempt

KEPT = ("messages", "count_tokens", "models")
"""What is recorded, by the end of its path."""
HEADERS = ("content-type", "retry-after", "x-should-retry")
LIMITS = "anthropic-ratelimit-"
CREDENTIALS = ("x-api-key", "authorization", "cookie", "proxy-authorization")
VERSION = re.compile(r"claude-cli/(\S+)")
IN_SIGHT = (
    "it lies where the agents work: they find it when they search or list files, and will not match where it is not "
    "the same: record to a file elsewhere"
)
AS_REPLAYED = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
"""The CLI writes another system prompt without it, and asks for titles; in a replay it is set."""
OWN_SETTINGS = (
    "its agents have `settings: [user]`: where these are more than a CLAUDE.md, no replay will match, for there they "
    "are left out"
)
READABLE = b"gzip"
"""The compression that a copy can be unpacked from, and that is asked for in place of others."""


@asynccontextmanager
async def recorded(service: Service, traffic: Traffic) -> AsyncIterator[Service]:
    """The service, whose traffic is kept in a file; at the end it is told where. Raises UsageError."""
    assert traffic.record is not None
    check_writable(traffic.record)
    if not traffic.overwrite:
        check_free(traffic.record, traffic.run)
    recorder = Recorder(service, Writer(traffic.record, texts=traffic.texts), traffic.run)
    try:
        yield recorder
    finally:
        with anyio.CancelScope(shield=True):
            await run_sync(recorder.close)
        print(recorder.told(), file=sys.stderr)  # noqa: T201 - what it holds must be known


@dataclass
class Passage:
    """A request on its way, as bytes."""

    scope: Scope
    asked: bytearray = field(default_factory=bytearray)
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    answered: bytearray = field(default_factory=bytearray)
    ended: bool = False
    begun: float = field(default_factory=time.monotonic)
    first: float | None = None
    seconds: float = 0.0

    def hear(self, message: Message) -> None:
        """A message from the agent."""
        if message["type"] == "http.request":
            self.asked += message.get("body", b"")

    def note(self, message: Message) -> None:
        """A message to the agent."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], texts_of(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self.answered += message.get("body", b"")
            self.ended = not message.get("more_body", False)
            if self.first is None and message.get("body"):
                self.first = time.monotonic() - self.begun


class Recorder(Outer):
    """A service that keeps what passes it. Fulfils `Service`."""

    def __init__(self, service: Service, writer: Writer, run: str | None = None) -> None:
        """`run`: whose requests they are; None: it is told by the first attempt that makes any."""
        super().__init__(service)
        self._writer = writer
        self._run = run
        self._places: dict[tuple[str, frozenset[str]], Places] = {}
        """By session and what is secret in it: a login may be refreshed meanwhile."""
        self._numbers: Counter[str | None] = Counter()
        self._error: str | None = None
        self._in_sight = False
        """Whether agents work in a directory that holds the file."""
        self._own_settings = False
        """Whether agents have the user's own settings."""
        # One thread: lines are written in the order in which replies ended, and no stream waits for a disk.
        self._thread = ThreadPoolExecutor(1, "recorder")

    @property
    def env(self) -> Mapping[str, str]:
        return {**super().env, **AS_REPLAYED}

    def announce(self, attempt: Attempt, emit: Emit = ignore) -> None:
        """Notes whose requests the attempt's are, and whether it could read the recording."""
        super().announce(attempt, emit)
        self._in_sight = self._in_sight or holds(attempt.workspace.path, self._writer.path)
        self._own_settings = self._own_settings or (self.account and "user" in attempt.agent.settings)

    def build_app(self, prefix: str) -> ASGIApp:
        """The service's app, with a listener."""
        app = self._service.build_app(prefix)

        async def listening(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or what_of(scope, prefix) is None:
                return await app(scope, receive, send)
            passage = Passage(scope)

            async def hearing() -> Message:
                passage.hear(message := await receive())
                return message

            async def noting(message: Message) -> None:
                await send(message)
                passage.note(message)

            try:
                await app(readable(scope), hearing, noting)
            finally:
                passage.seconds = time.monotonic() - passage.begun
                self._thread.submit(self._keep, passage, prefix)

        return listening

    def close(self) -> None:
        """Returns when all is written."""
        self._thread.shutdown()
        self._writer.close()

    def told(self) -> str:
        """Where the recording is, and what it holds; or why it is not whole."""
        path, requests, tasks = self._writer.path, self._writer.requests, len(self._writer.tasks)
        if self._error:
            return f"the recording {path} is not whole and cannot be replayed: {self._error}"
        if not requests:
            return f"nothing was recorded in {path}: no agent has asked anything"
        held = "prompts, replies and what agents read of files" if self._writer.texts else "no texts"
        many = f"{counted(requests, 'request')} of {counted(tasks, 'task')}"
        notes = [text for text, told in ((IN_SIGHT, self._in_sight), (OWN_SETTINGS, self._own_settings)) if told]
        return "\n".join([f"recorded: {path}: {many}; it holds {held}", *notes])

    def _keep(self, passage: Passage, prefix: str) -> None:
        """In the recorder's own thread."""
        try:
            self._write(passage, what_of(passage.scope, prefix) or "")
        except Exception as error:  # an agent's work is not lost for a recording: the end tells
            self._error = self._error or f"{type(error).__name__}: {error}"

    def _write(self, passage: Passage, what: str) -> None:
        headers = texts_of(passage.scope["headers"])
        body = parsed(bytes(passage.asked))
        session = session_of(headers, body)
        caller = self._callers.of(session)
        places = self._places_of(caller, session, headers)
        task = caller.task if caller else None
        self._numbers[task] += 1
        request = places.hide(asked(body))
        exchange = Exchange(
            task=task,
            attempt=caller.attempt.number if caller else 0,
            number=self._numbers[task],
            what=what,
            small=(small := what == "messages" and is_small(body, headers)),
            by_default=what == "messages" and not small and chose_itself(caller, headers),
            key=key_of(canonical(request)) if body else None,
            request=request if body else None,
            status=passage.status,
            headers=kept_headers(passage.headers),
            complete=passage.ended,
            seconds=round(passage.seconds, 4),
            first_s=None if passage.first is None else round(passage.first, 4),
            asked=asked_of(body, len(passage.asked)),
        )
        exchange = with_reply(exchange, passage, places)
        if not self._writer.texts:
            exchange = replace(exchange, request=None, reply=None)
        version = VERSION.search(headers.get("user-agent", ""))
        run = self._run or (caller.attempt.run if caller else "")
        self._writer.keep(run, version[1] if version else None, exchange)

    def _places_of(self, caller: Caller | None, session: str | None, headers: Mapping[str, str]) -> Places:
        if caller is None:
            return Places((), secrets_of(headers))
        secrets = secrets_of(headers)
        known = (caller.attempt.session_id, secrets)
        if known not in self._places:
            self._places[known] = places_of(caller.attempt, session, secrets)
        return self._places[known]


def counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def chose_itself(caller: Caller | None, headers: Mapping[str, str]) -> bool:
    """Whether the CLI has chosen the model by itself. An agent that the agent started may have one of its own."""
    return caller is not None and caller.attempt.agent.model is None and "x-claude-code-agent-id" not in headers


def holds(directory: str | None, path: Path) -> bool:
    """Whether a file is below a directory."""
    return bool(directory) and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory or ""))


def what_of(scope: Scope, prefix: str) -> str | None:
    """What is asked for; None for what is not recorded."""
    path = scope["path"]
    name = path.rstrip("/").rpartition("/")[2]
    return name if path.startswith(f"{prefix}/v1/") and name in KEPT else None


def readable(scope: Scope) -> Scope:
    """The request as it is, but for a compression of the reply that a copy could not be unpacked from."""
    headers = [
        (name, READABLE if name == b"accept-encoding" and READABLE in value else value)
        for name, value in scope["headers"]
    ]
    return {**scope, "headers": headers}


def texts_of(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers as texts, names in lower case."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of a reply that say how to go on."""
    return {name: value for name, value in headers.items() if name in HEADERS or name.startswith(LIMITS)}


def secrets_of(headers: Mapping[str, str]) -> frozenset[str]:
    """What of the headers nobody is to see, in whatever text it turns up."""
    values = [headers[name].removeprefix("Bearer ").strip() for name in CREDENTIALS if name in headers]
    return frozenset(values)


def parsed(body: bytes) -> Mapping[str, Any]:
    """A request's body; empty when there is none that can be read."""
    try:
        read = json.loads(body)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def asked_of(body: Mapping[str, Any], characters: int) -> dict[str, Any]:
    """What remains of a request without its texts."""
    if not body:
        return {}
    counts = {name: len(body[name]) for name in ("messages", "tools") if isinstance(body.get(name), list)}
    return {"model": body.get("model"), **counts, "characters": characters}


def with_reply(exchange: Exchange, passage: Passage, places: Places) -> Exchange:
    """The exchange with what was answered, as far as it can be read."""
    try:
        reply, whole = read_reply(passage)
    except (UnreadableError, KeyError, TypeError, ValueError) as error:
        why = str(error) if isinstance(error, UnreadableError) else "it is no reply of the Messages API"
        return replace(exchange, unreadable=why, complete=False)
    reply = {name: value for name, value in reply.items() if name != "request_id"}
    return replace(
        exchange, reply=places.hide(reply), complete=exchange.complete and whole, answered=answered_of(reply)
    )


def read_reply(passage: Passage) -> tuple[dict[str, Any], bool]:
    """The message or error, and whether it is whole. Raises UnreadableError."""
    body = decode(bytes(passage.answered), passage.headers.get("content-encoding", ""))
    if passage.headers.get("content-type", "").startswith("text/event-stream"):
        return put_together(read_events(body))
    return (dict(read_message(body)), True) if body else ({}, False)


def answered_of(reply: Mapping[str, Any]) -> dict[str, Any]:
    """What remains of a reply without its texts."""
    kept = {name: reply[name] for name in ("model", "stop_reason", "usage") if reply.get(name) is not None}
    blocks = [
        {"type": block.get("type"), "characters": len(json.dumps(block, ensure_ascii=False))}
        for block in reply.get("content") or ()
        if isinstance(block, dict)
    ]
    error = reply.get("error")
    kind = {"error": error.get("type")} if isinstance(error, dict) else {}
    return {**kept, **kind, **({"blocks": blocks} if blocks else {})}
