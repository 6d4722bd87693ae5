"""Processes that are started ahead of their tasks: who is given one, and what becomes of the others. A fake CLI."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest

from orchestrator.agents import pool
from orchestrator.agents.claude import ClaudeRunner, open_claude
from orchestrator.agents.making import Maker
from orchestrator.agents.process import Process
from orchestrator.events import SessionStarted
from orchestrator.machine import cores, local_machine
from orchestrator.plan.model import Agent
from orchestrator.task import Attempt, Outcome
from orchestrator.testing.samples import Collected
from workspaces import Workspace

pytestmark = [
    pytest.mark.anyio,
    # The SDK's reader leaves a generator of its own unfinished when it is cancelled; trio says so.
    pytest.mark.filterwarnings("ignore:Async generator 'claude_agent_sdk:ResourceWarning"),
]

Asks = Callable[..., Attempt]
FRESH = {"fresh": True}


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting for calm."""
    monkeypatch.setattr(pool, "CALM", 0.0)


async def settled(claude: ClaudeRunner, spares: int = 1) -> None:
    """Waits until all spares that are to be started are up, and sees that there are so many."""
    with anyio.fail_after(30):
        while claude._pool._coming or any(not each.process.began.is_set() for each in claude._pool._spares):
            await anyio.sleep(0.01)
    assert len(claude._pool._spares) == spares


def another(attempt: Attempt) -> dict[str, Any]:
    """What makes an attempt like it another one."""
    return {"session_id": str(uuid4()), "task": f"{attempt.task}-2"}


@pytest.mark.parametrize(
    "like",
    [
        {},
        FRESH,
        {"agent": Agent(mcp_servers={"a": {"command": "true"}})},
        {"agent": Agent(talk=True)},
        {"agent": Agent(env={"CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "0"})},
        {"schema": {"type": "object"}},
    ],
    ids=["shared", "fresh", "servers", "tools", "background", "schema"],
)
async def test_the_task_that_was_expected(asks: Asks, here: Workspace, like: dict[str, Any]) -> None:
    """It is given the process that was started for it, in its own directory, with its session and price."""
    events = Collected()
    async with open_claude() as claude:
        claude.expect(asks("argv", **like))
        await settled(claude)
        (session,) = (each.process.session_id for each in claude._pool._spares)
        result = await claude.run(asks("cwd", **like, session_id=str(uuid4())), here, events)
        assert not claude._pool._spares
    assert result.text == str(here.path)
    assert result.session_id == session
    (begun,) = (event for event in events if isinstance(event, SessionStarted))
    assert (begun.directory, begun.session_id, begun.how) == (str(here.path), result.session_id, "fresh")
    assert (result.turns, result.cost_usd) == (1, 0.25)


async def test_a_task_that_was_not_expected(asks: Asks, here: Workspace) -> None:
    """One with other options, or that goes on with a session, has a process that is started for it."""
    async with open_claude() as claude:
        begun = await claude.run(asks("say hello", **FRESH), here, Collected())
        claude.expect(asks("argv", **FRESH))
        await settled(claude)
        for other in ({"agent": Agent(model="another")}, {"agent": Agent(append_system="Be brief.")}):
            said = json.loads((await claude.run(asks("argv", **FRESH, **other), here, Collected())).text)
            assert "--await-claim" not in said
        going_on = await claude.run(asks("argv", resume=begun.session_id), here, Collected())
        assert "--await-claim" not in json.loads(going_on.text)
        await settled(claude)


async def test_one_with_state_of_its_own(asks: Asks, here: Workspace, tmp_path: Path) -> None:
    """An agent whose state is elsewhere, and with it its account, has no process that was started with another's."""
    mine, others = (Agent(env={"CLAUDE_CONFIG_DIR": str(tmp_path / name)}) for name in ("mine", "others"))
    async with open_claude() as claude:
        claude.expect(asks("argv", agent=others))
        await settled(claude)
        said = await claude.run(asks("env CLAUDE_CONFIG_DIR", agent=mine, session_id=str(uuid4())), here, Collected())
        assert said.text == str(tmp_path / "mine")


async def test_a_file_of_servers(asks: Asks, here: Workspace, tmp_path: Path) -> None:
    """It is read when a CLI starts: none is taken that has read another text, or was started where it is not."""
    path, agent = tmp_path / "servers.json", Agent(mcp_servers=str(tmp_path / "servers.json"))
    path.write_text("{}")
    async with open_claude() as claude:
        claude.expect(asks("argv", agent=Agent(mcp_servers="servers.json")))
        await settled(claude, 0)
        claude.expect(asks("argv", agent=agent))
        await settled(claude)
        path.write_text('{"mcpServers": {}}')
        said = json.loads((await claude.run(asks("argv", agent=agent), here, Collected())).text)
        assert "--await-claim" not in said


async def test_a_place_behind_a_link(asks: Asks, here: Workspace, tmp_path: Path) -> None:
    """What is started there may use both of its names; no other process may."""
    (tmp_path / "link").symlink_to(here.path)
    link, leases = Workspace(path=tmp_path / "link"), set()
    async with open_claude() as claude:
        claude.expect(asks("argv"))
        await settled(claude)
        for _ in range(2):
            leases.add((await claude.run(asks("env ORCHESTRATOR_LEASE", **another(asks(""))), link, Collected())).text)
        assert len(leases) == 2
        assert len(claude._pool._spares) == 1


async def test_a_shared_process_that_was_a_spare(asks: Asks, here: Workspace, tmp_path: Path) -> None:
    """It goes on to serve others of its kind; while there is one of those no spare is started for more."""
    async with open_claude() as claude:
        claude.expect(asks("argv"))
        await settled(claude)
        first = await claude.run(asks("env ORCHESTRATOR_LEASE"), here, Collected())
        second = await claude.run(asks("env ORCHESTRATOR_LEASE", **another(asks(""))), here, Collected())
        assert first.text == second.text
        claude.expect(asks("argv"))
        await settled(claude, 0)


async def test_a_spare_serves_one_that_shares_with_nobody(
    asks: Asks, here: Workspace, leftovers: Callable[[], list[str]]
) -> None:
    """When its task is over it goes, as any other process of such a task."""
    async with open_claude() as claude:
        claude.expect(asks("argv", **FRESH))
        await settled(claude)
        first = await claude.run(asks("env ORCHESTRATOR_LEASE", **FRESH), here, Collected())
        assert not claude._pool._all
        second = await claude.run(asks("env ORCHESTRATOR_LEASE", **FRESH), here, Collected())
        assert first.text != second.text
    assert not leftovers()


async def test_no_more_than_cores(asks: Asks, leftovers: Callable[[], list[str]]) -> None:
    """However many tasks are expected; and those that wait in the end are gone with the run."""
    async with open_claude() as claude:
        for number in range(cores() + 3):
            claude.expect(asks("argv", task=f"t{number}", **FRESH))
        await settled(claude, cores())
    assert not leftovers()


async def test_one_that_is_still_to_be_started(asks: Asks, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run ends at once though a spare waits for its start."""
    monkeypatch.setattr(pool, "CALM", 1000.0)
    with anyio.fail_after(20):
        async with open_claude() as claude:
            claude._pool._wanted = anyio.current_time()
            claude.expect(asks("argv", **FRESH))


async def test_the_first_of_a_run(asks: Asks, here: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks are expected as soon as the places are taken: those that have these are given processes first."""
    monkeypatch.setattr(pool, "CALM", 1000.0)
    async with open_claude() as claude:
        claude.expect(asks("argv", **FRESH))
        said = json.loads((await claude.run(asks("argv", **FRESH), here, Collected())).text)
        assert "--await-claim" not in said
        assert (claude._pool._coming, claude._pool._spares) == (1, [])


async def test_a_kind_that_has_processes_by_then(asks: Asks, here: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a run's beginning there is none yet; once those at work have theirs, tasks like them need no spare."""
    monkeypatch.setattr(pool, "CALM", 1000.0)
    async with open_claude() as claude:
        claude.expect(asks("argv"))
        assert (await claude.run(asks("say hello"), here, Collected())).ok
        assert claude._pool._coming == 1
        monkeypatch.setattr(pool, "CALM", 0.0)
        claude._pool._stir()
        await settled(claude, 0)


async def test_one_that_is_being_made(asks: Asks, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run ends at once though what a spare needs is only just being made; it does not live on."""
    make, making, ended = Maker.make, anyio.Event(), anyio.Event()

    async def slow(*given: Any, **named: Any) -> Process:
        process = await make(*given, **named)
        making.set()
        await ended.wait()
        return process

    monkeypatch.setattr(Maker, "make", slow)
    with anyio.fail_after(20):
        async with open_claude() as claude:
            claude.expect(asks("argv", **FRESH))
            await making.wait()
            close = claude._pool.close

            async def closed() -> None:
                ended.set()
                await close()

            monkeypatch.setattr(claude._pool, "close", closed)


async def test_scarce_memory(asks: Asks, monkeypatch: pytest.MonkeyPatch, leftovers: Callable[[], list[str]]) -> None:
    """While there is little none is started; one that is there goes, and what it held is not counted any more."""
    monkeypatch.setattr(pool, "LOOK", 0.05)
    before = local_machine().spare
    async with open_claude() as claude:
        claude.expect(asks("argv", **FRESH))
        await settled(claude)
        with anyio.fail_after(10):
            while local_machine().spare == before:
                await anyio.sleep(0.01)
        monkeypatch.setattr(pool, "is_scarce", lambda: True)
        with anyio.fail_after(10):
            while claude._pool._all:
                await anyio.sleep(0.01)
        assert local_machine().spare == before
        claude.expect(asks("argv", **FRESH))
        await settled(claude, 0)
    assert not leftovers()


async def test_one_that_nobody_claims(asks: Asks, here: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while a spare goes, and the task that comes then is served all the same."""
    monkeypatch.setattr(pool, "LONGEST_SPARE", 0.1)
    async with open_claude() as claude:
        claude.expect(asks("argv", **FRESH))
        with anyio.fail_after(20):
            while claude._pool._coming or claude._pool._spares:
                await anyio.sleep(0.01)
        assert (await claude.run(asks("say hello", **FRESH), here, Collected())).text == "hello"


@pytest.mark.parametrize("how", ["unclaimable", "7"])
async def test_a_cli_that_cannot_be_claimed(asks: Asks, here: Workspace, how: str) -> None:
    """The task gets a process of its own; no spare is started again, and those that are there go."""
    agent = Agent(env={"FAKE_CLAUDE": how})
    async with open_claude() as claude:
        for _ in range(2):
            claude.expect(asks("argv", agent=agent, **FRESH))
        with anyio.fail_after(20):
            while claude._pool._coming:
                await anyio.sleep(0.01)
        result = await claude.run(asks("argv", agent=agent, **FRESH), here, Collected())
        if how == "unclaimable":
            assert "--await-claim" not in json.loads(result.text)
            claude.expect(asks("argv", **FRESH))
            await settled(claude, 0)
        else:
            assert result.outcome is Outcome.CRASHED


@pytest.mark.parametrize("settings", [{"env": {"A": "b"}}, {"hooks": {"Stop": [{}]}}])
async def test_settings_of_the_workspace(asks: Asks, here: Workspace, settings: dict[str, Any]) -> None:
    """Where they tie a process to its start, the spare is left alone."""
    here.path.joinpath(".claude").mkdir()
    here.path.joinpath(".claude/settings.json").write_text(json.dumps(settings))
    async with open_claude() as claude:
        claude.expect(asks("argv", **FRESH))
        await settled(claude)
        said = json.loads((await claude.run(asks("argv", **FRESH), here, Collected())).text)
        assert "--await-claim" not in said
