import gzip
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from anyio.to_thread import run_sync
from raw_api import Received, Wire, raw_api
from talking import make_attempt

from orchestrator.errors import UsageError
from orchestrator.events import ApiSignal, Event, RequestNoted
from orchestrator.gateway.model.offline import open_offline
from orchestrator.gateway.passing.anthropic import open_anthropic
from orchestrator.gateway.recording.reading import read_recording
from orchestrator.gateway.recording.replay import open_replay
from orchestrator.plan.model import Agent
from orchestrator.protocols import Traffic, Upstream
from workspaces import WorkspaceSpec

pytestmark = pytest.mark.anyio

KEY = "sk-ant-api03-" + "k" * 40
TOOLS = [{"name": "Write", "input_schema": {"type": "object"}}]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The run's loop may be either."""
    return str(request.param)


def body(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": text}], "tools": TOOLS} | more


def headers(session: str = "s1") -> dict[str, str]:
    return {"x-claude-code-session-id": session, "x-api-key": KEY, "authorization": f"Bearer {KEY}"}


def ask(upstream: Upstream, asked: Mapping[str, Any], session: str = "s1") -> httpx2.Response:
    url = f"{upstream.env['ANTHROPIC_BASE_URL']}/v1/messages"
    return httpx2.post(url, json=asked, headers=headers(session), timeout=20, trust_env=False)


def announce(upstream: Upstream, events: list[Event], place: str = "/place/a", **given: Any) -> None:
    attempt = replace(make_attempt("x", **given), workspace=WorkspaceSpec(path=place))
    upstream.announce(attempt, events.append)


@asynccontextmanager
async def offline(events: list[Event], **traffic: Any) -> AsyncIterator[Upstream]:
    async with open_offline(Traffic(**traffic)) as upstream:
        announce(upstream, events)
        yield upstream


async def record(path: Path, *asked: Mapping[str, Any], **traffic: Any) -> list[httpx2.Response]:
    async with offline([], record=path, **traffic) as upstream:
        return [ask(upstream, each) for each in asked]


async def test_a_recording_answers_as_the_model_did(tmp_path):
    """Streams and whole messages come back with the same blocks and figures, in another place and session."""
    path = tmp_path / "a.rec"
    asked = body("Write a haiku about /place/a to hi.txt", system="Primary working directory: /place/a")
    whole, stream = await record(path, asked, asked | {"stream": True})
    events: list[Event] = []
    async with open_replay(Traffic(replay=path)) as upstream:
        announce(upstream, events, "/home/ci/b", session_id="s2", run="r2")
        there = json.loads(json.dumps(asked).replace("/place/a", "/home/ci/b"))
        again, streamed = ask(upstream, there, "s2"), ask(upstream, there | {"stream": True}, "s2")
    expected = json.loads(json.dumps(whole.json()).replace("/place/a", "/home/ci/b"))
    assert again.json()["content"] == expected["content"]
    assert again.json()["content"][0]["input"]["file_path"] == "/home/ci/b/hi.txt"
    assert (again.json()["usage"], again.json()["stop_reason"]) == (expected["usage"], expected["stop_reason"])
    assert streamed.headers["content-type"] == stream.headers["content-type"]
    assert "message_stop" in streamed.text
    assert not [event for event in events if isinstance(event, RequestNoted)]


async def test_no_credential_gets_into_the_file(tmp_path):
    """Neither the headers' nor one that an agent has printed, nor who the user is."""
    path = tmp_path / "a.rec"
    await record(path, body(f"KEY={KEY}", metadata={"user_id": "device-of-mine"}))
    text = path.read_text()
    assert "KEY=⟦credential⟧" in text
    assert KEY not in text
    assert "device-of-mine" not in text


@pytest.mark.parametrize(("folder", "said"), [("work", True), ("other", False)])
async def test_a_file_in_the_agents_sight_is_told(tmp_path, capsys, folder, said):
    """An agent that lists its directory would find another one at each replay."""
    for name in ("work", "other"):
        (tmp_path / name).mkdir()
    async with open_offline(Traffic(record=tmp_path / folder / "a.rec")) as upstream:
        announce(upstream, [], str(tmp_path / "work"))
        ask(upstream, body("x"))
    assert ("it lies where the agents work" in capsys.readouterr().err) == said


async def test_without_texts_only_figures_are_kept(tmp_path):
    """With `texts` off neither prompts nor replies are in the file, but their lengths and tokens are."""
    path = tmp_path / "a.rec"
    await record(path, body("What is 6 * 7, my dear?"), texts=False)
    text = path.read_text()
    assert "dear" not in text
    assert "42" not in json.dumps(json.loads(text.splitlines()[1])["answered"]["blocks"])
    kept = json.loads(text.splitlines()[1])
    assert kept["asked"]["messages"] == 1
    assert kept["answered"]["usage"]["input_tokens"] > 0
    assert kept["seconds"] > 0


async def test_a_request_that_nobody_announced_costs_no_recording(tmp_path: Path) -> None:
    """It is the run's as well: where it comes first, what the file holds of that run stays."""
    path = tmp_path / "a.rec"
    await record(path, body("first"), run="r")
    async with offline([], record=path, run="r") as upstream:
        ask(upstream, body("unknown"), "of nobody")
        ask(upstream, body("second"))
    recording = read_recording(path)
    assert recording.header.run == "r"
    assert [each.task for each in recording.exchanges] == ["t", None, "t"]


async def test_what_passes_is_not_changed(tmp_path, monkeypatch):
    """Bytes and compression of a stream pass as the API sent them; the copy is unpacked."""
    events = [
        {"type": "message_start", "message": {"id": "m1", "role": "assistant", "content": [], "usage": {}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "sig"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ]
    sse = "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in events).encode()
    packed = gzip.compress(sse)

    async def answer(request: Received, wire: Wire) -> None:
        head = (
            f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\nset-cookie: c={KEY}\r\n"
        )
        await wire.say(f"{head}content-length: {len(packed)}\r\n\r\n".encode(), packed[:20], packed[20:])

    path = tmp_path / "a.rec"
    with raw_api(answer) as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        async with open_anthropic(Traffic(record=path)) as upstream:
            announce(upstream, [])
            given = ask(upstream, body("x", stream=True))
    assert given.content == sse
    assert given.headers["content-encoding"] == "gzip"
    kept = read_recording(path).exchanges[0]
    assert kept.reply is not None
    assert kept.reply["content"] == [{"type": "thinking", "thinking": "hm", "signature": "sig"}]
    assert kept.complete
    assert KEY not in path.read_text()


async def test_a_request_that_was_not_recorded_is_refused_and_told_once(tmp_path):
    """An error that nobody tries again says what differs; the run is told once, however often it is asked."""
    path = tmp_path / "a.rec"
    await record(path, body("What is 6 * 7?"))
    events: list[Event] = []
    async with open_replay(Traffic(replay=path)) as upstream:
        announce(upstream, events)
        refused = [ask(upstream, body("What is 6 * 8?")) for _ in range(2)]
        small = ask(upstream, {**body("quota"), "max_tokens": 1})
    assert [each.status_code for each in refused] == [400, 400]
    assert refused[0].headers["x-should-retry"] == "false"
    said = refused[0].json()["error"]["message"]
    assert said == "replay: asked 'What is 6 * 8?', recorded 'What is 6 * 7?': record again with --record"
    (noted,) = [event for event in events if isinstance(event, RequestNoted)]
    assert (noted.note, noted.task) == ("unmatched", "t")
    assert "messages[0].content[0].text differs: recorded 'What is 6 * 7?', found" in noted.details
    assert small.status_code == 200


async def test_a_date_that_was_changed_in_a_prompt_is_said(tmp_path):
    """Dates make no difference, as tools tell many; but that one of a prompt is another is told, once."""
    path = tmp_path / "a.rec"
    await record(path, body("What was paid by 2026-01-05?"))
    events: list[Event] = []
    async with open_replay(Traffic(replay=path)) as upstream:
        announce(upstream, events)
        given = [ask(upstream, body("What was paid by 2026-02-07?")) for _ in range(2)]
    assert [each.status_code for each in given] == [200, 200]
    (noted,) = [event for event in events if isinstance(event, RequestNoted)]
    assert noted.note == "alike"
    assert "recorded 'What was paid by 2026-01-05?', found 'What was paid by 2026-02-07?'" in noted.text


async def test_errors_are_replayed_as_they_were(tmp_path):
    """A refusal is recorded with what it says of another try, and the answer behind it comes behind it again."""
    path = tmp_path / "a.rec"
    asked = body("What is 6 * 7?")
    await record(path, asked, asked, faults=("429:at=1,retry_after=2",))
    async with open_replay(Traffic(replay=path)) as upstream:
        announce(upstream, [])
        first, second = ask(upstream, asked), ask(upstream, asked)
    assert (first.status_code, first.headers["retry-after"]) == (429, "2")
    assert second.json()["content"][0]["text"].endswith("6 * 7 = 42")


async def test_what_was_never_asked_for_is_told_at_the_end(tmp_path, capsys):
    """A plan that asks less than it did has changed."""
    path = tmp_path / "a.rec"
    await record(path, body("What is 6 * 7?"))
    assert f"recorded: {path}: 1 request of 1 task; it holds prompts" in capsys.readouterr().err
    async with open_replay(Traffic(replay=path)):
        pass
    assert "replay: 1 recorded request was not asked for: of t (1)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rule", "status", "type_"),
    [
        ("429:retry_after=2", 429, "rate_limit_error"),
        ("529", 529, "overloaded_error"),
        ("500", 500, "api_error"),
        ("503", 503, "api_error"),
        ("401", 401, "authentication_error"),
        ("402", 402, "billing_error"),
        ("quota", 429, "rate_limit_error"),
    ],
)
async def test_a_fault_has_the_shape_of_the_apis_own(rule, status, type_):
    """Status and body are those of the API; the next request is answered; the run is told."""
    events: list[Event] = []
    async with offline(events, faults=(rule,)) as upstream:
        failed, fine = ask(upstream, body("What is 6 * 7?")), ask(upstream, body("What is 6 * 7?"))
    assert (failed.status_code, failed.json()["error"]["type"]) == (status, type_)
    assert fine.status_code == 200
    assert [event.text for event in events if isinstance(event, RequestNoted)] == [rule]


async def test_a_spent_quota_is_told_with_the_time_of_its_reset():
    """The run learns until when it has to wait."""
    events: list[Event] = []
    async with offline(events, faults=("quota:for=30s",)) as upstream:
        assert ask(upstream, body("What is 6 * 7?")).headers["x-should-retry"] == "false"
    signals = [event for event in events if isinstance(event, ApiSignal)]
    assert [(signal.signal, signal.source, signal.status) for signal in signals] == [("quota", "fault", 429)]
    assert time.time() + 20 < (signals[0].resets_at or 0) < time.time() + 31


async def test_a_usage_limit_tells_when_it_is_reset():
    """The run learns it, as it would from the API, and does not have to try."""
    events: list[Event] = []
    async with offline(events, faults=("quota:retry_after=5",)) as upstream:
        ask(upstream, body("x"))
    (signal,) = [event for event in events if isinstance(event, ApiSignal)]
    assert (signal.signal, signal.source, signal.status, signal.retry_after) == ("quota", "fault", 429, 5.0)
    assert signal.resets_at is not None
    assert signal.resets_at > time.time()


async def test_a_stream_is_cut_in_its_middle():
    """The beginning of the reply comes, and then the connection breaks."""
    got = bytearray()
    async with offline([], faults=("cut",)) as upstream:
        with pytest.raises(httpx2.RemoteProtocolError):
            read_stream(upstream, body("What is 6 * 7?", stream=True), got)
    assert b"message_start" in got
    assert b"message_stop" not in got


def read_stream(upstream: Upstream, asked: Mapping[str, Any], got: bytearray) -> None:
    url = f"{upstream.env['ANTHROPIC_BASE_URL']}/v1/messages"
    with httpx2.stream("POST", url, json=asked, headers=headers(), trust_env=False) as response:
        for piece in response.iter_raw():
            got += piece


async def test_a_broken_reply_is_no_json():
    """Status 200, and a body that nobody can read."""
    async with offline([], faults=("malformed",)) as upstream:
        response = ask(upstream, body("What is 6 * 7?"))
    with pytest.raises(ValueError, match=r".+"):
        response.json()
    assert response.status_code == 200


async def test_what_the_cli_asks_for_itself_is_not_counted():
    """A probe of one token is neither met by a rule nor counted by it."""
    async with offline([], faults=("500:at=2",)) as upstream:
        probe = {**body("quota"), "max_tokens": 1}
        statuses = [ask(upstream, each).status_code for each in (probe, body("1 + 1"), probe, body("2 + 2"))]
    assert statuses == [200, 200, 200, 500]


async def test_faults_are_not_for_the_api(monkeypatch):
    """Nobody's account is asked when rules are to be played."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
    with pytest.raises(UsageError, match="expected the offline model"):
        async with open_anthropic(Traffic(faults=("429",))):
            pass


async def test_the_cli_chooses_no_model_in_a_replay(tmp_path: Path) -> None:
    """For agents whose plan names none it is the one that was recorded of such agents; there is none where each named
    its own, or an agent's agent did."""
    for named, expected in ((None, "of-the-account"), ("of-the-plan", None)):
        path, events = tmp_path / f"{named}.rec", list[Event]()
        async with open_offline(Traffic(record=path)) as upstream:
            assert upstream.env["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] == "1"
            announce(upstream, events, agent=Agent(model=named))
            await run_sync(lambda: ask(upstream, body("one", model="of-the-account")))
            url = f"{upstream.env['ANTHROPIC_BASE_URL']}/v1/messages"  # and two of an agent that it started
            theirs = {**headers(), "x-claude-code-agent-id": "a1"}
            for text in "xy":
                asked = body(text, model="of-another")
                await run_sync(lambda: httpx2.post(url, json=asked, headers=theirs, trust_env=False))  # noqa: B023
        async with open_replay(Traffic(replay=path)) as upstream:
            assert upstream.env.get("ANTHROPIC_MODEL") == expected


async def test_a_recorder_of_the_api_says_what_a_replay_will_leave_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Agents with the user's settings: it is told where the recording is, and again where a request does not match."""
    path, events = tmp_path / "a.rec", list[Event]()

    async def answer(request: Received, wire: Wire) -> None:
        said = json.dumps({"type": "message", "role": "assistant", "content": [], "id": "1"}).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(said)
        await wire.say(head + said)

    with raw_api(answer) as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        async with open_anthropic(Traffic(record=path)) as upstream:
            assert upstream.env["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] == "1"
            announce(upstream, events, agent=Agent(settings=["user"]))
            await run_sync(ask, upstream, body("one"))
    assert "`settings: [user]`" in capsys.readouterr().err
    async with open_replay(Traffic(replay=path)) as upstream:
        announce(upstream, events, agent=Agent(settings=["user"]))
        refused = await run_sync(ask, upstream, body("two"))
        announce(upstream, events)
        other = await run_sync(ask, upstream, body("three"))
    assert "`settings: [user]`" in refused.json()["error"]["message"]
    assert "settings" not in other.json()["error"]["message"]
