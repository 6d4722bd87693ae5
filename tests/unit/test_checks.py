"""Checks after an agent, and what they say going back to it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestrator.checks import LEAST_USD, LONGEST, ask_until_checked
from orchestrator.events import AgentMessage, CheckFinished, Event, RequestDequeued, RequestQueued
from orchestrator.executors.local import LocalExecutor
from orchestrator.plan.model import Agent
from orchestrator.processes.command import Command
from orchestrator.prompts import MOST_OUTPUT, failed_check
from orchestrator.protocols import CallTool, Emit, no_tools
from orchestrator.task import Attempt, Outcome, Result, Usage
from orchestrator.testing import Reply, ScriptedAgent, ScriptedChecks, ScriptedExecutor
from orchestrator.testing.samples import Collected
from orchestrator.testing.scripted import Checks, Script
from orchestrator.work import asking
from workspaces import Workspace, WorkspaceSpec
from workspaces.testing import FakeWorkspaces

pytestmark = pytest.mark.anyio

ATTEMPT = Attempt(
    run="r",
    task="t",
    number=1,
    prompt="Work.",
    agent=Agent(),
    workspace=WorkspaceSpec(kind="fake"),
    session_id="first",
    checks=("lint", "test"),
    fixes=2,
)


def ran(events: Collected) -> list[tuple[str, int | None]]:
    return [(event.command, event.exit_code) for event in events if isinstance(event, CheckFinished)]


async def test_checks_that_pass() -> None:
    """The result is ok when every check passes, each told of in order, and the agent is asked once."""
    executor, events = ScriptedExecutor({"t": ["well"]}), Collected()
    result = await executor.run(ATTEMPT, events)
    assert (result.outcome, result.text, result.error) == (Outcome.OK, "well", None)
    assert ran(events) == [("lint", 0), ("test", 0)]
    assert len(executor.attempts) == 1


async def test_no_check_after_an_agent_that_failed() -> None:
    """Checks judge what an agent has finished: after a failure none is run."""
    executor, events = ScriptedExecutor({"t": [Reply("no", outcome=Outcome.REFUSED)]}), Collected()
    assert (await executor.run(ATTEMPT, events)).outcome is Outcome.REFUSED
    assert ran(events) == []


async def test_a_failed_check_goes_back_to_the_agent() -> None:
    """Its command and output go into the same session, then all checks run again; costs, tokens and turns add up."""

    def reply(attempt: Attempt) -> Reply:
        text = "wrong" if attempt.prompt == "Work." else "right"
        return Reply(text, value={"is": text}, cost_usd=0.25, usage=Usage(input_tokens=3), turns=2)

    executor, events = ScriptedExecutor(reply, {"test": [1, 0]}), Collected()
    result = await executor.run(replace(ATTEMPT, fork=True, otherwise="Anew.", asked="Work."), events)
    assert (result.outcome, result.text, result.value, result.session_id) == (
        Outcome.OK,
        "right",
        {"is": "right"},
        "first",
    )
    assert (result.cost_usd, result.usage, result.turns) == (0.5, Usage(input_tokens=6), 4)
    assert [event.cost_usd for event in events if isinstance(event, AgentMessage) and event.cost_usd] == [0.25, 0.5]
    assert ran(events) == [("lint", 0), ("test", 1), ("lint", 0), ("test", 0)]
    fix = executor.attempts[1]
    assert fix.prompt == failed_check("test", 1, "output of test")
    assert (fix.resume, fix.fork, fix.otherwise, fix.asked, fix.number) == ("first", False, None, None, 1)
    assert fix.session_id not in ("first", None)


async def test_what_is_behind_a_failed_check_is_not_run() -> None:
    """The first check that fails ends the round, and the task when no fix is left."""
    executor, events = ScriptedExecutor({"t": [Reply("done", cost_usd=0.5)]}, {"lint": [2]}), Collected()
    result = await executor.run(replace(ATTEMPT, fixes=0), events)
    assert ran(events) == [("lint", 2)]
    assert (result.outcome, result.text, result.cost_usd, result.session_id) == (
        Outcome.CHECKS_FAILED,
        "done",
        0.5,
        "first",
    )
    assert result.error == "the check 'lint' ended with exit code 2:\noutput of lint"


async def test_fixes_are_counted() -> None:
    """The agent is told as often as there are fixes, whichever check fails, and not once more."""
    executor, events = ScriptedExecutor(checks={"lint": [1, 0], "test": [1]}), Collected()
    result = await executor.run(ATTEMPT, events)
    assert result.outcome is Outcome.CHECKS_FAILED
    assert len(executor.attempts) == 3
    assert ran(events) == [("lint", 1), ("lint", 0), ("test", 1), ("lint", 0), ("test", 1)]


@pytest.mark.parametrize("exit_code", [None, -9, 127])
async def test_a_check_that_did_not_end_well_has_failed(exit_code: int | None) -> None:
    """One that took too long, was killed or is not there is a failed check."""
    result = await ScriptedExecutor(checks={"lint": [exit_code]}).run(replace(ATTEMPT, fixes=0), Collected())
    assert result.outcome is Outcome.CHECKS_FAILED
    assert "the check 'lint' " in (result.error or "")


async def test_a_session_that_is_gone_leaves_the_check_failed() -> None:
    """When there is no session to tell, the outcome is that of the check, with what the agent had given."""

    def reply(attempt: Attempt) -> Reply:
        return Reply("done", cost_usd=0.5) if attempt.resume is None else Reply("", outcome=Outcome.UNKNOWN_SESSION)

    result = await ScriptedExecutor(reply, {"lint": [1]}).run(ATTEMPT, Collected())
    assert (result.outcome, result.text, result.cost_usd) == (Outcome.CHECKS_FAILED, "done", 0.5)
    assert "its session is gone" in (result.error or "")


async def test_a_fix_that_fails_has_its_own_outcome() -> None:
    """An agent that is overloaded while it mends is that, so that it can go on, and what was spent is counted."""

    def reply(attempt: Attempt) -> Reply:
        if attempt.resume is None:
            return Reply("done", value=1, cost_usd=0.5)
        return Reply("", outcome=Outcome.OVERLOADED, error="Overloaded.", cost_usd=0.25)

    result = await ScriptedExecutor(reply, {"lint": [1]}).run(ATTEMPT, Collected())
    assert (result.outcome, result.error, result.text, result.value) == (Outcome.OVERLOADED, "Overloaded.", "done", 1)
    assert (result.cost_usd, result.session_id) == (0.75, "first")


class Timed(ScriptedExecutor):
    """Its checks take time, as long as they may; `allowed` has how long each might."""

    def __init__(self, script: Script, checks: Checks, seconds: float) -> None:
        super().__init__(script, checks)
        self.seconds, self.allowed, self.play = seconds, list[float | None](), self.checks
        self.checks = self.check  # type: ignore[assignment]

    async def check(self, attempt: Attempt, command: str, directory: Path) -> Command:
        self.allowed.append(attempt.timeout)
        with anyio.move_on_after(attempt.timeout) as time:
            await anyio.sleep(self.seconds)
        found = await self.play(attempt, command, directory)
        return replace(found, exit_code=None) if time.cancelled_caught else found


def near(*seconds: float) -> Any:
    return [pytest.approx(each, abs=0.1) for each in seconds]


async def test_rounds_and_checks_share_the_timeout() -> None:
    """Every later round and every check may take what those before have left."""
    executor = Timed(lambda _: Reply(seconds=20.0), {"lint": [1, 0]}, 5.0)
    assert (await executor.run(replace(ATTEMPT, timeout=100.0), Collected())).ok
    assert [attempt.timeout for attempt in executor.attempts] == near(100.0, 75.0)
    assert executor.allowed == near(80.0, 55.0, 50.0)


async def test_without_a_timeout_a_check_has_one_all_the_same() -> None:
    """No check takes longer than ten minutes, whether the attempt has no timeout or a longer one; agents have none."""
    for timeout in (None, 3600.0):
        executor = Timed({}, {"lint": [1, 0]}, 0.0)
        assert (await executor.run(replace(ATTEMPT, timeout=timeout), Collected())).ok
        assert executor.allowed == [LONGEST] * 3
        assert [attempt.timeout for attempt in executor.attempts] == ([None, None] if timeout is None else [3600.0] * 2)


async def test_a_fix_that_takes_longer_than_is_left() -> None:
    """It is a timeout in the session that it went on with, so that another attempt can; the whole time is told."""
    executor = ScriptedExecutor(lambda attempt: Reply(seconds=60.0 if attempt.resume is None else 41.0), {"lint": [1]})
    result = await executor.run(replace(ATTEMPT, timeout=100.0), Collected())
    assert (result.outcome, result.session_id) == (Outcome.TIMEOUT, "first")
    assert "timeout of 40 s" in (result.error or "")
    assert "left of 100 s" in (result.error or "")


async def test_an_agent_that_takes_all_the_time() -> None:
    """Checks that cannot be run have not passed; where there are none, nothing is missing."""

    class Late(ScriptedAgent):
        async def run(self, attempt: Attempt, workspace: Workspace, emit: Emit, call: CallTool = no_tools) -> Result:
            return await super().run(replace(attempt, timeout=None), workspace, emit)

    checks = ScriptedChecks()
    ask = asking(Workspace(path=Path()), Late(lambda _: Reply("late", seconds=101.0, cost_usd=0.5)))
    attempt = replace(ATTEMPT, timeout=100.0)
    result = await ask_until_checked(attempt, Path(), Collected(), ask, checks)
    assert (result.outcome, result.text, result.cost_usd) == (Outcome.TIMEOUT, "late", 0.5)
    assert result.error == "its timeout of 100 s was over before all its checks had run"
    assert checks.commands == []
    assert (await ask_until_checked(replace(attempt, checks=()), Path(), Collected(), ask, checks)).ok


@pytest.mark.parametrize(("seconds", "rounds"), [(100.0, 1), (30.0, 2)])
async def test_no_time_left_after_a_check_that_failed(seconds: float, rounds: int) -> None:
    """When the time is over and a check has failed, or was cut short, the outcome says so, whoever is next."""
    executor = Timed(lambda _: Reply("done", seconds=20.0), {"lint": [1]}, seconds)
    result = await executor.run(replace(ATTEMPT, timeout=75.0), Collected())
    assert result.outcome is Outcome.CHECKS_FAILED
    assert len(executor.attempts) == rounds
    assert "the check 'lint' " in (result.error or "")
    assert "s left no time to mend it and see" in (result.error or "")


async def test_waiting_to_be_started_takes_none_of_the_time() -> None:
    """The time begins with the first that is heard of the agent."""

    class Waits(ScriptedAgent):
        async def run(self, attempt: Attempt, workspace: Workspace, emit: Emit, call: CallTool = no_tools) -> Result:
            await anyio.sleep(500.0)
            return await super().run(attempt, workspace, emit)

    agent, checks = Waits(lambda _: Reply(seconds=60.0)), ScriptedChecks()
    ask = asking(Workspace(path=Path()), agent)
    assert (await ask_until_checked(replace(ATTEMPT, timeout=100.0), Path(), Collected(), ask, checks)).ok


async def test_waiting_in_the_queue_takes_none_of_the_time() -> None:
    """What the agent's requests wait for in the gateway's queue, its checks and mends still have."""

    class Queues(ScriptedAgent):
        async def run(self, attempt: Attempt, workspace: Workspace, emit: Emit, call: CallTool = no_tools) -> Result:
            emit(RequestQueued(task="t", attempt=1, queued_s=0.0))
            await anyio.sleep(500.0)
            emit(RequestDequeued(task="t", attempt=1))
            return await super().run(attempt, workspace, emit)

    agent, checks = Queues(lambda _: Reply(seconds=20.0)), ScriptedChecks({"lint": [1, 0]})
    ask = asking(Workspace(path=Path()), agent)
    assert (await ask_until_checked(replace(ATTEMPT, timeout=100.0), Path(), Collected(), ask, checks)).ok
    assert [attempt.timeout for attempt in agent.attempts] == near(100.0, 80.0)


async def test_a_fix_may_spend_what_is_left() -> None:
    """The limit of cost is for all rounds together; when it is spent next to nothing is left, and never less."""
    executor = ScriptedExecutor(lambda _: Reply(cost_usd=0.75), {"lint": [1]})
    await executor.run(replace(ATTEMPT, agent=Agent(usd=1.0)), Collected())
    assert [attempt.agent.usd for attempt in executor.attempts] == [1.0, 0.25, LEAST_USD]


async def test_the_end_of_a_long_output_is_told() -> None:
    """The journal and the agent get the last characters of what a check printed, the error its last lines."""
    lines = "\n".join(f"line {number}" for number in range(2000))
    executor, events = ScriptedExecutor(), Collected()

    async def check(attempt: Attempt, command: str, directory: Path) -> Command:
        return Command(1, lines, 2.5)

    ask = asking(Workspace(path=Path()), executor.agent)
    result = await ask_until_checked(replace(ATTEMPT, fixes=1), Path(), events, ask, check)
    told = [event for event in events if isinstance(event, CheckFinished)]
    assert [(each.output, each.duration) for each in told] == [(lines[-MOST_OUTPUT:], 2.5)] * 2
    assert "line 1999" in executor.attempts[1].prompt
    assert "line 500\n" not in executor.attempts[1].prompt
    assert (result.error or "").splitlines()[1:] == lines.splitlines()[-10:]


async def test_the_workspace_stays_open_between_the_rounds(tmp_path: Path) -> None:
    """It is opened once and closed behind the last check, so what a round left there is there in the next."""
    events = Collected()

    class Works(ScriptedAgent):
        async def run(self, attempt: Attempt, workspace: Workspace, emit: Emit, call: CallTool = no_tools) -> Result:
            with (workspace.path / "rounds").open("a") as file:
                file.write("x")
            return await super().run(attempt, workspace, emit)

    async def check(attempt: Attempt, command: str, directory: Path) -> Command:
        return Command(0 if (directory / "rounds").read_text() == "xx" else 1, "", 0.0)

    executor = LocalExecutor(Works(), {"fake": FakeWorkspaces(tmp_path)}, check)
    assert (await executor.run(ATTEMPT, events)).ok
    assert order(events) == [
        *("WorkspaceOpened", "AgentMessage", "CheckFinished"),
        *("AgentMessage", "CheckFinished", "CheckFinished", "WorkspaceClosed"),
    ]


def order(events: list[Event]) -> list[str]:
    """The kinds of the events, each once where several come one behind the other and are an agent's messages."""
    kinds = [type(event).__name__ for event in events]
    pairs = zip([None, *kinds], kinds, strict=False)
    return [kind for before, kind in pairs if kind != "AgentMessage" or before != kind]


async def test_waiting_for_the_run_leaves_time_for_the_checks(tmp_path: Path) -> None:
    """What an agent waits for with the run's own tools is no part of the timeout that its checks have to keep too."""

    async def call(tool: str, given: Any) -> Any:
        await anyio.sleep(1000)

    async def act(call: CallTool) -> None:
        await call("ask", {})

    agent, events = ScriptedAgent(lambda _: Reply(seconds=50, act=act)), Collected()
    executor = LocalExecutor(agent, {"fake": FakeWorkspaces(tmp_path)}, ScriptedChecks())
    assert (await executor.run(replace(ATTEMPT, timeout=60), events, call)).ok
    assert ran(events) == [("lint", 0), ("test", 0)]
