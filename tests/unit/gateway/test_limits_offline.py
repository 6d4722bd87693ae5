"""Limits per minute with the offline model: as they would be with the API."""

import json
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from anyio.to_thread import run_sync
from load import at_most
from starlette.types import Receive, Scope, Send
from talking import make_attempt
from wires import answered, dial, exchange, unchunked

from orchestrator.events import ApiPaused, Event, RequestAnswered
from orchestrator.gateway.model.offline import open_offline
from orchestrator.gateway.passing.rehearsing import HERE, Inside
from orchestrator.gateway.recording.replay import open_replay
from orchestrator.plan.model import Limits
from orchestrator.protocols import Traffic, Upstream

pytestmark = pytest.mark.anyio

TWO_A_SECOND = Limits(requests_per_minute=120)
"""Of which two may come at once."""
BODY = json.dumps(
    {
        "model": "m",
        "max_tokens": 50,
        "stream": True,
        "tools": [{"name": "Read", "input_schema": {}}],
        "messages": [{"role": "user", "content": "go"}],
    }
).encode()


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The run's loop may be either."""
    return str(request.param)


class Told(list[Event]):
    """What a run was told."""

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self if isinstance(event, kind)]


def ask(upstream: Upstream, session: str) -> bytes:
    return exchange(upstream, "POST", "/v1/messages?beta=true", {"X-Claude-Code-Session-Id": session}, BODY)


def status(raw: bytes) -> int:
    return int(answered(raw)[0].split()[1])


async def ask_all(upstream: Upstream, sessions: Sequence[str]) -> tuple[list[bytes], float]:
    """What each was answered when all ask at once, and how many seconds that took."""
    answers, began = [], time.monotonic()

    async def one(session: str) -> None:
        answers.append(await run_sync(ask, upstream, session))

    async with anyio.create_task_group() as group:
        for session in sessions:
            group.start_soon(one, session)
    return answers, time.monotonic() - began


def announce(upstream: Upstream, sessions: Sequence[str]) -> Told:
    told = Told()
    for session in sessions:
        upstream.announce(make_attempt("go", [{"say": "hello"}], session_id=session), told.append)
    return told


async def test_the_offline_model_is_paced() -> None:
    """Four agents that ask at once are answered whole, the last of them a second late; the meter tells who waited."""
    sessions = ["s1", "s2", "s3", "s4"]
    async with open_offline(Traffic(limits=TWO_A_SECOND)) as upstream:
        assert upstream.env["API_TIMEOUT_MS"]
        told = announce(upstream, sessions)
        answers, seconds = await ask_all(upstream, sessions)
    assert [status(raw) for raw in answers] == [200] * 4
    assert all(unchunked(answered(raw)[2])[1] for raw in answers)
    assert all(b"message_stop" in raw for raw in answers)
    assert seconds > 0.95
    assert max(event.queued_s for event in told.of(RequestAnswered)) > 0.1


async def test_without_limits_nobody_waits_offline() -> None:
    """Then there is no queue before the model, and the CLI's own patience is left alone."""
    async with open_offline() as upstream:
        assert "API_TIMEOUT_MS" not in upstream.env


async def test_a_refusal_on_demand_pauses_all() -> None:
    """With limits a fault of 429 does not get to the agent: its request goes once more, after the pause."""
    async with open_offline(Traffic(limits=TWO_A_SECOND, faults=("429:times=1,retry_after=0.3",))) as upstream:
        told = announce(upstream, ["s1"])
        [raw], seconds = await ask_all(upstream, ["s1"])
    assert status(raw) == 200
    assert seconds > 0.29
    [event] = told.of(RequestAnswered)
    assert (event.refused, event.retries) == (1, 1)
    assert len(told.of(ApiPaused)) == 1


async def test_a_reply_that_is_cut_offline_is_cut() -> None:
    """The agent gets a first part, and then its connection ends."""
    async with open_offline(Traffic(limits=TWO_A_SECOND, faults=("cut:times=1",))) as upstream:
        announce(upstream, ["s1"])
        [raw], _ = await ask_all(upstream, ["s1"])
    body, is_whole = unchunked(answered(raw)[2])
    assert b"message_start" in body
    assert not is_whole


async def test_an_agent_that_goes_away_is_answered_no_more() -> None:
    """Its request, which waits for a slow model, is over at once, so that the gateway's end need not wait for it."""
    async with open_offline(Traffic(limits=TWO_A_SECOND, faults=("slow:delay=1h",))) as upstream:
        told = announce(upstream, ["s1"])
        connection, prefix = dial(upstream)
        with connection:
            head = f"POST {prefix}/v1/messages HTTP/1.1\r\nHost: g\r\nX-Claude-Code-Session-Id: s1\r\n"
            connection.sendall(f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
            with anyio.fail_after(60):
                while not told:
                    await anyio.sleep(0.01)
        began = time.monotonic()
    assert time.monotonic() - began < at_most(5)


async def answer_long(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that has more to say than anybody takes."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(10):
        await send({"type": "http.response.body", "body": b"more", "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("taken", [0, 1, 3])
async def test_an_answer_is_over_when_nobody_wants_the_rest(taken: int) -> None:
    """Wherever the model is when its agent goes away, its answer can be closed: else nothing of it were given back."""
    response = await Inside(answer_long, "/p").send(HERE, "POST", (b"/v1/messages", b""), [], b"{}")
    pieces = aiter(cast("AsyncIterator[bytes]", response.stream))
    for _ in range(taken):
        assert await anext(pieces) == b"more"
    await anyio.wait_all_tasks_blocked()  # until the model waits for somebody to take what it says
    with anyio.fail_after(5):
        await response.aclose()


async def test_a_replay_is_not_held_up(tmp_path: Path) -> None:
    """It tells whether all is as it was, and need not take as long."""
    path = tmp_path / "a.rec"
    async with open_offline(Traffic(record=path)) as upstream:
        announce(upstream, ["s1"])
        await ask_all(upstream, ["s1"])
    async with open_replay(Traffic(replay=path, limits=Limits(requests_per_minute=1))) as upstream:
        announce(upstream, ["s1"])
        answers, seconds = await ask_all(upstream, ["s1"] * 3)
    assert [status(raw) for raw in answers] == [200] * 3
    assert seconds < 20
