"""Checks as real commands, and what they say going back to a fake CLI through the real SDK."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from load import at_most
from watching import UNFINISHED

from orchestrator.agents.claude import open_claude
from orchestrator.checks import run_check
from orchestrator.events import CheckFinished, SessionStarted
from orchestrator.executors.local import LocalExecutor
from orchestrator.task import Attempt, Outcome, Result
from orchestrator.testing.samples import Collected
from workspaces import Workspace, WorkspaceSpec
from workspaces.testing import FakeWorkspaces

pytestmark = [pytest.mark.anyio, UNFINISHED]

Asks = Callable[..., Attempt]
SECOND_TIME = "test -f seen || { touch seen; echo not yet >&2; exit 3; }"
"""A check that fails once in a directory."""


async def execute(attempt: Attempt, home: Path, events: Collected) -> Result:
    async with open_claude() as claude:
        executor = LocalExecutor(claude, {"fake": FakeWorkspaces(home)})
        return await executor.run(replace(attempt, workspace=WorkspaceSpec(kind="fake")), events)


def ran(events: Collected) -> list[tuple[str, int | None]]:
    return [(event.command, event.exit_code) for event in events if isinstance(event, CheckFinished)]


async def test_a_failed_check_goes_back_to_the_session(asks: Asks, tmp_path: Path) -> None:
    """The agent is told in its own session, by another process, in the same directory; then the checks run again."""
    events = Collected()
    result = await execute(asks("say done", checks=("true", SECOND_TIME), fixes=1), tmp_path, events)
    assert (result.outcome, result.session_id, result.turns) == (Outcome.OK, asks("x").session_id, 2)
    assert ran(events) == [("true", 0), (SECOND_TIME, 3), ("true", 0), (SECOND_TIME, 0)]
    assert [event.how for event in events if isinstance(event, SessionStarted)] == ["fresh", "continued"]
    assert "ended with exit code 3" in result.text  # the fake says what it was asked
    assert "not yet" in result.text


async def test_without_a_fix_the_task_has_failed(asks: Asks, tmp_path: Path) -> None:
    """What the agent gave is there, with the check's command, exit code and words as the reason."""
    result = await execute(asks("say done", checks=(SECOND_TIME,)), tmp_path, Collected())
    assert (result.outcome, result.text, result.cost_usd) == (Outcome.CHECKS_FAILED, "done", 0.25)
    assert result.error == f"the check {SECOND_TIME!r} ended with exit code 3:\nnot yet"
    assert result.workspace is not None
    assert result.workspace.changed == ("seen",)


async def test_a_check_knows_its_task(asks: Asks, here: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs in the directory, in the orchestrator's environment, with the names of run and task on top."""
    monkeypatch.setenv("MINE", "mine")
    attempt = asks("x", task="each[0] 'of' $HOME")
    found = await run_check(attempt, 'pwd; echo "$ORCHESTRATOR_RUN|$ORCHESTRATOR_TASK|$MINE"', here.path)
    assert found.exit_code == 0
    assert found.output.splitlines() == [str(here.path), "processes-1|each[0] 'of' $HOME|mine"]


@pytest.mark.parametrize(
    ("command", "exit_code", "words"),
    [
        ("no-such-command-anywhere", 127, "not found"),
        ("if", 2, "yntax error"),
        ("kill -9 $$", -9, ""),
        ("# nothing", 0, ""),
    ],
)
async def test_how_a_check_ends(asks: Asks, here: Workspace, command: str, exit_code: int, words: str) -> None:
    """A command that is not there, is no command, or is killed has an exit code other than 0."""
    found = await run_check(asks("x"), command, here.path)
    assert found.exit_code == exit_code
    assert words in found.output


async def test_a_check_has_the_attempts_time(asks: Asks, here: Workspace, leftovers: Callable[[], list[str]]) -> None:
    """One that takes longer than the attempt may is ended, with all that it started, and has no exit code."""
    found = await run_check(asks("x", timeout=at_most(0.5)), "echo begun; setsid sleep 60 & sleep 60", here.path)
    assert (found.exit_code, found.output) == (None, "begun\n")
    assert found.duration < 30
    assert leftovers() == []


@pytest.mark.parametrize("command", ["true", "nul\0"])
async def test_a_check_that_cannot_be_started_has_failed(asks: Asks, tmp_path: Path, command: str) -> None:
    """Where the directory is gone, or the command cannot be one, the check says so and has failed."""
    place = tmp_path if "\0" in command else tmp_path / "gone"
    found = await run_check(asks("x"), command, place)
    assert found.exit_code is None
    assert "it could not be started" in found.output
