"""A run whose account is at its limits: what is started, and when."""

import time
from dataclasses import replace
from typing import Any

import anyio
import pytest
from running import Stage

from orchestrator import Agent, Limits, Task
from orchestrator.engine.going_on import keys
from orchestrator.engine.governing import tells_spent
from orchestrator.events import (
    AgentMessage,
    AttemptFinished,
    AttemptStarted,
    RegimeChanged,
    RunFinished,
    TaskAdded,
    WidthChanged,
)
from orchestrator.schedule.retry import MOST_WAITS
from orchestrator.task import Attempt, Outcome, Status
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio

RESET = 3600.0
"""Seconds until the usage limit is reset."""


def quota(seconds: float = 1.0, **said: Any) -> Reply:
    """An attempt that the usage limit ends."""
    return Reply("limit", outcome=Outcome.QUOTA, seconds=seconds, turns=0, signals=[{"signal": "quota", **said}])


class Account:
    """Agents take 10 s; from the `at`-th attempt on all meet the usage limit, until it is reset an hour later."""

    def __init__(self, at: int, *, told: bool = True) -> None:
        self._at, self._told = at, told
        self.reset: float | None = None
        self.begun: list[float] = []

    def __call__(self, attempt: Attempt) -> Reply:
        now = anyio.current_time()
        self.begun.append(now)
        if len(self.begun) >= self._at and self.reset is None:
            self.reset = now + 1.0 + RESET
        if self.reset is None or now >= self.reset:
            return Reply(seconds=10.0)
        return quota(resets_at=time.time() + self.reset - now) if self._told else quota()

    @property
    def in_vain(self) -> list[float]:
        """Seconds before the reset at which attempts were begun though the limit was known."""
        assert self.reset is not None
        return [self.reset - at for at in self.begun if self.reset - RESET < at < self.reset]


async def test_a_usage_limit_is_waited_for() -> None:
    """From the signal to the reset not one agent is started; then one, and the rest after it: all end well, and what
    the limit ended goes on in its session without a retry of its own."""
    account = Account(at=7)
    stage = Stage(account, concurrent=4)
    async with stage.open() as run:
        results = await run.map("Do {}.", range(12), retries=0)
    assert [result.outcome for result in results] == [Outcome.OK] * 12
    assert account.in_vain == []
    assert [event.regime for event in stage.of(RegimeChanged)] == ["hold", "canary", "go"]
    ended = {event.task for event in stage.of(AttemptFinished) if event.outcome == Outcome.QUOTA}
    again = [event for event in stage.of(AttemptStarted) if event.attempt == 2]
    assert ended
    assert {event.task for event in again} == ended
    assert all(event.resume for event in again)


async def test_one_agent_at_a_time_tries_whether_an_unknown_limit_is_gone() -> None:
    """Where nobody says when the limit is reset, each look costs one agent, and the looks become rarer."""
    account = Account(at=1, told=False)
    stage = Stage(account, concurrent=4)
    async with stage.open() as run:
        results = await run.map("Do {}.", range(8))
    assert all(result.ok for result in results)
    looks = [before for before in account.in_vain if before < RESET - 5]
    # After 1, 3, 7, 15, 30, 45 and 60 minutes, of which the last is too late by then.
    assert len(looks) == 6
    assert [event.regime for event in stage.of(RegimeChanged)] == ["hold", "canary"] * 7 + ["go"]


async def test_a_canary_that_is_cancelled_is_followed_by_another() -> None:
    """Whoever cancels the agent that tries whether the limit is gone does not end the run's waiting."""
    stage = Stage(lambda attempt: quota() if attempt.number == 1 and attempt.task != "c" else Reply(seconds=50.0))
    async with stage.open(limits=Limits(concurrent=1)) as run:
        for key in "abc":
            run.submit(Task(f"Do {key}.", key=key))
        while not any(event.regime == "canary" for event in stage.of(RegimeChanged)):
            await anyio.sleep(1)
        await anyio.sleep(1)
        at_work = [event.task for event in stage.of(AttemptStarted)][-1]
        run._core.cancel(at_work)
    done = [task for task, status in stage.statuses.items() if status is Status.DONE]
    assert sorted([*done, at_work]) == ["a", "b", "c"]


async def test_a_run_that_does_not_wait_is_stopped() -> None:
    """With `wait_for_reset: false` what has not begun ends as stopped, and the run is not complete."""
    stage = Stage(Account(at=1))
    async with stage.open(limits=Limits(concurrent=1, wait_for_reset=False)) as run:
        results = await run.map("Do {}.", range(3))
    assert [result.outcome for result in results] == [Outcome.QUOTA, Outcome.STOPPED, Outcome.STOPPED]
    assert [(event.status, event.complete) for event in stage.of(RunFinished)] == [("failed", False)]


async def test_refused_credentials_stop_the_run() -> None:
    """The first agent whose credentials are refused is the last that is started; one at work ends its work."""
    refused = Reply("no key", outcome=Outcome.AUTH, seconds=1, turns=0, signals=[{"signal": "auth"}])
    stage = Stage({"map-1[0]": [refused], "map-1[1]": [Reply(seconds=60)]}, concurrent=2)
    async with stage.open() as run:
        results = await run.map("Do {}.", range(5))
    assert [result.outcome for result in results] == [Outcome.AUTH, Outcome.OK] + [Outcome.STOPPED] * 3
    assert "log in" in (results[4].error or "")
    assert [event.complete for event in stage.of(RunFinished)] == [False]


async def test_a_stop_reaches_those_that_wait_for_another_attempt() -> None:
    """A task that waits to try again when the run is stopped is stopped too: it tells what it met, and nobody waits."""
    refused = Reply("no key", outcome=Outcome.AUTH, seconds=5, turns=0, signals=[{"signal": "auth"}])
    stage = Stage({"map-1[0]": [refused], "map-1[1]": [Reply("busy", outcome=Outcome.RATE_LIMITED)]}, concurrent=2)
    async with stage.open() as run:
        results = await run.map("Do {}.", range(2))
    assert [result.outcome for result in results] == [Outcome.AUTH, Outcome.STOPPED]
    assert "its last attempt ended with rate_limited: busy" in (results[1].error or "")


async def test_rate_limits_use_up_no_retries() -> None:
    """A task without retries outlasts rate limits, though not for ever."""
    busy = Reply("busy", outcome=Outcome.RATE_LIMITED, turns=0)
    stage = Stage({"map-1[0]": [busy] * MOST_WAITS + ["done"], "map-1[1]": [busy]})
    async with stage.open() as run:
        results = await run.map("Do {}.", range(2), retries=0)
    assert [result.outcome for result in results] == [Outcome.OK, Outcome.RATE_LIMITED]
    assert [result.attempts for result in results] == [MOST_WAITS + 1] * 2


async def test_retry_after_keeps_agents_from_starting() -> None:
    """After a 429 with a Retry-After of 40 s the next agent starts 40 s later, though there is a place for it."""
    begun: list[float] = []

    def script(attempt: Attempt) -> Reply:
        begun.append(anyio.current_time())
        limited = [{"signal": "rate_limit", "retry_after": 40.0}]
        return Reply(seconds=1.0, signals=limited if len(begun) == 1 else [])

    stage = Stage(script, concurrent=1)
    async with stage.open() as run:
        await run.map("Do {}.", range(3))
    assert begun[1] - begun[0] == pytest.approx(41.0)
    assert begun[2] - begun[1] == pytest.approx(1.0)


async def test_a_cut_takes_effect() -> None:
    """With `auto` a 429 takes places away: agents at work end, and no more are started than there are places."""
    limited = Reply(seconds=50, signals=[{"signal": "rate_limit"}])
    stage = Stage(lambda attempt: limited if attempt.task == "a" else Reply(seconds=100))
    async with stage.open(limits=Limits()) as run:
        run.submit(Task("Do a.", key="a"))
        await run.map("Do {}.", range(40))
    changes = stage.of(WidthChanged)
    assert changes[0].episode
    assert changes[0].width < Limits().width
    assert stage.state.episodes == 1


async def test_put_off_by_a_stop_is_not_complete() -> None:
    """An attempt that the run's memory ended, and that a stop lets not be made again, leaves the run incomplete."""
    off = Reply("off", outcome=Outcome.PUT_OFF, turns=0, signals=[{"signal": "billing"}])
    stage = Stage(lambda attempt: off)
    async with stage.open() as run:
        result = await run.submit(Task("x", key="a")).result()
    assert result.outcome is Outcome.STOPPED
    assert [event.complete for event in stage.of(RunFinished)] == [False]


async def test_whoever_is_looked_at_when_a_hold_begins_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task whose inputs were being looked at when the usage limit was reached starts once that is reset."""
    looked, reached = anyio.Event(), anyio.Event()
    look_up = keys.hash_inputs

    async def slowly(step: Any, thread: Any) -> Any:
        if step.inputs:
            looked.set()
            await reached.wait()
        return await look_up(step, thread)

    monkeypatch.setattr(keys, "hash_inputs", slowly)
    stage = Stage(
        lambda attempt: quota(resets_at=time.time() + RESET) if (attempt.task, attempt.number) == ("a", 1) else Reply()
    )
    async with stage.open() as run:
        run.submit(Task("x", key="b", inputs=[__file__]))
        await looked.wait()
        run.submit(Task("x", key="a"))
        await anyio.sleep(2)
        reached.set()
        await anyio.sleep(RESET / 2)
        assert stage.of(AttemptStarted, "b") == []
    assert set(stage.statuses.values()) == {Status.DONE}


async def test_what_is_refused_is_not_kept_waiting() -> None:
    """Once the budget is spent the tasks of a run that holds are refused at once: nobody waits for hours."""
    limit = {"signal": "quota", "retry_after": RESET}
    stage = Stage(lambda attempt: Reply(seconds=1, cost_usd=2.0, signals=[limit]), concurrent=1, usd=1)
    async with stage.open() as run:
        begun = anyio.current_time()
        results = await run.map("Do {}.", range(3))
        assert anyio.current_time() - begun < RESET
    assert [result.outcome for result in results] == [Outcome.OK, Outcome.BUDGET, Outcome.BUDGET]


def limited(attempt: Attempt) -> Reply:
    """Whose prompt says so meets that usage limit in its first attempt; agents take 10 s."""
    if not attempt.prompt.startswith("limit") or attempt.number > 1:
        return Reply(seconds=10.0)
    own = attempt.agent.own_account
    return quota(resets_at=time.time() + RESET, limit=attempt.prompt.partition(" ")[2] or None, own_account=own)


@pytest.mark.parametrize(
    ("first", "other"),
    [
        (Task("limit"), Agent(env={"ANTHROPIC_API_KEY": "sk-none"})),
        (Task("limit", agent=Agent(env={"ANTHROPIC_API_KEY": "sk-none"})), Agent()),
        (
            Task("limit", agent=Agent(env={"ANTHROPIC_API_KEY": "sk-none"})),
            Agent(env={"ANTHROPIC_API_KEY": "sk-another"}),
        ),
        (Task("limit seven_day_opus", agent=Agent(model="opus")), Agent(model="sonnet")),
    ],
)
async def test_others_pass_those_that_are_held(first: Task, other: Agent) -> None:
    """While one account, or model, waits for its limit, others start, although their tasks were added last."""
    stage = Stage(limited, concurrent=2)
    async with stage.open() as run:
        begun = anyio.current_time()
        held = [run.submit(replace(first, key="first")), run.submit(replace(first, prompt="wait", key="held"))]
        await anyio.sleep(5)
        held.append(run.submit(replace(first, prompt="wait", key="later")))
        free = [run.submit(Task(f"{number}", agent=other, key=f"free-{number}")) for number in range(4)]
        assert [(await handle.result()).ok for handle in free] == [True] * 4
        assert anyio.current_time() - begun < 60
        assert "later" not in stage.asked
        assert [(await handle.result()).ok for handle in held] == [True] * 3
        assert anyio.current_time() - begun > RESET


async def test_agents_of_one_account_are_held_together() -> None:
    """Two agents with the same key have one account, whatever else is in their environment."""
    one, same = Agent(env={"ANTHROPIC_API_KEY": "sk-none"}), Agent(env={"ANTHROPIC_API_KEY": "sk-none", "LANG": "C"})
    stage = Stage(limited)
    async with stage.open() as run:
        first = run.submit(Task("limit", agent=one))
        await anyio.sleep(5)
        second = run.submit(Task("wait", agent=same, key="second"))
        await anyio.sleep(60)
        assert "second" not in stage.asked
        assert [(await handle.result()).ok for handle in (first, second)] == [True, True]


@pytest.mark.parametrize("pattern", ["pipeline", "stage", "fan_out", "judge"])
async def test_an_account_of_its_own_in_a_pattern(pattern: str) -> None:
    """What patterns ask is known beforehand to be of that account: its limit is waited for, and holds no others."""
    own = Agent(env={"ANTHROPIC_API_KEY": "sk-none"})
    stage = Stage(limited)
    async with stage.open() as run:
        match pattern:
            case "pipeline":
                [result] = await run.pipeline(["limit"], "{}", agent=own)
            case "stage":
                [result] = await run.pipeline(["limit"], Task("{}", agent=own))
            case "judge":
                vote = await run.vote("limit", times=2, judge="the best", agent=own)
                result = vote.results[0]
            case _:
                result = await run.fan_out("x", split=Task("limit", agent=own), agent=own)
    asked = [event.account for event in stage.of(TaskAdded) if event.task_kind == "agent"]
    assert set(asked) == {"own-1"}
    assert result.outcome is not Outcome.QUOTA
    assert {event.lane for event in stage.of(RegimeChanged)} == {"account own-1"}


async def test_no_credential_is_written_down() -> None:
    """The journal names accounts by number."""
    stage = Stage(limited)
    async with stage.open() as run:
        for number in range(3):
            run.submit(Task("limit", agent=Agent(env={"ANTHROPIC_API_KEY": f"sk-secret-{number % 2}"})))
    assert [event.account for event in stage.of(TaskAdded)] == ["own-1", "own-2", "own-1"]
    assert {event.lane for event in stage.of(RegimeChanged)} == {"account own-1", "account own-2"}
    assert "sk-secret" not in repr(stage.events)


@pytest.mark.parametrize(
    ("said", "tells"),
    [
        ({}, False),
        ({"doing": "reading"}, False),
        ({"turns": 1}, True),
        ({"input_tokens": 5}, True),
        ({"output_tokens": 5}, True),
        ({"cost_usd": 0.0}, True),
    ],
)
def test_messages_that_tell_of_nothing_spent(said: dict[str, Any], tells: bool) -> None:
    """Of an agent's messages the governor hears those that tell of tokens, turns or money: most tell of none."""
    assert tells_spent(AgentMessage(task="a", attempt=1, type="AssistantMessage", **said)) is tells
