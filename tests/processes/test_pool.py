"""Warm processes: which tasks share one, which never do, and what makes one go. A fake CLI, the real launcher."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import anyio.to_thread
import pytest
from claude_agent_sdk import SessionKey
from watching import PATIENCE

from orchestrator.agents import clock, member, pool, process
from orchestrator.agents.claude import ClaudeRunner, open_claude
from orchestrator.agents.kinds import Kinds
from orchestrator.events import AgentMessage, SessionStarted
from orchestrator.journal.memory import MemorySessions
from orchestrator.machine import local_machine
from orchestrator.plan.model import Agent
from orchestrator.task import Attempt, Outcome, Result
from orchestrator.testing.samples import Collected
from workspaces import Workspace

pytestmark = [
    pytest.mark.anyio,
    # The SDK's reader leaves a generator of its own unfinished when it is cancelled; trio says so.
    pytest.mark.filterwarnings("ignore:Async generator 'claude_agent_sdk:ResourceWarning"),
]

Asks = Callable[..., Attempt]
WHICH = "env ORCHESTRATOR_LEASE"
"""Asked this, the fake CLI says by what its process is known."""


async def which(claude: ClaudeRunner, attempt: Attempt, workspace: Workspace, events: Any = None) -> str:
    """The process that an attempt is given."""
    result = await claude.run(attempt, workspace, Collected() if events is None else events)
    assert result.ok, result.error
    return result.text


async def test_one_process_serves_many(asks: Asks, here: Workspace) -> None:
    """One after the other, in a session of its own each, with its own price; what is told of it is told of each."""
    events = Collected()
    async with open_claude() as claude:
        results = [await claude.run(asks(WHICH, task=name), here, events) for name in "abc"]
    assert len({result.text for result in results}) == 1
    assert len({result.session_id for result in results}) == 3
    assert [(result.turns, result.cost_usd) for result in results] == [(1, 0.25)] * 3
    told = [event for event in events if isinstance(event, SessionStarted)]
    assert [(event.task, event.session_id, event.how) for event in told] == [
        (result.task, result.session_id, "fresh") for result in results
    ]


async def test_as_many_processes_as_tasks_at_once(asks: Asks, here: Workspace) -> None:
    """Twelve tasks, three at a time: three processes."""
    limiter, found = anyio.Semaphore(3), []

    async def one(claude: ClaudeRunner) -> None:
        async with limiter:
            found.append(await which(claude, asks(WHICH, session_id=str(uuid4())), here))

    async with open_claude() as claude, anyio.create_task_group() as group:
        for _ in range(12):
            group.start_soon(one, claude)
    assert (len(found), len(set(found))) == (12, 3)


async def test_one_is_woken_at_a_time(asks: Asks, here: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of twenty that wait for a place to start in, each start wakes one: nobody looks in vain again and again."""
    looks, choose = [], pool.Pool._choose
    monkeypatch.setattr(pool, "cores", lambda: 1)
    monkeypatch.setattr(pool.Pool, "_choose", lambda *given: looks.append(given) or choose(*given))
    async with open_claude() as claude, anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(which, claude, asks(WHICH, session_id=str(uuid4())), here)
    assert 20 <= len(looks) <= 60


@pytest.mark.parametrize("woken", [True, False])
async def test_one_that_waits_no_more(woken: bool) -> None:
    """Each time somebody is woken one is served, whether or not the first of those that wait is cancelled meanwhile."""
    served = []

    async def wait(pool: pool.Pool, waiter: pool.Waiter, scope: anyio.CancelScope) -> None:
        with scope:
            await pool._wait(waiter)
            served.append(waiter)

    waiters, scopes = [pool.Waiter(Kinds()) for _ in range(3)], [anyio.CancelScope() for _ in range(3)]
    async with pool.open_pool() as opened, anyio.create_task_group() as group:
        opened._waiting.extend(waiters)  # in this order, whoever is first to run
        for waiter, scope in zip(waiters, scopes, strict=True):
            group.start_soon(wait, opened, waiter, scope)
        await anyio.wait_all_tasks_blocked()
        if woken:
            opened._wake()
        scopes[0].cancel()
        await anyio.wait_all_tasks_blocked()
        assert len(served) == woken
        opened._wake()
        await anyio.wait_all_tasks_blocked()
        assert len(served) == 1 + woken
        assert waiters[1] in served
        group.cancel_scope.cancel()


async def test_all_at_work_at_once(asks: Asks, here: Workspace, tmp_path: Path) -> None:
    """Thirty agents, each of which goes on only when all have come to work, and some messages besides."""
    pipe, events = tmp_path / "pipe", Collected()
    os.mkfifo(pipe)
    results = []

    async def one(claude: ClaudeRunner, number: int) -> None:
        attempt = asks(f"meet {pipe}", session_id=str(uuid4()), task=str(number))
        results.append(await claude.run(attempt, here, events))

    def waiting() -> set[str]:
        return {event.task for event in events if isinstance(event, AgentMessage) and event.doing == "waits"}

    async with open_claude() as claude:
        async with anyio.create_task_group() as group:
            for number in range(30):
                group.start_soon(one, claude, number)
            with anyio.fail_after(PATIENCE):
                while len(waiting()) < 30:
                    await anyio.sleep(0.02)
            file = await anyio.to_thread.run_sync(os.open, pipe, os.O_WRONLY)
        os.close(file)
        streamed = Collected()
        assert (await claude.run(asks("stream 30"), here, streamed)).text == "streamed"
    assert [result.ok for result in results] == [True] * 30
    assert sum(isinstance(event, AgentMessage) and event.type == "AssistantMessage" for event in streamed) == 31


@pytest.mark.parametrize(
    "other",
    [
        {"fresh": True},
        {"agent": Agent(model="another")},
        {"agent": Agent(append_system="Be brief.")},
        {"agent": Agent(env={"A": "b"})},
        {"agent": Agent(env={"CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "0"})},
        {"agent": Agent(mcp_servers={"a": {"command": "true"}})},
        {"agent": Agent(talk=True)},
        {"schema": {"type": "object"}},
    ],
)
async def test_what_is_not_alike(asks: Asks, here: Workspace, other: dict[str, Any]) -> None:
    """A task with other options has another process, and one that wants its own gets it."""
    async with open_claude() as claude:
        first = await which(claude, asks(WHICH), here)
        attempt = asks(WHICH, session_id=str(uuid4()), **other)
        result = await claude.run(attempt, here, Collected())
        again = await which(claude, asks(WHICH), here)
    assert result.text != first
    assert result.outcome in (Outcome.OK, Outcome.MISSING_OUTPUT)
    assert again != result.text


@pytest.mark.parametrize(
    ("settings", "alike"),
    [
        ({"permissions": {"deny": ["Bash"]}}, True),
        ({"env": {"A": "b"}}, False),
        ({"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": "true"}]}]}}, False),
        ("{", False),
    ],
)
async def test_settings_of_the_workspace(asks: Asks, here: Workspace, settings: Any, alike: bool) -> None:
    """Where the settings bind a process to its task, or cannot be read, each task has one of its own."""
    folder = here.path / ".claude"
    folder.mkdir()
    folder.joinpath("settings.json").write_text(settings if isinstance(settings, str) else json.dumps(settings))
    async with open_claude() as claude:
        first, second = [await which(claude, asks(WHICH), here) for _ in range(2)]
    assert (first == second) is alike


async def test_settings_that_have_changed(asks: Asks, here: Workspace) -> None:
    """A process that was started under other settings is not taken."""
    async with open_claude() as claude:
        first = await which(claude, asks(WHICH), here)
        here.path.joinpath(".claude").mkdir()
        here.path.joinpath(".claude/settings.json").write_text('{"permissions": {"deny": ["Bash"]}}')
        second = await which(claude, asks(WHICH), here)
        third = await which(claude, asks(WHICH), here)
    assert first != second == third


@pytest.mark.parametrize(
    "file", ["skills/review/SKILL.md", "commands/review.md", "agents/reviewer.md", "output-styles/terse.md"]
)
async def test_what_a_process_has_loaded(asks: Asks, here: Workspace, tmp_path: Path, file: str) -> None:
    """Skills and the like stay as they were when a process began: it is none for another directory, nor for others."""
    there = Workspace(path=tmp_path / "there")
    for place in (here, there):
        path = place.path / ".claude" / file
        path.parent.mkdir(parents=True)
        path.write_text("one")
    async with open_claude() as claude:
        first, again = [await which(claude, asks(WHICH), here) for _ in range(2)]
        elsewhere = await which(claude, asks(WHICH), there)
        here.path.joinpath(".claude", file).write_text("three")
        changed = await which(claude, asks(WHICH), here)
    assert first == again
    assert len({first, elsewhere, changed}) == 3


async def test_what_is_loaded_from_above(asks: Asks, tmp_path: Path) -> None:
    """A skill of the directory that the workspaces are in counts as well."""
    places = [Workspace(path=tmp_path / "all" / name) for name in ("one", "two")]
    for place in places:
        place.path.mkdir(parents=True)
    skill = tmp_path / "all/.claude/skills/review/SKILL.md"
    async with open_claude() as claude:
        first, second = [await which(claude, asks(WHICH), place) for place in places]
        skill.parent.mkdir(parents=True)
        skill.write_text("one")
        assert await which(claude, asks(WHICH), places[1]) != first
    assert first == second


async def test_a_variable_that_has_changed(asks: Asks, here: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process has the variables that it was started with: one set since then is for others."""
    monkeypatch.setenv("A_KEY", "old")
    async with open_claude() as claude:
        assert (await claude.run(asks("env A_KEY"), here, Collected())).text == "old"
        monkeypatch.setenv("A_KEY", "new")
        assert (await claude.run(asks("env A_KEY"), here, Collected())).text == "new"


async def test_a_command_of_the_cli(asks: Asks, here: Workspace) -> None:
    """What `/model` and the like change in a process is gone with the task that asked for it."""
    async with open_claude() as claude:
        result = await claude.run(asks("/model haiku"), here, Collected())
        assert result.ok
        assert not claude._pool._idle


@pytest.mark.parametrize(
    "prompt",
    ["orphan", "error error_max_turns", "error overloaded 529", "crash 1", "nothing", "say  "],
)
async def test_any_doubt_ends_a_process(
    asks: Asks, here: Workspace, leftovers: Callable[[], list[str]], prompt: str
) -> None:
    """After a tool that left something behind, words that nobody asked for, or a bad end, the next has another one."""
    async with open_claude() as claude:
        first = await which(claude, asks(WHICH), here)
        result: Result = await claude.run(asks(prompt), here, Collected())
        assert result.session_id is not None
        second = await which(claude, asks(WHICH), here)
    assert (first == second) is (prompt == "say  ")  # to say nothing is no fault of the process
    assert not leftovers()


async def test_words_that_nobody_asked_for(asks: Asks, here: Workspace) -> None:
    """A process that says something of its own accord while it is idle gets nothing more to do."""
    async with open_claude() as claude:
        first = await which(claude, asks(WHICH), here)
        assert (await claude.run(asks("stray unasked"), here, Collected())).ok
        (idle,) = claude._pool._idle
        with anyio.fail_after(10):
            while not idle.process.messages.statistics().current_buffer_used:
                await anyio.sleep(0.01)
        assert await which(claude, asks(WHICH), here) != first


async def test_the_answer_to_another_task(asks: Asks, here: Workspace) -> None:
    """A result that answers something else is never taken for the task's own, and is the process's last."""
    async with open_claude() as claude:
        first = await which(claude, asks(WHICH), here)
        assert (await claude.run(asks("belated unasked"), here, Collected())).ok
        assert await which(claude, asks(WHICH), here) == first
        assert await which(claude, asks(WHICH), here) != first


async def test_what_a_tool_left_is_gone_with_the_task(asks: Asks, here: Workspace) -> None:
    """When a task ends nothing of it is at work any more, whether its process stays or not."""
    async with open_claude() as claude:
        result = await claude.run(asks("orphan"), here, Collected())
        pid = int(result.text.split()[-1])
        assert not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text()


async def test_a_task_that_is_cut_off_takes_its_process_along(
    asks: Asks, here: Workspace, leftovers: Callable[[], list[str]]
) -> None:
    """One that is cancelled leaves no process to the next, and none at all."""
    async with open_claude() as claude:
        first = await which(claude, asks(WHICH), here)
        with anyio.move_on_after(0.5):
            await claude.run(asks("hang"), here, Collected())
        second = await which(claude, asks(WHICH), here)
    assert first != second
    assert not leftovers()


async def test_after_so_many_tasks(asks: Asks, here: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process serves a number of tasks, and another takes its place."""
    monkeypatch.setattr(pool, "MOST_TASKS", 2)
    async with open_claude() as claude:
        found = [await which(claude, asks(WHICH), here) for _ in range(5)]
    assert [found.count(each) for each in dict.fromkeys(found)] == [2, 2, 1]


async def test_one_that_has_grown(asks: Asks, here: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that takes much more memory than after its first task is no good for others."""
    monkeypatch.setattr(member, "MOST_GROWTH", 50_000_000)
    async with open_claude() as claude:
        first = await which(claude, asks(WHICH), here)
        assert (await claude.run(asks("use 20 0 0"), here, Collected())).ok
        assert await which(claude, asks(WHICH), here) == first
        assert (await claude.run(asks("keep 200"), here, Collected())).ok
        assert await which(claude, asks(WHICH), here) != first


async def test_one_that_nobody_wants(
    asks: Asks, here: Workspace, monkeypatch: pytest.MonkeyPatch, leftovers: Callable[[], list[str]]
) -> None:
    """After a while without a task a process goes."""
    monkeypatch.setattr(pool, "LONGEST_IDLE", 0.2)
    async with open_claude() as claude:
        lease = Path(await which(claude, asks(WHICH), here))
        with anyio.fail_after(10):
            while lease.exists():
                await anyio.sleep(0.02)
        assert await which(claude, asks(WHICH), here) != str(lease)
    assert not leftovers()


async def test_no_more_processes_than_were_wanted_at_once(asks: Asks, here: Workspace) -> None:
    """Before a process for another kind of task is started an idle one goes."""
    async with open_claude() as claude:
        first = Path(await which(claude, asks(WHICH), here))
        await which(claude, asks(WHICH, agent=Agent(model="another")), here)
        with anyio.fail_after(10):
            while first.exists():
                await anyio.sleep(0.02)


async def test_to_another_directory(asks: Asks, here: Workspace, tmp_path: Path) -> None:
    """An idle process of the kind is taken to the next task's directory, from one that may be gone by then."""
    places = [Workspace(path=tmp_path / name) for name in ("one", "two", "three")]
    async with open_claude() as claude:
        first = await which(claude, asks(WHICH), here)
        here.path.rmdir()
        for place in places:
            place.path.mkdir()
            told = await claude.run(asks("cwd"), place, Collected())
            assert told.text == str(place.path)
        assert await which(claude, asks(WHICH), places[-1]) == first


async def test_one_that_cannot_be_moved(asks: Asks, here: Workspace, tmp_path: Path) -> None:
    """A CLI that does not know how to move is no hindrance: another one is started."""
    there = Workspace(path=tmp_path / "there")
    there.path.mkdir()
    async with open_claude() as claude:
        first = await which(claude, asks(WHICH), here)
        assert (await claude.run(asks("settle"), here, Collected())).ok
        second = await which(claude, asks(WHICH), there)
    assert first != second


@pytest.mark.parametrize("prompt", ["wedge", "wedge begun"])
async def test_one_that_hangs_in_its_new_conversation(
    asks: Asks, here: Workspace, monkeypatch: pytest.MonkeyPatch, leftovers: Callable[[], list[str]], prompt: str
) -> None:
    """A good result is not lost, nor kept back for long, when the process that gave it does not go on."""
    monkeypatch.setattr(process, "LONGEST_CLEAR", 0.5)
    monkeypatch.setattr(clock, "LONGEST_EXIT", 1.0)
    async with open_claude() as claude:
        with anyio.fail_after(30):
            result = await claude.run(asks(prompt), here, Collected())
        assert (result.outcome, result.text) == (Outcome.OK, "wedged")
        assert not claude._pool._idle
    assert not leftovers()


async def test_a_directory_made_again(asks: Asks, here: Workspace, tmp_path: Path) -> None:
    """A process that sits in a directory which is no more is not taken for the one that is called like it."""
    async with open_claude() as claude:
        await which(claude, asks(WHICH), here)
        here.path.rename(tmp_path / "away")
        here.path.mkdir()
        assert (await claude.run(asks("say hello"), here, Collected())).ok
        assert (await claude.run(asks("cwd"), here, Collected())).text == str(here.path)


class Failing(MemorySessions):
    """Sessions that cannot be removed any more."""

    async def delete(self, key: SessionKey) -> None:
        raise OSError("the disk is gone")


async def test_what_cannot_be_put_away(asks: Asks, here: Workspace) -> None:
    """A run does not wait for ever for a process whose state cannot be put away, and does not fail because of it."""
    with anyio.fail_after(30):
        async with open_claude(sessions=Failing()) as claude:
            first, second = [await which(claude, asks(WHICH), here) for _ in range(2)]
            (idle,) = claude._pool._idle
            process = idle.process
            process.unused.append((str(asks("").session_id), str(here.path)))
            await member.dismiss(process)
            await which(claude, asks(WHICH), here)
    assert first == second
    assert isinstance(process.error, OSError)


async def test_memory_of_those_that_have_nothing_to_do(asks: Asks, here: Workspace) -> None:
    """What an idle process uses keeps no agent from being started: the next one has it, or it goes."""
    machine = local_machine()
    async with open_claude() as claude:
        assert (await claude.run(asks("keep 50"), here, Collected())).ok
        assert machine.spare > 50_000_000
        assert machine().available >= min(machine().total, machine.look().available + 50_000_000)
        with anyio.move_on_after(0.5):
            await claude.run(asks("hang"), here, Collected())
        assert machine.spare == 0
        assert (await claude.run(asks("keep 50"), here, Collected())).ok
    assert machine.spare == 0


async def test_one_that_is_in_the_way(asks: Asks, here: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where memory is scarce a process does not stay to wait for another task."""
    monkeypatch.setattr(pool, "LOOK", 0.1)
    monkeypatch.setattr(pool, "SCARCE", 2.0)
    async with open_claude() as claude:
        lease = Path(await which(claude, asks(WHICH), here))
        with anyio.fail_after(10):
            while lease.exists():
                await anyio.sleep(0.02)
    assert local_machine().spare == 0
