"""What the gateway does about refusals, and what it tells of requests."""

import gzip
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
from anyio.to_thread import run_sync
from load import at_most
from raw_api import Answer, RawApi, Received, Wire, raw_api
from talking import make_attempt
from wires import answered, dial, exchange, unchunked

from orchestrator.events import ApiPaused, ApiSignal, Event, RequestAnswered
from orchestrator.gateway.passing.anthropic import open_anthropic
from orchestrator.plan.model import Limits
from orchestrator.protocols import Traffic, Upstream

pytestmark = pytest.mark.anyio

KEY = "sk-ant-api03-" + "k" * 40
BODY = json.dumps({"model": "asked", "stream": True, "messages": [{"role": "user", "content": "word " * 400}]}).encode()
USAGE = {"input_tokens": 7, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 90, "output_tokens": 1}
EVENTS: Sequence[dict[str, Any]] = (
    {"type": "message_start", "message": {"id": "m", "model": "answered", "usage": USAGE}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "message_delta usage"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 25}},
    {"type": "message_stop"},
)
STREAM = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in EVENTS).encode()


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The run's loop may be either."""
    return str(request.param)


class Script:
    """Answers one request after the other with what it was given, and all further ones with the stream."""

    def __init__(self, *answers: tuple[int, dict[str, str]], body: bytes = STREAM, **headers: str) -> None:
        self.answers = list(answers)
        self.times: list[float] = []
        self._body, self._headers = body, {"content-type": "text/event-stream", **headers}

    async def __call__(self, request: Received, wire: Wire) -> None:
        self.times.append(time.monotonic())
        status, headers = self.answers.pop(0) if self.answers else (200, self._headers)
        body = self._body if status == 200 else b'{"type": "error", "error": {"type": "x", "message": "no"}}'
        lines = [f"HTTP/1.1 {status} So", *(f"{name}: {value}" for name, value in headers.items())]
        await wire.say("\r\n".join([*lines, f"content-length: {len(body)}"]).encode() + b"\r\n\r\n" + body)


class Told:
    """What a run was told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.threads: set[int] = set()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self.threads.add(threading.get_ident())

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@contextmanager
def gateway_to(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> Iterator[RawApi]:
    with raw_api(answer) as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        yield api


def ask(upstream: Upstream, session: str = "s1", path: str = "/v1/messages?beta=true") -> bytes:
    headers = {"X-Claude-Code-Session-Id": session, "X-Api-Key": KEY, "Authorization": f"Bearer {KEY}"}
    return exchange(upstream, "POST", path, headers, BODY)


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Has requests of the session `s1` answered by a script, one after the other; the answers, and what was told."""

    async def talked(answer: Answer, count: int = 1, traffic: Traffic | None = None) -> tuple[list[bytes], Told]:
        told = Told()
        with gateway_to(answer, monkeypatch):
            async with open_anthropic(traffic or Traffic()) as upstream:
                upstream.announce(make_attempt("go", session_id="s1"), told)
                answers = [await run_sync(ask, upstream) for _ in range(count)]
        return answers, told

    return talked


def status(raw: bytes) -> int:
    return int(answered(raw)[0].split()[1])


async def test_a_request_is_metered(talk: Callable[..., Any]) -> None:
    """Tokens as the answer tells them, the model that answered, times, and whose it was, in the run's own thread."""
    _, told = await talk(Script())
    [event] = told.of(RequestAnswered)
    assert (event.task, event.attempt, event.model, event.status) == ("t", 1, "answered", 200)
    tokens = event.input_tokens, event.cache_read_tokens, event.cache_write_tokens, event.output_tokens
    assert tokens == (7, 1000, 90, 25)
    assert 0 < event.first_token_s <= event.seconds < 10
    assert (event.retries, event.refused) == (0, 0)
    assert told.threads == {threading.get_ident()}


@pytest.mark.parametrize("size", [1, 3, 100, 5000])
async def test_chunks_of_any_size_are_read(size: int, talk: Callable[..., Any]) -> None:
    """Wherever a stream is divided, also in a packed one, the meter reads the same, and the bytes are the same."""
    for packed in (False, True):
        whole = gzip.compress(STREAM) if packed else STREAM

        async def answer(request: Received, wire: Wire, whole: bytes = whole, packed: bool = packed) -> None:
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
            head += b"content-encoding: gzip\r\n" if packed else b""
            pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
            chunks = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
            await wire.say(head + b"transfer-encoding: chunked\r\n\r\n", *chunks, b"0\r\n\r\n")

        [raw], told = await talk(answer)
        assert unchunked(answered(raw)[2]) == (whole, True)
        [event] = told.of(RequestAnswered)
        assert (event.cache_read_tokens, event.output_tokens) == (1000, 25)


async def test_an_answer_that_is_no_stream_is_metered(talk: Callable[..., Any]) -> None:
    """A message as one JSON document tells the same."""
    message = {"type": "message", "model": "answered", "usage": USAGE | {"output_tokens": 25}}
    _, told = await talk(Script(body=json.dumps(message).encode(), **{"content-type": "application/json"}))
    [event] = told.of(RequestAnswered)
    assert (event.input_tokens, event.output_tokens, event.model) == (7, 25, "answered")


async def test_an_answer_that_cannot_be_read_is_metered_as_far_as_that_goes(talk: Callable[..., Any]) -> None:
    """Nonsense passes as it is, and counts as a request without tokens."""
    nonsense = b"data: {message_start\n\ndata: message_delta]\n" + bytes(range(256))
    [raw], told = await talk(Script(body=nonsense))
    assert answered(raw)[2] == nonsense
    [event] = told.of(RequestAnswered)
    assert (event.status, event.input_tokens, event.model) == (200, 0, "asked")


async def test_a_429_is_not_seen_by_the_client(talk: Callable[..., Any]) -> None:
    """The gateway pauses for its Retry-After and sends the request again; the run is told of the pause, and of why."""
    script, begun = Script((429, {"retry-after": "1"})), time.time()
    [raw], told = await talk(script)
    assert (status(raw), answered(raw)[2]) == (200, STREAM)
    assert script.times[1] - script.times[0] >= 1.0
    [event], [paused], [signal] = told.of(RequestAnswered), told.of(ApiPaused), told.of(ApiSignal)
    assert (event.status, event.retries, event.refused) == (200, 1, 1)
    assert event.queued_s >= 0.9
    assert begun + 1 <= paused.until <= time.time()
    assert (signal.signal, signal.source, signal.status, signal.retry_after) == ("rate_limit", "gateway", 429, 1.0)
    assert told.events.index(paused) < told.events.index(event)


async def test_a_429_pauses_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one waits for its second chance no other request is sent, of whichever session."""
    script = Script((429, {"retry-after": "1"}))
    with gateway_to(script, monkeypatch):
        async with open_anthropic() as upstream, anyio.create_task_group() as group:
            group.start_soon(run_sync, ask, upstream)
            with anyio.fail_after(60):
                while not script.times:
                    await anyio.sleep(0.01)
            await anyio.sleep(0.2)
            for number in range(3):
                group.start_soon(run_sync, ask, upstream, f"other{number}")
    assert len(script.times) == 5
    assert script.times[1] - script.times[0] > 0.9


async def test_a_usage_limit_is_passed_on_at_once(talk: Callable[..., Any]) -> None:
    """A Retry-After of more than a minute is no matter of pacing: the client is told not to try again, the run until
    when it is."""
    script = Script((429, {"retry-after": "3600"}))
    [raw], told = await talk(script)
    assert (status(raw), answered(raw)[1][b"x-should-retry"]) == (429, b"false")
    assert len(script.times) == 1
    [signal] = told.of(ApiSignal)
    assert (signal.signal, signal.retry_after) == ("quota", 3600)
    assert abs(signal.resets_at - time.time() - 3600) < 10
    assert told.of(ApiPaused) == []


async def test_a_subscriptions_limit_is_a_usage_limit(talk: Callable[..., Any]) -> None:
    """Without a Retry-After the time of its reset says so."""
    resets = int(time.time()) + 7200
    limited = {"anthropic-ratelimit-unified-status": "rejected", "anthropic-ratelimit-unified-reset": str(resets)}
    [raw], told = await talk(Script((429, limited)))
    [signal] = told.of(ApiSignal)
    assert status(raw) == 429
    assert (signal.signal, signal.resets_at) == ("quota", resets)


async def test_an_overloaded_api_is_tried_again_a_few_times(
    talk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 529 that passes is not seen by the client; one that stays is handed to it, after three more attempts."""
    monkeypatch.setattr("orchestrator.gateway.passing.passage.BACK_OFFS", (0.01, 0.01, 0.01))
    [raw], told = await talk(Script((529, {}), (529, {})))
    assert status(raw) == 200
    assert [signal.signal for signal in told.of(ApiSignal)] == ["overloaded"] * 2
    script = Script(*[(529, {})] * 10)
    [raw], _ = await talk(script)
    assert status(raw) == 529
    assert len(script.times) == 4


@pytest.mark.parametrize(("code", "signal"), [(500, "server_error"), (503, "server_error"), (402, "billing")])
async def test_other_errors_are_the_clients(code: int, signal: str, talk: Callable[..., Any]) -> None:
    """They are passed on at once, and the run is told."""
    script = Script((code, {"retry-after": "2"}))
    [raw], told = await talk(script)
    assert status(raw) == code
    assert len(script.times) == 1
    assert [event.signal for event in told.of(ApiSignal)] == [signal]
    assert told.of(RequestAnswered)[0].status == code


async def test_a_login_that_is_refreshed_is_no_signal(talk: Callable[..., Any]) -> None:
    """The CLI answers a first 401 with a new token by itself; a second in a row says that the account is refused."""
    _, told = await talk(Script((401, {}), (200, {}), (401, {}), (401, {})), count=4)
    assert [event.signal for event in told.of(ApiSignal)] == ["auth"]


async def test_requests_keep_to_the_limit(talk: Callable[..., Any]) -> None:
    """At 120 a minute two go at once, and then one each half second; how long they waited is metered."""
    script = Script()
    _, told = await talk(script, 4, Traffic(limits=Limits(requests_per_minute=120)))
    assert script.times[3] - script.times[0] > 0.7
    assert sum(event.queued_s for event in told.of(RequestAnswered)) > 0


async def test_counting_tokens_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests other than for a message do not wait, are not counted and not metered."""
    script, told = Script(), Told()
    with gateway_to(script, monkeypatch):
        async with open_anthropic(Traffic(limits=Limits(requests_per_minute=1))) as upstream:
            upstream.announce(make_attempt("go", session_id="s1"), told)
            with anyio.fail_after(60):
                await run_sync(ask, upstream)
                for _ in range(5):
                    await run_sync(ask, upstream, "s1", "/v1/messages/count_tokens")
    assert len(script.times) == 6
    assert len(told.of(RequestAnswered)) == 1


async def test_limits_that_answers_tell_are_kept_to(talk: Callable[..., Any]) -> None:
    """With 150 requests a minute by the headers, 80 % of these are used: two at once, and then one each half second."""
    script = Script(**{"anthropic-ratelimit-requests-limit": "150"})
    await talk(script, 5)
    assert script.times[4] - script.times[1] > 0.7


async def test_a_request_that_leaves_the_queue_is_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that goes away while it waits costs nothing."""
    script = Script()
    with gateway_to(script, monkeypatch):
        async with open_anthropic(Traffic(limits=Limits(requests_per_minute=20))) as upstream:
            await run_sync(ask, upstream)
            connection, prefix = dial(upstream)
            head = f"POST {prefix}/v1/messages HTTP/1.1\r\nHost: g\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
            connection.sendall(head + BODY)
            await anyio.sleep(0.3)
            connection.close()
            began = time.monotonic()
            await run_sync(ask, upstream, "s2")
            assert time.monotonic() - began < 3 + at_most(1)  # behind the other it would be 6 s
    assert len(script.times) == 2


async def test_an_agent_with_an_account_of_its_own_is_not_paced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its requests go where its own environment has them sent, and neither wait for others' limits nor pause them."""
    theirs = Script((429, {"retry-after": "1"}))
    told = Told()
    with raw_api(theirs) as own, gateway_to(Script(), monkeypatch):
        async with open_anthropic(Traffic(limits=Limits(requests_per_minute=1))) as upstream:
            env = {"ANTHROPIC_BASE_URL": own.url, "ANTHROPIC_API_KEY": "sk-other"}
            upstream.announce(make_attempt("go", session_id="s1", env=env), told)
            with anyio.fail_after(60):
                answers = [await run_sync(ask, upstream) for _ in range(3)]
    assert [status(raw) for raw in answers] == [429, 200, 200]
    assert [event.status for event in told.of(RequestAnswered)] == [429, 200, 200]
    assert told.of(ApiPaused) == []


@pytest.mark.parametrize("env", [{"CLAUDE_CONFIG_DIR": "/another/login"}, {"ANTHROPIC_API_KEY": ""}])
async def test_another_login_is_an_account_of_its_own(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What the governor takes for another account the gateway does not pace either, whichever variable leads to it."""
    told = Told()
    with gateway_to(Script((429, {"retry-after": "1"})), monkeypatch):
        async with open_anthropic(Traffic(limits=Limits(requests_per_minute=1))) as upstream:
            upstream.announce(make_attempt("go", session_id="s1", env=env), told)
            with anyio.fail_after(10):
                answers = [await run_sync(ask, upstream) for _ in range(3)]
    assert [status(raw) for raw in answers] == [429, 200, 200]
    assert told.of(ApiPaused) == []
    assert told.of(ApiSignal) == []


async def test_an_api_that_does_not_answer_has_no_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run counts it among the answers that broke off or never came, as it does what the CLI tells of that."""
    told = Told()
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
    async with open_anthropic() as upstream:
        upstream.announce(make_attempt("go", session_id="s1"), told)
        assert status(await run_sync(ask, upstream)) == 502
    [signal] = told.of(ApiSignal)
    assert (signal.signal, signal.status, signal.reason) == ("cut", None, "no answer: ConnectError")


async def test_unknown_sessions_are_served_and_told_of_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request without an attempt passes all the same."""
    told = Told()
    with gateway_to(Script((429, {"retry-after": "0"})), monkeypatch):
        async with open_anthropic() as upstream:
            upstream.announce(make_attempt("go", session_id="s1"), told)
            raw = await run_sync(ask, upstream, "nobody's")
    assert status(raw) == 200
    assert told.events == []


async def test_what_was_told_last_arrives_before_the_gateway_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that the gateway's own end cuts off is metered as far as it got."""

    async def endless(request: Received, wire: Wire) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        await wire.say(head + b"%x\r\n%s\r\n" % (len(STREAM[:250]), STREAM[:250]))
        await wire.reader.readexactly(1)

    told = Told()
    with gateway_to(endless, monkeypatch):
        async with open_anthropic() as upstream:
            upstream.announce(make_attempt("go", session_id="s1"), told)
            connection, prefix = dial(upstream)
            lines = f"POST {prefix}/v1/messages HTTP/1.1\r\nHost: g\r\nX-Claude-Code-Session-Id: s1\r\n"
            connection.sendall(f"{lines}Content-Length: 0\r\n\r\n".encode())
            with connection.makefile("rb") as file:
                while b"message_start" not in await run_sync(file.readline):
                    pass
        connection.close()
    assert [event.status for event in told.of(RequestAnswered)] == [200]


async def test_no_credential_is_kept_logged_or_shown(
    talk: Callable[..., Any], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither in what is told, nor in what is printed or logged at any level, also when requests fail in every way."""
    caplog.set_level(logging.DEBUG)

    async def cut(request: Received, wire: Wire) -> None:
        assert request.header(b"x-api-key") == KEY.encode()
        await wire.cut()

    answers, told = [], []
    for answer in (Script((429, {"retry-after": "0"}), (401, {}), (500, {})), cut):
        found, events = await talk(answer, 3)
        answers += found
        told += events.events
    captured = capfd.readouterr()
    said = [
        repr(told),
        *map(repr, answers),
        captured.out,
        captured.err,
        *(record.getMessage() for record in caplog.records),
    ]
    said += [repr(record.exc_info) for record in caplog.records]
    assert [text for text in said if KEY in text] == []


async def test_a_connection_that_has_died_meanwhile_is_replaced(talk: Callable[..., Any]) -> None:
    """An API that closed a kept connection is asked on a new one, and the client does not notice."""
    script = Script()
    served = 0

    async def once(request: Received, wire: Wire) -> None:
        nonlocal served
        served += 1
        if served == 2:
            await wire.cut()  # as a server does that closes a connection while the next request is on its way
        else:
            await script(request, wire)

    answers, _ = await talk(once, 2)
    assert [status(raw) for raw in answers] == [200, 200]
