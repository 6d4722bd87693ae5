"""A process that an agent hid, in a session of its own and with nothing in its environment, outlives nothing."""

from collections.abc import Callable
from pathlib import Path

import anyio
import psutil
import pytest
from orchestrators import orchestrator
from watching import UNFINISHED, alive, daemon, wait_until

from orchestrator.agents.claude import open_claude
from orchestrator.events import AgentMessage
from orchestrator.task import Attempt, Outcome
from workspaces import Workspace

pytestmark = [pytest.mark.anyio, UNFINISHED]

Asks = Callable[..., Attempt]


@pytest.fixture
def hidden(tmp_path: Path, fake_claude: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CLI that starts a daemon before anything else. Gives the file with the daemon's id."""
    path, wrapper = tmp_path / "daemon", tmp_path / "claude-with-daemon"
    wrapper.write_text(f'#!/bin/sh\n{daemon(path)}\nexec {fake_claude} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("ORCHESTRATOR_CLAUDE", str(wrapper))
    return path


@pytest.mark.parametrize(("prompt", "outcome"), [("say x", Outcome.OK), ("kill 9", Outcome.KILLED)])
async def test_it_ends_with_the_cli(asks: Asks, here: Workspace, hidden: Path, prompt: str, outcome: Outcome) -> None:
    """It is gone when the attempt is over, in good order or because the CLI was killed."""
    async with open_claude() as claude:
        result = await claude.run(asks(prompt), here, lambda _: None)
        assert result.outcome is outcome
        assert not alive(hidden)


@pytest.mark.parametrize("prompt", ["hang", "stubborn"])
async def test_it_ends_by_cancellation(asks: Asks, here: Workspace, hidden: Path, prompt: str) -> None:
    """It is gone when a cancelled attempt returns."""
    async with open_claude() as claude:
        with anyio.CancelScope() as scope:
            await claude.run(
                asks(prompt),
                here,
                lambda event: scope.cancel() if isinstance(event, AgentMessage) and event.doing else None,
            )
        assert scope.cancelled_caught
        assert not alive(hidden)


@pytest.mark.parametrize("prompt", ["hang", "stubborn"])
async def test_it_ends_when_reading_fails(asks: Asks, here: Workspace, hidden: Path, prompt: str) -> None:
    """It is gone when the attempt broke off with an error, and the SDK itself ended the CLI."""

    def emit(event: object) -> None:
        raise LookupError

    async with open_claude() as claude:
        result = await claude.run(asks(prompt), here, emit)
        assert result.outcome is Outcome.CRASHED
        assert not alive(hidden)


@pytest.mark.parametrize("with_guard", [False, True])
def test_it_ends_when_the_orchestrator_is_killed(
    tmp_path: Path, temporary: Path, hidden: Path, with_guard: bool
) -> None:
    """It and two CLIs, one of which ignores SIGTERM, are gone 5 s after the orchestrator, the guard killed or not."""
    with orchestrator(tmp_path) as at_work:
        below = psutil.Process(at_work.process.pid).children(recursive=True)
        (guard,) = [each for each in below if "guard" in each.cmdline()]
        if with_guard:
            guard.kill()
        at_work.process.kill()
    wait_until(lambda: not any(alive(each.pid) for each in below), "the end of all", 5)
    assert not alive(hidden)
    assert any(temporary.iterdir()) == with_guard  # it is the next start's to sweep
