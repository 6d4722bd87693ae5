import http.client
import json
import logging
import signal
import socket
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2
import pytest
from anyio.to_thread import run_sync
from load import at_most
from talking import make_attempt

from orchestrator.gateway.model.offline import OfflineModel, open_offline
from orchestrator.gateway.seam import ApiEvent, Call
from orchestrator.gateway.server import open_gateway
from orchestrator.gateway.wire import stream, text_block
from orchestrator.protocols import Upstream

pytestmark = pytest.mark.anyio

BODY = {"model": "some-model", "max_tokens": 100, "messages": [{"role": "user", "content": "What is 2 + 2?"}]}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The run's loop may be either."""
    return str(request.param)


@pytest.fixture
async def gateway() -> AsyncIterator[Upstream]:
    async with open_offline() as upstream:
        yield upstream


class SlowSource(OfflineModel):
    """Begins to answer, and never ends."""

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        return self._endless()

    async def _endless(self) -> AsyncIterator[ApiEvent]:
        for event in stream([text_block("so")], model="m", seed="s", input_tokens=1):
            if event["type"] == "content_block_stop":
                await anyio.sleep_forever()
            yield event


class BrokenSource(OfflineModel):
    """Has a fault."""

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        return self._broken()

    async def _broken(self) -> AsyncIterator[ApiEvent]:
        yield next(stream([], model="m", seed="s", input_tokens=1))
        raise ZeroDivisionError("ah")

    async def count(self, call: Call) -> int:
        raise ZeroDivisionError("oh")

    async def models(self) -> Sequence[Mapping[str, Any]]:
        return []


async def send(upstream: Upstream, method: str, path: str, **given: Any) -> httpx2.Response:
    def request() -> httpx2.Response:
        with httpx2.Client(trust_env=False) as client:
            return client.request(method, upstream.env["ANTHROPIC_BASE_URL"] + path, **given)

    return await run_sync(request)


def read_events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


async def test_a_message_is_answered_as_json(gateway: Upstream) -> None:
    """Without `stream` the reply is one message with the request's model, a stop reason and token counts."""
    response = await send(gateway, "POST", "/v1/messages", json=BODY)
    message = response.json()
    assert response.headers["request-id"].startswith("req_")
    assert message["content"] == [{"type": "text", "text": "[offline model] 2 + 2 = 4"}]
    assert (message["model"], message["stop_reason"], message["type"]) == ("some-model", "end_turn", "message")
    assert message["usage"]["input_tokens"] > 0
    assert message["usage"]["output_tokens"] > 0


async def test_a_message_is_answered_as_a_stream(gateway: Upstream) -> None:
    """With `stream` the events come in the API's order, and together say the same."""
    response = await send(gateway, "POST", "/v1/messages", json=BODY | {"stream": True})
    events = read_events(response.text)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert [event["type"] for event in events] == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[3]["delta"]["text"] == "[offline model] 2 + 2 = 4"


async def test_a_tool_call_comes_in_pieces(gateway: Upstream) -> None:
    """A tool's long input arrives in several deltas that together are its JSON, and stops the reply for the tool."""
    text = "a line\n" * 100
    gateway.announce(make_attempt("go", [{"write": {"path": "/tmp/x", "text": text}}], session_id="s7"))
    body = {**BODY, "stream": True, "messages": [{"role": "user", "content": "go"}]}
    body |= {"tools": [{"name": "Write", "input_schema": {}}]}
    response = await send(gateway, "POST", "/v1/messages", json=body, headers={"X-Claude-Code-Session-Id": "s7"})
    events = read_events(response.text)
    deltas = [event["delta"]["partial_json"] for event in events if event["type"] == "content_block_delta"]
    assert len(deltas) > 1
    assert json.loads("".join(deltas)) == {"file_path": "/tmp/x", "content": text}
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


async def test_the_session_is_read_from_the_metadata_too(gateway: Upstream) -> None:
    """A request without the header is known by its metadata."""
    gateway.announce(make_attempt("go", [{"say": "rehearsed"}], session_id="s8"))
    body = BODY | {"metadata": {"user_id": json.dumps({"session_id": "s8"})}}
    response = await send(gateway, "POST", "/v1/messages", json=body)
    assert response.json()["content"][0]["text"] == "rehearsed"


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (429, "rate_limit_error", "This request would exceed"),
        (401, "authentication_error", "invalid x-api-key"),
        (529, "overloaded_error", "Overloaded"),
        (418, "invalid_request_error", "Invalid request"),
        (503, "api_error", "Internal server error"),
    ],
)
async def test_errors_have_the_apis_shape(gateway: Upstream, status: int, kind: str, message: str) -> None:
    """A rehearsed failure has the API's status, words, request id and retry-after."""
    gateway.announce(make_attempt("go", [{"fail": {"status": status, "retry_after": 3}}]))
    headers = {"x-claude-code-session-id": "s1"}
    response = await send(gateway, "POST", "/v1/messages", json=BODY, headers=headers)
    body = response.json()
    assert response.status_code == status
    assert response.headers["retry-after"] == "3"
    assert (body["type"], body["error"]["type"]) == ("error", kind)
    assert body["error"]["message"].startswith(message)
    assert body["request_id"] == response.headers["request-id"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "model: Field required"),
        (b'{"model": 1, "messages": [], "max_tokens": 1}', "model: Input should be"),
        (b'{"model": "m", "messages": [], "max_tokens": "x"}', "max_tokens: Input should be"),
        (b'{"model": "m", "messages": [], "max_tokens": 1}', "at least one message"),
        (b'{"model": "m", "messages": [{"role": "x"}], "max_tokens": 1}', "messages.0.role"),
        (b'{"model": "m", "messages": [{"role": "user", "content": 3}], "max_tokens": 1}', "messages.0.content"),
    ],
)
async def test_a_malformed_request_is_refused(gateway: Upstream, content: bytes, message: str) -> None:
    """What is no request gets status 400 and a sentence that says why."""
    response = await send(gateway, "POST", "/v1/messages", content=content)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert message in response.json()["error"]["message"]


async def test_the_other_paths(gateway: Upstream) -> None:
    """Tokens are counted, models listed, the root answers HEAD, and all else is not found."""
    assert (await send(gateway, "POST", "/v1/messages/count_tokens", json=BODY)).json()["input_tokens"] > 0
    models = (await send(gateway, "GET", "/v1/models")).json()
    assert models["first_id"] == models["data"][0]["id"] == "offline"
    assert (await send(gateway, "GET", "/v1/models/offline")).json()["type"] == "model"
    assert (await send(gateway, "HEAD", "")).status_code == 200
    assert (await send(gateway, "HEAD", "/")).status_code == 200
    for method, path in (("GET", "/v1/models/other"), ("POST", "/v1/complete"), ("GET", "/v1/messages")):
        response = await send(gateway, method, path)
        assert response.status_code in (404, 405)
        assert response.json()["type"] == "error"


async def test_nothing_is_answered_without_the_secret(gateway: Upstream) -> None:
    """A request that does not carry the secret is not found, whatever it asks."""
    url = urlsplit(gateway.env["ANTHROPIC_BASE_URL"])
    assert len(url.path) > 30
    for prefix in ("", "/x", url.path[:-1]):
        wrong = f"http://{url.netloc}{prefix}/v1/messages"
        response = await run_sync(partial(httpx2.post, wrong, json=BODY, trust_env=False))
        assert response.status_code == 404
        assert response.json()["error"]["type"] == "not_found_error"


async def test_a_fault_is_an_error_of_the_api() -> None:
    """A fault of the source reaches the agent as status 500, or as an event once the stream has begun."""
    async with open_gateway(BrokenSource()) as upstream:
        response = await send(upstream, "POST", "/v1/messages/count_tokens", json=BODY)
        assert response.status_code == 500
        assert "ZeroDivisionError" in response.json()["error"]["message"]
        assert (await send(upstream, "GET", "/v1/models")).json()["first_id"] is None
        cut = await send(upstream, "POST", "/v1/messages", json=BODY | {"stream": True})
        assert [event["type"] for event in read_events(cut.text)] == ["message_start", "error"]


async def test_the_environment_lets_no_credential_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CLI gets a dummy key, no token of the user's, no other provider, and no proxy before the gateway."""
    monkeypatch.setenv("NO_PROXY", "intranet")
    async with open_offline() as upstream:
        env = upstream.env
    assert env["ANTHROPIC_API_KEY"]
    assert {env[name] for name in ("ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_USE_BEDROCK")} == {
        ""
    }
    assert env["NO_PROXY"] == env["no_proxy"] == "intranet,127.0.0.1,localhost"
    assert env["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] == env["DISABLE_AUTOUPDATER"] == "1"


def is_open(upstream: Upstream) -> bool:
    address = urlsplit(upstream.env["ANTHROPIC_BASE_URL"])
    with socket.socket() as probe:
        return probe.connect_ex((str(address.hostname), address.port or 0)) == 0


def gateway_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "gateway"]


async def test_it_is_gone_after_the_block() -> None:
    """The thread has ended, the port is closed and the signal handlers are as before when the block is left."""
    before = signal.getsignal(signal.SIGINT)
    async with open_offline() as upstream:
        assert is_open(upstream)
        assert gateway_threads()
        assert signal.getsignal(signal.SIGINT) is before
    assert not is_open(upstream)
    assert not gateway_threads()


async def test_it_is_gone_after_an_error_or_a_cancellation() -> None:
    """However the block is left, the gateway goes."""
    with pytest.raises(KeyError):
        async with open_offline() as upstream:
            raise KeyError
    assert not is_open(upstream)
    with anyio.CancelScope() as scope:
        async with open_offline() as upstream:
            scope.cancel()
            await anyio.sleep_forever()
    assert not is_open(upstream)
    assert not gateway_threads()


async def test_open_streams_do_not_hold_it(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """A reply that does not end, and one that has not begun, do not delay the end; nothing is printed or logged."""
    with anyio.fail_after(at_most(4)):
        async with open_gateway(SlowSource()) as upstream:
            upstream.announce(make_attempt("go", [{"wait": 3600}, {"say": "late"}]))
            address = urlsplit(upstream.env["ANTHROPIC_BASE_URL"])
            connection = http.client.HTTPConnection(str(address.hostname), address.port)
            connection.request("POST", f"{address.path}/v1/messages", json.dumps(BODY | {"stream": True}))
            response = connection.getresponse()
            assert response.readline() == b"event: message_start\n"
        connection.close()
        response.close()
    assert not gateway_threads()
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_waiting_reply_does_not_hold_it(capfd: pytest.CaptureFixture[str]) -> None:
    """A rehearsed wait of an hour ends with the gateway."""
    with anyio.fail_after(at_most(4)):
        async with open_offline() as upstream:
            upstream.announce(make_attempt("go", [{"wait": 3600}, {"say": "late"}]))
            address = urlsplit(upstream.env["ANTHROPIC_BASE_URL"])
            connection = http.client.HTTPConnection(str(address.hostname), address.port)
            headers = {"x-claude-code-session-id": "s1"}
            connection.request("POST", f"{address.path}/v1/messages", json.dumps(BODY), headers)
            await send(upstream, "GET", "/v1/models")
        connection.close()
    assert capfd.readouterr() == ("", "")
