import asyncio
import gzip
import json
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from anyio.to_thread import run_sync
from certificates import make_certificate
from raw_api import Answer, RawApi, Received, Wire, raw_api
from talking import make_attempt
from wires import answered, dial, exchange, fixed, read_all, unchunked

from orchestrator.errors import UsageError
from orchestrator.gateway.passing.anthropic import open_anthropic
from orchestrator.protocols import Upstream

pytestmark = pytest.mark.anyio

KEY = "sk-ant-api03-" + "k" * 40
Through = Callable[[Answer], AbstractAsyncContextManager[tuple[RawApi, Upstream]]]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The run's loop may be either."""
    return str(request.param)


@pytest.fixture
def through(monkeypatch: pytest.MonkeyPatch) -> Through:
    """Opens a gateway to a raw server that answers as the test says."""

    @asynccontextmanager
    async def opened(answer: Answer) -> AsyncIterator[tuple[RawApi, Upstream]]:
        with raw_api(answer) as api:
            monkeypatch.setenv("ANTHROPIC_BASE_URL", f"{api.url}/below")
            async with open_anthropic() as upstream:
                yield api, upstream

    return opened


async def test_a_request_arrives_as_it_was(through: Through) -> None:
    """Method, path, query, the headers in their order and the body are the client's own; Host names the API."""
    body = bytes(range(256)) * 40
    headers = {"X-Api-Key": KEY, "Anthropic-Beta": "a,b", "X-Odd": "ä~", "Accept-Encoding": "gzip", "TE": "trailers"}
    headers |= {"Keep-Alive": "timeout=5"}
    async with through(fixed(b"{}")) as (api, upstream):
        await run_sync(exchange, upstream, "POST", "/v1/messages%20x/?beta=true&q=%2F", headers, body)
    request = api.received[0]
    assert request.line == b"POST /below/v1/messages%20x/?beta=true&q=%2F HTTP/1.1"
    assert request.body == body
    assert [(name.lower(), value) for name, value in request.headers] == [
        (b"host", f"127.0.0.1:{api.port}".encode()),
        (b"x-api-key", KEY.encode()),
        (b"anthropic-beta", b"a,b"),
        (b"x-odd", "ä~".encode()),
        (b"accept-encoding", b"gzip"),
        (b"content-length", str(len(body)).encode()),
    ]


async def test_a_request_in_chunks_arrives_whole(through: Through) -> None:
    """Whoever does not tell its length beforehand is served as well: the gateway has all of it, and tells it."""

    def ask(upstream: Upstream) -> bytes:
        connection, prefix = dial(upstream)
        head = (
            f"POST {prefix}/v1/messages HTTP/1.1\r\nHost: g\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        with connection:
            connection.sendall(head.encode() + b'5\r\n{"a":\r\n3\r\n 1}\r\n0\r\n\r\n')
            return read_all(connection)

    async with through(fixed(b"{}")) as (api, upstream):
        raw = await run_sync(ask, upstream)
    assert b"200" in answered(raw)[0]
    [request] = api.received
    assert (request.body, request.header(b"transfer-encoding")) == (b'{"a": 1}', None)


async def test_an_answer_arrives_as_it_was(through: Through) -> None:
    """Status, headers and a compressed body come through untouched, but for the headers of the connection."""
    body = gzip.compress(b'{"type": "message"}' * 100)
    extra = (
        b"Content-Type: application/json",
        b"Content-Encoding: gzip",
        b"request-id: req_1",
        b"X-Two: 1",
        b"X-Two: 2",
    )
    answer = fixed(body, b"418 I'm a teapot", *extra, b"Keep-Alive: timeout=3", b"Set-Cookie: a=b")
    async with through(answer) as (_, upstream):
        raw = await run_sync(exchange, upstream, "GET", "/v1/models", {})
    line, headers, came = answered(raw)
    assert b"418" in line
    assert came == body
    assert (headers[b"content-encoding"], headers[b"request-id"], headers[b"set-cookie"]) == (b"gzip", b"req_1", b"a=b")
    assert raw.count(b"X-Two: ") + raw.count(b"x-two: ") == 2
    assert b"keep-alive" not in headers
    assert b"date" not in headers


async def test_no_cookie_of_one_agent_gets_to_another(through: Through) -> None:
    """What an answer sets is not sent along with the next request."""
    async with through(fixed(b"{}", b"200 OK", b"Set-Cookie: session=mine")) as (api, upstream):
        for _ in range(2):
            await run_sync(exchange, upstream, "GET", "/v1/models", {})
    assert [request.header(b"cookie") for request in api.received] == [None, None]


async def test_a_stream_comes_piece_by_piece(through: Through) -> None:
    """Each piece arrives before the next is sent, wherever its borders are, and together they are the same bytes."""
    pieces = [b"event: mess", b"age_start\ndata: {\xe2\x82", b"\xac}\n", b"\n", b"e" * 70_000, b"\n\n"]
    arrived = threading.Semaphore(0)

    async def answer(request: Received, wire: Wire) -> None:
        await wire.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in pieces:
            await wire.say(b"%x\r\n%s\r\n" % (len(piece), piece))
            assert await asyncio.to_thread(arrived.acquire, True, 10)
        await wire.say(b"0\r\n\r\n")

    def ask(upstream: Upstream) -> bytes:
        connection, prefix = dial(upstream)
        with connection, connection.makefile("rb") as file:
            connection.sendall(f"POST {prefix}/v1/messages HTTP/1.1\r\nHost: g\r\nContent-Length: 0\r\n\r\n".encode())
            while file.readline().strip():
                pass
            found, expected = b"", b""
            for piece in pieces:
                expected += piece
                while len(found) < len(expected):
                    found += file.read(int(file.readline(), 16))
                    file.readline()
                arrived.release()
            assert file.readline() == b"0\r\n"
            return found

    async with through(answer) as (_, upstream):
        assert await run_sync(ask, upstream) == b"".join(pieces)


async def test_large_bodies_pass(through: Through) -> None:
    """Ten megabytes each way are the same bytes at the other end."""
    body = bytes(range(251)) * 42_000
    async with through(fixed(body[::-1])) as (api, upstream):
        raw = await run_sync(exchange, upstream, "POST", "/v1/messages", {}, body)
    assert api.received[0].body == body
    assert answered(raw)[2] == body[::-1]


async def test_a_stream_that_breaks_off_is_passed_on_as_one(through: Through) -> None:
    """The client gets what came, and then its connection is cut, so that it cannot take the answer for whole."""

    async def answer(request: Received, wire: Wire) -> None:
        await wire.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", pause=0.05)
        await wire.cut()

    async with through(answer) as (_, upstream):
        raw = await run_sync(exchange, upstream, "POST", "/v1/messages", {}, b"{}")
    assert unchunked(answered(raw)[2]) == (b"hello", False)


async def test_a_client_that_goes_away_ends_its_request(through: Through) -> None:
    """The API sees the connection closed while it is still answering, and need not go on."""

    async def answer(request: Received, wire: Wire) -> None:
        await wire.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await wire.reader.readexactly(1)

    def leave(upstream: Upstream) -> None:
        connection, prefix = dial(upstream)
        with connection:
            connection.sendall(f"POST {prefix}/v1/messages HTTP/1.1\r\nHost: g\r\nContent-Length: 0\r\n\r\n".encode())
            while b"hello" not in connection.recv(1000):
                pass

    async with through(answer) as (api, upstream):
        await run_sync(leave, upstream)
        assert await run_sync(api.left.wait, 10)


async def test_a_client_that_goes_away_before_the_answer_ends_its_request(through: Through) -> None:
    """The same while the API has not said a word yet."""

    arrived = threading.Event()

    async def answer(request: Received, wire: Wire) -> None:
        arrived.set()
        await wire.reader.readexactly(1)

    def leave(upstream: Upstream) -> None:
        connection, prefix = dial(upstream)
        with connection:
            connection.sendall(f"POST {prefix}/v1/messages HTTP/1.1\r\nHost: g\r\nContent-Length: 0\r\n\r\n".encode())
            assert arrived.wait(10)

    async with through(answer) as (api, upstream):
        await run_sync(leave, upstream)
        assert await run_sync(api.left.wait, 10)


async def test_an_api_that_cannot_be_reached_is_an_error_of_the_apis_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client gets status 502 and the API's JSON, which it knows to try again; no credential is in it."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ANTHROPIC_BASE_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        async with open_anthropic() as upstream:
            raw = await run_sync(exchange, upstream, "POST", "/v1/messages", {"X-Api-Key": KEY}, b"{}")
    line, _, body = answered(raw)
    said: dict[str, Any] = json.loads(body)
    assert b"502" in line
    assert (said["type"], said["error"]["type"]) == ("error", "api_error")
    assert KEY.encode() not in raw


async def test_nothing_passes_without_the_secret(through: Through) -> None:
    """A request to another path is refused, and the API never hears of it."""
    async with through(fixed(b"{}")) as (api, upstream):
        parts = urlsplit(upstream.env["ANTHROPIC_BASE_URL"])

        def ask() -> bytes:
            connection, _ = dial(upstream)
            with connection:
                connection.sendall(
                    f"GET {parts.path}x/v1/models HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n".encode()
                )
                return read_all(connection)

        raw = await run_sync(ask)
    assert b"404" in answered(raw)[0]
    assert api.received == []


async def test_the_users_account_is_left_alone(through: Through) -> None:
    """The environment that agents get has the gateway's address, and blanks nothing of the user's."""
    async with through(fixed(b"{}")) as (_, upstream):
        assert upstream.account
        waits = {"API_TIMEOUT_MS", "BUN_CONFIG_HTTP_IDLE_TIMEOUT"}
        assert set(upstream.env) == {"ANTHROPIC_BASE_URL", "NO_PROXY", "no_proxy", *waits}


@pytest.mark.parametrize("name", ["CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "ANTHROPIC_UNIX_SOCKET"])
async def test_another_api_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents that would go past the gateway are no start, and the error names the variable."""
    monkeypatch.setenv(name, "1")
    with pytest.raises(UsageError, match=name):
        open_anthropic()


async def test_a_proxy_of_the_environment_is_used(through: Through, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request goes to the proxy that HTTP_PROXY names, with the API's whole address; for NO_PROXY's hosts not."""
    async with through(fixed(b"{}")) as (proxy, _):
        monkeypatch.setenv("http_proxy", f"http://me:secret@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://api.invalid")
        async with open_anthropic() as upstream:
            await run_sync(exchange, upstream, "GET", "/v1/models", {})
            monkeypatch.setenv("no_proxy", "api.invalid")
            raw = await run_sync(exchange, upstream, "GET", "/v1/models", {})
    assert [request.line for request in proxy.received] == [b"GET http://api.invalid/v1/models HTTP/1.1"]
    assert proxy.received[0].header(b"proxy-authorization") == b"Basic bWU6c2VjcmV0"
    assert b"502" in answered(raw)[0]


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"])
async def test_certificates_of_the_environment_are_trusted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that an authority of the user's vouches for is spoken to by TLS; without it, it is not."""
    certificate = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with raw_api(fixed(b"{}"), context) as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        async with open_anthropic() as upstream:
            refused = await run_sync(exchange, upstream, "GET", "/v1/models", {})
        monkeypatch.setenv(name, str(certificate))
        async with open_anthropic() as upstream:
            raw = await run_sync(exchange, upstream, "GET", "/v1/models", {})
    assert b"502" in answered(refused)[0]
    assert b"200" in answered(raw)[0]
    assert len(api.received) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANTHROPIC_BASE_URL", "ftp://me:secret@api.invalid"),
        ("ANTHROPIC_BASE_URL", "https://me:secret@api.invalid"),
        ("ANTHROPIC_BASE_URL", f"https://{'secret' * 20}.invalid"),
        ("HTTPS_PROXY", "socks5://me:secret@127.0.0.1:1"),
        ("HTTPS_PROXY", "http://me:secret@127.0.0.1:port"),
    ],
)
async def test_addresses_that_cannot_be_used_are_a_usage_error(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the variable, before anything is started, and tells nothing of what may be secret in it."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://api.invalid")
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=name) as caught:
        open_anthropic()
    assert "secret@" not in str(caught.value)
    assert "me:" not in str(caught.value)


async def test_an_agents_own_address_that_cannot_be_used_is_said_once(through: Through) -> None:
    """Its requests are refused with what is wrong, and the CLI is told not to try again."""
    async with through(fixed(b"{}")) as (api, upstream):
        attempt = make_attempt("x", session_id="s1")
        env = {"ANTHROPIC_BASE_URL": "nowhere"}
        upstream.announce(replace(attempt, agent=attempt.agent.model_copy(update={"env": env})))
        raw = await run_sync(exchange, upstream, "POST", "/v1/messages", {"X-Claude-Code-Session-Id": "s1"}, b"{}")
    line, headers, body = answered(raw)
    assert b"400" in line
    assert headers[b"x-should-retry"] == b"false"
    assert b"ANTHROPIC_BASE_URL" in body
    assert api.received == []


@pytest.mark.parametrize("in_environment", [True, False])
async def test_the_environment_comes_before_the_users_settings(
    in_environment: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Who reads the user's settings asks the API that is named there, unless the environment names one."""
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path))
    attempt = make_attempt("x", session_id="s1")
    with raw_api(fixed(b"{}")) as first, raw_api(fixed(b"{}")) as second:
        (tmp_path / "settings.json").write_text(json.dumps({"env": {"ANTHROPIC_BASE_URL": second.url}}))
        if in_environment:
            monkeypatch.setenv("ANTHROPIC_BASE_URL", first.url)
        async with open_anthropic() as upstream:
            upstream.announce(replace(attempt, agent=attempt.agent.model_copy(update={"settings": ("user",)})))
            await run_sync(exchange, upstream, "POST", "/v1/messages", {"X-Claude-Code-Session-Id": "s1"}, b"{}")
    assert [len(api.received) for api in (first, second)] == ([1, 0] if in_environment else [0, 1])


async def test_a_limit_that_lasts_is_not_tried_again(through: Through) -> None:
    """What the API says of another try gives way to the gateway's word: two of them would be none."""
    answer = fixed(b"{}", b"429 Too Many Requests", b"Retry-After: 600", b"X-Should-Retry: true")
    async with through(answer) as (_, upstream):
        raw = await run_sync(exchange, upstream, "POST", "/v1/messages", {}, b"{}")
    assert raw.lower().count(b"x-should-retry") == 1
    assert answered(raw)[1][b"x-should-retry"] == b"false"


async def test_certificates_that_are_not_there_are_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the variable, before anything is started."""
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", "/nowhere/at/all.pem")
    with pytest.raises(UsageError, match="NODE_EXTRA_CA_CERTS"):
        open_anthropic()
