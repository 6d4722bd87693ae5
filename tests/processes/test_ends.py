"""No process outlives its attempt or its run, however these end."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import psutil
import pytest
from anyio import to_thread
from load import at_most
from orchestrators import orchestrator
from watching import UNFINISHED, alive

from orchestrator.agents.claude import open_claude
from orchestrator.errors import UsageError
from orchestrator.events import AgentMessage, Event
from orchestrator.task import Attempt, Outcome
from workspaces import Workspace

pytestmark = [pytest.mark.anyio, UNFINISHED]

Asks = Callable[..., Attempt]
Leftovers = Callable[[], list[str]]


class CancelsAt:
    """An `emit` that cancels once the agent has said something, and keeps what it said."""

    def __init__(self, scope: anyio.CancelScope, messages: int = 1) -> None:
        self.scope, self.messages, self.said = scope, messages, [""]
        self.at = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, AgentMessage) and event.type == "AssistantMessage":
            self.said.append(event.doing or "")
            if len(self.said) > self.messages:
                self.at = time.monotonic()
                self.scope.cancel()


@pytest.mark.parametrize(
    ("prompt", "messages", "seconds"),
    [("hang", 1, 1.0), ("family", 2, 3.0), ("stubborn", 1, 4.0)],
)
async def test_cancelling_ends_the_processes(
    asks: Asks, here: Workspace, leftovers: Leftovers, prompt: str, messages: int, seconds: float
) -> None:
    """A cancelled CLI is gone soon, with a grandchild in a session of its own, also if it ignores SIGTERM."""
    async with open_claude() as claude:
        with anyio.CancelScope() as scope:
            emit = CancelsAt(scope, messages)
            await claude.run(asks(prompt), here, emit)
        assert scope.cancelled_caught
        assert time.monotonic() - emit.at < at_most(seconds)
        for pid in re.findall(r"grandchild (\d+)", " ".join(emit.said)):
            assert not alive(int(pid))
    assert leftovers() == []


async def test_cancelling_many(asks: Asks, here: Workspace, leftovers: Leftovers) -> None:
    """Ten that hang end together, in hardly more time than one."""
    async with open_claude() as claude:
        ready = 0

        def emit(event: Event) -> None:
            nonlocal ready, at
            ready += isinstance(event, AgentMessage) and event.type == "AssistantMessage"
            if ready == 10:
                at = time.monotonic()
                group.cancel_scope.cancel()

        at = 0.0
        async with anyio.create_task_group() as group:
            for number in range(10):
                session = f"5a0c7f9e-0000-4000-8000-0000000000{number:02}"
                group.start_soon(claude.run, asks("hang", session_id=session), here, emit)
        assert time.monotonic() - at < at_most(5)
    assert leftovers() == []


async def test_a_timeout_ends_the_process(asks: Asks, here: Workspace, leftovers: Leftovers) -> None:
    """An attempt that takes too long is a timeout, and its CLI is gone when that is told."""
    async with open_claude() as claude:
        result = await claude.run(asks("hang", timeout=0.5), here, lambda _: None)
        assert result.outcome is Outcome.TIMEOUT
        assert not [each for each in psutil.Process().children(recursive=True) if "hang" in words_of(each)]
    assert leftovers() == []


async def test_an_exception_in_the_block_ends_the_processes(asks: Asks, here: Workspace, leftovers: Leftovers) -> None:
    """What a run's own code raises leaves no process."""
    try:
        async with open_claude() as claude, anyio.create_task_group() as group:
            said = anyio.Event()
            group.start_soon(claude.run, asks("family"), here, lambda _: said.set())
            await said.wait()
            raise LookupError
    except* LookupError:
        pass
    assert leftovers() == []


def words_of(process: psutil.Process) -> str:
    """The process's command line; nothing for one that has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killing_the_orchestrator_ends_its_agents(tmp_path: Path, leftovers: Leftovers, number: signal.Signals) -> None:
    """When the orchestrator is killed its CLIs and their grandchildren end, and its private folder is gone."""
    with orchestrator(tmp_path) as at_work:
        (grandchild,) = re.findall(r"grandchild (\d+)", at_work.said)
        assert alive(int(grandchild))
        os.kill(at_work.process.pid, number)
    assert leftovers() == []
    assert not alive(int(grandchild))


async def test_the_private_folder_is_private(temporary: Path) -> None:
    """While a run goes on its folder is for its owner alone; afterwards it is gone."""
    async with open_claude():
        (den,) = temporary.iterdir()
        assert den.stat().st_mode & 0o777 == 0o700
    assert not list(temporary.iterdir())


async def test_no_cli(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CLI that is not there is told before anything starts."""
    monkeypatch.setenv("ORCHESTRATOR_CLAUDE", "/nowhere/claude")
    with pytest.raises(UsageError, match=r"no Claude CLI.*: found /nowhere/claude"):
        async with open_claude():
            pass


async def test_the_loop_is_not_held_up(asks: Asks, here: Workspace) -> None:
    """While processes start and end, the event loop stays responsive: no pause of half a second."""
    worst = 0.0

    async def beat() -> None:
        nonlocal worst
        while True:
            begun = time.monotonic()
            await anyio.sleep(0.01)
            worst = max(worst, time.monotonic() - begun)

    async with anyio.create_task_group() as group:
        async with open_claude() as claude:
            group.start_soon(beat)
            async with anyio.create_task_group() as agents:
                for number in range(8):
                    session = f"5a0c7f9e-0000-4000-8000-0000000000{number:02}"
                    agents.start_soon(claude.run, asks("say x", session_id=session), here, lambda _: None)
            await to_thread.run_sync(time.sleep, 0)
        group.cancel_scope.cancel()
    assert worst < at_most(0.5)
