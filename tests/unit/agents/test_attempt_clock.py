"""The clocks of an attempt, on a clock that jumps."""

import math
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from claude_agent_sdk import (
    AssistantMessage,
    ResultMessage,
    SystemMessage,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
)

from orchestrator.agents.clock import LONGEST_EXIT, Clock
from orchestrator.agents.outcome import Verdict
from orchestrator.events import Event, RequestDequeued, RequestQueued
from orchestrator.plan.model import Agent
from orchestrator.task import Outcome

pytestmark = pytest.mark.anyio

AGENT = Agent(start_timeout=60, idle_timeout=600, tool_timeout=3600)
INIT = SystemMessage(subtype="init", data={})
RETRY = SystemMessage(subtype="api_retry", data={"error_status": 529})
SAYS = AssistantMessage(content=[TextBlock(text="x")], model="m")
RESULT = ResultMessage(
    subtype="success", duration_ms=1, duration_api_ms=1, is_error=False, num_turns=1, session_id="s", result="done"
)

Story = list[tuple[float, Any]]
"""Messages, each with the seconds since the one before it."""


def calls(name: str, number: str = "1") -> AssistantMessage:
    return AssistantMessage(content=[ToolUseBlock(id=number, name=name, input={})], model="m")


def returns(number: str = "1") -> UserMessage:
    return UserMessage(content=[ToolResultBlock(tool_use_id=number, content="x")])


def background(*tasks: str) -> SystemMessage:
    told = [{"task_id": str(number), "description": task} for number, task in enumerate(tasks)]
    return SystemMessage(subtype="background_tasks_changed", data={"tasks": told})


async def tell(story: Story, timeout: float | None = None) -> tuple[float, Verdict | None]:
    """After how many seconds the clock strikes, and what it says."""
    clock, begun = Clock(AGENT, timeout), anyio.current_time()
    struck: list[tuple[float, Verdict | None]] = []

    async def watch(over: Callable[[], None]) -> None:
        verdict = await clock.strikes()
        struck.append((anyio.current_time() - begun, verdict))
        over()

    async with anyio.create_task_group() as group:
        group.start_soon(watch, group.cancel_scope.cancel)
        for seconds, message in story:
            await anyio.sleep(seconds)
            clock.heed(message)
        await anyio.sleep_forever()
    return struck[0]


@pytest.mark.parametrize(
    ("story", "seconds", "outcome", "words"),
    [
        ([], 60, Outcome.NOT_STARTED, "not up within 60 s"),
        ([(59, INIT)], 659, Outcome.STALLED, "silent for 600 s"),
        ([(1, INIT), (599, SAYS), (599, SAYS)], 1799, Outcome.STALLED, "silent"),
        ([(1, INIT), (599, RETRY), (599, RETRY)], 1799, Outcome.STALLED, "silent"),
        ([(1, INIT), (1, calls("Bash"))], 3602, Outcome.STALLED, "tool Bash took longer than 3600 s"),
        ([(1, INIT), (1, calls("Bash")), (3599, returns()), (0, SAYS)], 4201, Outcome.STALLED, "silent"),
        ([(1, INIT), (1, calls("Bash")), (10, calls("Read", "2")), (5, returns())], 3612, Outcome.STALLED, "Read"),
        ([(1, INIT), (1, calls("Bash")), (10, calls("Read", "2")), (5, returns("2"))], 3602, Outcome.STALLED, "Bash"),
        ([(1, INIT), (1, background("sleep 9"))], 3602, Outcome.STALLED, "sleep 9"),
        ([(1, INIT), (1, background("sleep 9")), (1, background())], 603, Outcome.STALLED, "silent"),
    ],
)
async def test_the_clock_strikes(story: Story, seconds: float, outcome: Outcome, words: str) -> None:
    """It strikes as late as it may, and says what the attempt waited for in vain."""
    at, verdict = await tell(story)
    assert verdict is not None
    assert (round(at), verdict[0]) == (seconds, outcome)
    assert words in (verdict[1] or "")


@pytest.mark.parametrize(
    ("story", "seconds"),
    [
        ([(1, INIT), (1, RESULT)], 2 + LONGEST_EXIT),
        ([(1, INIT), (1, calls("Bash")), (1, RESULT)], 3 + LONGEST_EXIT),
        ([(1, INIT), (1, background("x")), (1, RESULT)], 3 + 3600),
        ([(1, INIT), (1, background("x")), (1, RESULT), (9, background())], 12 + LONGEST_EXIT),
        ([(1, INIT), (1, RESULT), (5, SAYS), (500, RESULT)], 507 + LONGEST_EXIT),
    ],
)
async def test_a_result_is_never_given_up(story: Story, seconds: float) -> None:
    """After a result the process has 10 s to go, or as long as something is at work in the background."""
    at, verdict = await tell(story)
    assert (round(at), verdict) == (seconds, None)


async def test_who_watches_sleeps_on() -> None:
    """What only puts the end off wakes nobody; what may make it come earlier does."""
    clock = Clock(Agent(idle_timeout=600, tool_timeout=60))
    clock.heed(INIT)
    async with anyio.create_task_group() as group:
        group.start_soon(clock.strikes)
        await anyio.wait_all_tasks_blocked()
        asleep = clock._heard
        for _ in range(100):
            clock.heed(SAYS)
        assert not asleep.is_set()
        clock.heed(calls("Bash"))
        assert asleep.is_set()
        group.cancel_scope.cancel()


async def test_a_timeout_for_all_of_it() -> None:
    """The attempt's own timeout counts from the start of its process, whatever goes on; a result stays a result."""
    at, verdict = await tell([(1, INIT), (1, calls("Bash"))], timeout=100)
    assert (round(at), verdict) == (100, (Outcome.TIMEOUT, "it took longer than its timeout of 100 s"))
    assert await tell([(1, INIT), (97, RESULT)], timeout=100) == (pytest.approx(100), None)
    assert (await tell([], timeout=1000))[0] == pytest.approx(60)


async def test_time_that_an_agent_waits_for_its_run_does_not_count() -> None:
    """While the run does what the agent asked of it all clocks stand still; then they go on where they stood."""
    clock, begun = Clock(AGENT, 5000), anyio.current_time()
    clock.heed(INIT)
    clock.heed(calls("mcp__run__ask"))
    async with anyio.create_task_group() as group:

        async def wait() -> None:
            with clock.pauses.during():
                await anyio.sleep(10)
                with clock.pauses.during():
                    await anyio.sleep(86_400)

        group.start_soon(wait)
        verdict = await clock.strikes()
    assert verdict is not None
    assert verdict[0] is Outcome.STALLED
    assert round(anyio.current_time() - begun) == 86_410 + 3600


async def test_time_in_the_gateways_queue_does_not_count() -> None:
    """Neither silence nor the timeout count while a request waits for its turn, nor what it had waited when it was told
    of; two at once are counted once, and what is told of them is told on."""
    told: list[Event] = []
    clock, begun = Clock(AGENT, 1000), anyio.current_time()
    emit = clock.pauses.heeding(told.append)
    clock.heed(INIT)
    await anyio.sleep(101)
    for queued in (1.0, 0.5):
        emit(RequestQueued(task="a", attempt=1, queued_s=queued))
    assert clock.due() == (math.inf, None)
    await anyio.sleep(2000)
    emit(RequestDequeued(task="a", attempt=1))
    assert clock.due() == (math.inf, None)
    await anyio.sleep(500)
    emit(RequestDequeued(task="a", attempt=1))
    assert len(told) == 4
    assert await clock.strikes() == (Outcome.STALLED, "it was silent for 600 s (idle_timeout)")
    assert anyio.current_time() - begun == pytest.approx(101 + 2500 + 600)
    clock.heed(SAYS)
    assert await clock.strikes() == (Outcome.TIMEOUT, "it took longer than its timeout of 1000 s")
    assert anyio.current_time() - begun == pytest.approx(1000 + 2501)


async def test_a_timeout_counts_on_after_waiting() -> None:
    """What was left of the timeout before the agent waited is left after it."""
    clock, begun = Clock(AGENT, 100), anyio.current_time()
    clock.heed(INIT)
    await anyio.sleep(40)
    with clock.pauses.during():
        assert clock.due() == (math.inf, None)
        await anyio.sleep(1000)
    assert await clock.strikes() == (Outcome.TIMEOUT, "it took longer than its timeout of 100 s")
    assert round(anyio.current_time() - begun) == 1100
