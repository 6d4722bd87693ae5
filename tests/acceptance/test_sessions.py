"""Sessions are gone on with: after a kill, from another directory, on another machine, as a fork. With the real CLI."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import psutil
import pytest
from load import at_most

from orchestrator.agents.claude import ClaudeRunner, open_claude
from orchestrator.events import AgentMessage, Event, SessionStarted
from orchestrator.gateway.model.offline import OfflineModel
from orchestrator.gateway.seam import ApiEvent, Call
from orchestrator.gateway.server import open_gateway
from orchestrator.journal.memory import MemorySessions
from orchestrator.plan.model import Agent
from orchestrator.protocols import Sessions
from orchestrator.task import Attempt, Outcome, Result
from orchestrator.testing.samples import Collected
from workspaces import Workspace, WorkspaceSpec

pytestmark = [
    pytest.mark.anyio,
    # The SDK's reader leaves a generator of its own unfinished when it is cancelled; trio says so.
    pytest.mark.filterwarnings("ignore:Async generator 'claude_agent_sdk:ResourceWarning"),
]

WORD = "xylophone"


class Holder(OfflineModel):
    """Keeps what it was asked, and does not answer what ends with `Wait.`"""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        self.calls.append(call)
        if "Wait." in json.dumps(call.body["messages"][-1]):
            await asyncio.sleep(600)
        return await super().answer(call)

    @property
    def last(self) -> str:
        """The messages of the last request."""
        return json.dumps(self.calls[-1].body["messages"])


@pytest.fixture
def model() -> Holder:
    return Holder()


@pytest.fixture
def sessions() -> MemorySessions:
    return MemorySessions()


@pytest.fixture
def place(tmp_path: Path) -> Callable[[str], Workspace]:
    """Makes a directory to work in."""

    def place(name: str) -> Workspace:
        tmp_path.joinpath(name).mkdir(exist_ok=True)
        return Workspace(path=tmp_path / name)

    return place


@asynccontextmanager
async def machine(model: Holder, sessions: Sessions | None = None) -> AsyncIterator[ClaudeRunner]:
    """A runner with nothing on its disk."""
    async with open_gateway(model) as upstream, open_claude(upstream, sessions) as claude:
        yield claude


def asks(prompt: str, **other: Any) -> Attempt:
    named = {"run": "r", "task": "t", "number": 1, "agent": Agent(tools=["Read"]), "workspace": WorkspaceSpec()}
    return Attempt(prompt=prompt, **({"session_id": str(uuid4())} | named | other))


def uuids_in(transcript: Path) -> set[str | None]:
    """Of the entries that are written whole."""
    lines = transcript.read_text("utf-8").splitlines(keepends=True)
    return {json.loads(line).get("uuid") for line in lines if line.endswith("\n")} - {None}


async def run_until_killed(
    claude: ClaudeRunner, attempt: Attempt, workspace: Workspace, model: Holder, sessions: Sessions
) -> Result:
    """Kills the CLI while it waits for the API, once its prompt has been mirrored: it writes that a moment later.

    What it writes behind that is mirrored a moment later too, so that is waited for where the file is the user's.
    """
    results: list[Result] = []

    async def run() -> None:
        results.append(await claude.run(attempt, workspace, Collected()))

    async def mirrored() -> bool:
        """As a message; before that it is one of a queue."""
        key = await sessions.find_session(attempt.resume or attempt.session_id)
        entries = (await sessions.load(key) if key else None) or []
        there = {entry.get("uuid") for entry in entries}
        written = Path(os.environ["HOME"]).glob(f".claude/projects/*/{attempt.session_id}.jsonl")
        told = any(entry.get("type") == "user" and attempt.prompt in json.dumps(entry) for entry in entries)
        return told and all(uuids_in(file) <= there for file in written)

    asked = len(model.calls)
    async with anyio.create_task_group() as group:
        group.start_soon(run)
        with anyio.fail_after(120):
            while len(model.calls) == asked or not await mirrored():
                await anyio.sleep(0.02)
        for process in psutil.Process().children(recursive=True):
            if process.name() == "claude":
                process.send_signal(signal.SIGKILL)
    return results[0]


def session_of(events: Collected) -> SessionStarted:
    (found,) = (event for event in events if isinstance(event, SessionStarted))
    return found


async def test_a_killed_session_goes_on(
    model: Holder, sessions: MemorySessions, place: Callable[[str], Workspace]
) -> None:
    """A session whose CLI was killed in mid-turn goes on: in another directory, on another machine, and as a fork."""
    first = asks(f"The word is {WORD}. What is 6 * 7?")
    async with machine(model, sessions) as claude:
        assert (await claude.run(first, place("one"), Collected())).ok
        second = asks("And the second word is glockenspiel. Wait.", resume=first.session_id)
        killed = await run_until_killed(claude, second, place("one"), model, sessions)
        assert killed.outcome is Outcome.KILLED, killed.error
        assert killed.session_id == first.session_id

        events = Collected()
        again = await claude.run(asks("What is 2 * 3?", resume=first.session_id), place("two"), events)
        assert (again.outcome, again.session_id) == (Outcome.OK, first.session_id), again.error
        assert "= 6" in again.text
        assert (session_of(events).how, session_of(events).directory) == ("continued", str(place("two").path))
        assert WORD in model.last
        assert "glockenspiel" in model.last

    async with machine(model, sessions) as claude:
        events = Collected()
        there = await claude.run(asks("What is 2 * 4?", resume=first.session_id), place("three"), events)
        assert (there.outcome, there.session_id) == (Outcome.OK, first.session_id), there.error
        assert WORD in model.last
        assert "What is 2 * 3?" in model.last

        fork = asks("What is 2 * 5?", resume=first.session_id, fork=True)
        events = Collected()
        forked = await claude.run(fork, place("four"), events)
        assert (forked.outcome, forked.session_id) == (Outcome.OK, fork.session_id), forked.error
        assert session_of(events).how == "forked"
        assert "What is 2 * 4?" in model.last

    async with machine(model, sessions) as claude:
        assert (await claude.run(asks("What is 2 * 6?", resume=fork.session_id), place("five"), Collected())).ok
        assert WORD in model.last
        assert "What is 2 * 5?" in model.last
        assert (await claude.run(asks("What is 2 * 7?", resume=first.session_id), place("five"), Collected())).ok
        assert "What is 2 * 4?" in model.last
        assert "What is 2 * 5?" not in model.last


async def test_each_attempt_has_a_price_of_its_own(
    model: Holder, place: Callable[[str], Workspace], anyio_backend: Any
) -> None:
    """A CLI counts a session's cost on; what an attempt cost is told without what was spent before, also to `usd`."""
    first = asks("What is 6 * 7?")
    async with machine(model) as claude:
        one = await claude.run(first, place("one"), Collected())
        limited = asks("What is 6 * 8?", resume=first.session_id, agent=Agent(tools=["Read"], usd=1.9 * one.cost_usd))
        two = await claude.run(limited, place("one"), Collected())
        three = await claude.run(asks("What is 6 * 9?", resume=first.session_id, fork=True), place("one"), Collected())
    assert one.cost_usd > 0
    assert two.outcome is Outcome.OK, two.error
    assert two.cost_usd < 1.5 * one.cost_usd
    assert three.cost_usd < 1.8 * one.cost_usd


async def test_a_session_that_is_gone(model: Holder, place: Callable[[str], Workspace]) -> None:
    """Without a transcript the attempt starts anew with its other prompt, or ends as an unknown session."""
    async with machine(model, MemorySessions()) as claude:
        nothing = await claude.run(asks("What is 6 * 7?", resume=str(uuid4())), place("one"), Collected())
        assert nothing.outcome is Outcome.UNKNOWN_SESSION
        assert model.calls == []
        events = Collected()
        attempt = asks("Go on.", resume=str(uuid4()), otherwise="What is 6 * 8?")
        anew = await claude.run(attempt, place("one"), events)
        assert (anew.ok, anew.session_id, session_of(events).how) == (True, attempt.session_id, "fresh")
        assert "48" in anew.text


async def test_a_cut_off_attempt_has_its_price(model: Holder, place: Callable[[str], Workspace]) -> None:
    """An attempt that is cancelled in its second reply tells what the first has cost, and ends within 2 s."""
    place("one").path.joinpath("a.txt").write_text("Wait.", "utf-8")
    attempt = asks("What is in a.txt?", rehearsal=({"read": "a.txt"}, {"say": "done"}))
    events: list[Event] = []
    async with machine(model, MemorySessions()) as claude, anyio.create_task_group() as group:
        group.start_soon(claude.run, attempt, place("one"), events.append)
        with anyio.fail_after(120):
            while len(model.calls) < 2:
                await anyio.sleep(0.02)
        begun = time.monotonic()
        group.cancel_scope.cancel()
    costs = [event.cost_usd for event in events if isinstance(event, AgentMessage) and event.cost_usd is not None]
    assert len(costs) == 1
    assert costs[0] > 0
    assert time.monotonic() - begun < at_most(6)  # with the guard's dismissal


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_all_is_mirrored(
    model: Holder, sessions: MemorySessions, place: Callable[[str], Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every entry of the conversation that is on the disk is in the mirror too, also when the CLI was killed."""
    home = Path(os.environ["HOME"])
    attempt = asks("The word is glockenspiel. Wait.")
    async with open_gateway(model) as upstream:
        for name, value in upstream.env.items():
            monkeypatch.setenv(name, value)
        async with open_claude(None, sessions) as claude:
            await run_until_killed(claude, attempt, place("one"), model, sessions)
    (file,) = home.glob(f".claude/projects/*/{attempt.session_id}.jsonl")
    on_disk = uuids_in(file)
    mirrored = await sessions.load({"project_key": file.parent.name, "session_id": attempt.session_id})
    assert on_disk
    assert on_disk == {entry.get("uuid") for entry in mirrored or []} - {None}
