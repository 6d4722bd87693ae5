"""Attempts that go on with a session: a fake CLI that keeps transcripts, the real launcher and the real SDK."""

import json
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from watching import UNFINISHED

from orchestrator.agents.claude import open_claude
from orchestrator.events import AgentMessage, Event, SessionStarted
from orchestrator.journal.memory import MemorySessions
from orchestrator.task import Attempt, Outcome
from orchestrator.testing.samples import Collected
from workspaces import Workspace

pytestmark = [pytest.mark.anyio, UNFINISHED]

Asks = Callable[..., Attempt]
FIRST, SECOND, THIRD = (f"5a0c7f9e-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))


def how(events: Collected) -> list[str]:
    return [event.how for event in events if isinstance(event, SessionStarted)]


async def test_it_goes_on(asks: Asks, here: Workspace, tmp_path: Path) -> None:
    """A session goes on in another directory, and by a fork that leaves it as it is."""
    events = Collected()
    tmp_path.joinpath("other").mkdir()
    async with open_claude() as claude:
        await claude.run(asks("say one"), here, events)
        going_on = asks("recall", session_id=SECOND, resume=FIRST)
        second = await claude.run(going_on, Workspace(path=tmp_path / "other"), events)
        fork = asks("recall", session_id=THIRD, resume=FIRST, fork=True)
        third = await claude.run(fork, here, events)
        again = await claude.run(going_on, here, events)
    assert [second.session_id, third.session_id] == [FIRST, THIRD]
    assert json.loads(second.text) == ["say one", "recall"]
    assert json.loads(third.text) == ["say one", "recall", "recall"]
    assert json.loads(again.text) == ["say one", "recall", "recall"]
    assert how(events) == ["fresh", "continued", "forked", "continued"]


async def test_another_machine(asks: Asks, here: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session whose files are not there goes on from what was mirrored while it ran."""
    sessions = MemorySessions()
    async with open_claude(None, sessions) as claude:
        await claude.run(asks("say one"), here, Collected())
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
    for _ in range(2):
        async with open_claude(None, sessions) as claude:
            told = await claude.run(asks("recall", session_id=SECOND, resume=FIRST), here, Collected())
            assert json.loads(told.text)[0] == "say one"
        monkeypatch.setenv("HOME", str(tmp_path / "third"))
    assert json.loads(told.text) == ["say one", "recall", "recall"]


@pytest.mark.parametrize("fork", [False, True])
async def test_a_cli_that_does_not_find_it(asks: Asks, here: Workspace, fork: bool) -> None:
    """When the CLI itself says that the session is gone, the attempt starts anew, or ends as an unknown session."""
    events = Collected()
    async with open_claude() as claude:
        await claude.run(asks("say one"), here, Collected())
        refused = asks("unknown-session", session_id=SECOND, resume=FIRST, fork=fork)
        lost = await claude.run(refused, here, Collected())
        anew = asks("unknown-session", session_id=THIRD, resume=FIRST, fork=fork, otherwise="say anew")
        found = await claude.run(anew, here, events)
    assert lost.outcome is Outcome.UNKNOWN_SESSION
    assert (found.outcome, found.text, found.session_id) == (Outcome.OK, "anew", THIRD)
    assert how(events) == ["forked" if fork else "continued", "fresh"]


async def test_two_on_one_session_queue(asks: Asks, here: Workspace) -> None:
    """Of two attempts at one session the second waits for the first; a fork does not."""
    spoken: list[str] = []

    def emit(event: Event) -> None:
        if isinstance(event, AgentMessage) and event.type in ("AssistantMessage", "ResultMessage"):
            spoken.append(event.task)

    async with open_claude() as claude:
        await claude.run(asks("say one"), here, Collected())
        async with anyio.create_task_group() as group:
            for name in ("a", "b", "c"):
                group.start_soon(claude.run, asks("say more", task=name, resume=FIRST), here, emit)
        async with anyio.create_task_group() as group:
            group.start_soon(claude.run, asks("hang", resume=FIRST), here, Collected())
            fork = await claude.run(asks("recall", session_id=SECOND, resume=FIRST, fork=True), here, Collected())
            group.cancel_scope.cancel()
    assert [one for one, other in zip(spoken[::2], spoken[1::2], strict=True) if one == other] == spoken[::2]
    assert len(spoken) == 6
    assert json.loads(fork.text)[:4] == ["say one", *["say more"] * 3]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # who waits, for 5 s, is the launcher, which has no loop
async def test_a_session_that_another_process_drives(asks: Asks, here: Workspace, tmp_path: Path) -> None:
    """A session that is driven elsewhere is told as busy; a fork of it is possible."""
    locks = tmp_path / "locks"
    async with open_claude(locks=locks) as mine, open_claude(locks=locks) as theirs:
        await mine.run(asks("say one"), here, Collected())
        async with anyio.create_task_group() as group:
            begun = anyio.Event()
            group.start_soon(theirs.run, asks("hang", resume=FIRST), here, lambda _: begun.set())
            await begun.wait()
            busy = await mine.run(asks("say two", resume=FIRST), here, Collected())
            fork = await mine.run(asks("say two", session_id=SECOND, resume=FIRST, fork=True), here, Collected())
            group.cancel_scope.cancel()
        free = await mine.run(asks("say two", resume=FIRST), here, Collected())
    assert busy.outcome is Outcome.SESSION_BUSY
    assert f"another process drives the session {FIRST}: wait for it, or fork it" in (busy.error or "")
    assert (fork.outcome, free.outcome) == (Outcome.OK, Outcome.OK)
