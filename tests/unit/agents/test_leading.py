"""Who goes first, so that its siblings read from the prompt cache what it writes; on a clock that jumps."""

from collections.abc import Sequence

import anyio
import pytest

from orchestrator.agents.leading import LEAST_PROMPT, LIFETIME, PATIENCE, Leading, patience_of, pays
from orchestrator.plan.model import Agent
from orchestrator.task import Attempt
from workspaces import WorkspaceSpec

pytestmark = pytest.mark.anyio


async def asked_at(arrivals: Sequence[float], reply: float | None, leading: Leading | None = None) -> list[float]:
    """When agents of one kind that are ready at these times (s, ascending) are asked, if each reply begins `reply` s
    later, or never; in their order."""
    leading, begun, found = leading or Leading(), anyio.current_time(), dict[int, float]()

    async def one(number: int, ready: float) -> None:
        await anyio.sleep(ready)
        await leading.turn("kind")
        found[number] = anyio.current_time() - begun
        if reply is not None:
            await anyio.sleep(reply)
            leading.begun("kind")

    async with anyio.create_task_group() as group:
        for number, ready in enumerate(arrivals):
            group.start_soon(one, number, ready)
    return [round(found[number], 2) for number in range(len(arrivals))]


@pytest.mark.parametrize(
    ("arrivals", "reply", "asked"),
    [
        ([0, 0.5, 1, 4], 2.0, [0, 2, 2, 4]),
        ([0, 1, 2], 60.0, [0, PATIENCE, PATIENCE]),
        ([0, 1, 2, PATIENCE + 1, PATIENCE + 2], None, [0, PATIENCE, PATIENCE, PATIENCE + 1, 2 * PATIENCE + 1]),
        ([0, LIFETIME, LIFETIME + 1], 2.0, [0, LIFETIME, LIFETIME + 1]),
        ([0, LIFETIME + 2, LIFETIME + 3], 2.0, [0, LIFETIME + 2, LIFETIME + 4]),
    ],
    ids=[
        "until its reply begins",
        "not for long",
        "one without a reply is followed",
        "while it lasts",
        "once it is gone",
    ],
)
async def test_one_goes_first(arrivals: list[float], reply: float | None, asked: list[float]) -> None:
    """The others wait until the reply to the first has begun, for 5 s at most, whenever the cache is cold."""
    assert await asked_at(arrivals, reply) == asked


@pytest.mark.parametrize(
    ("wait", "asked"),
    [(True, [0, PATIENCE, PATIENCE]), (2.0, [0, 2, 2]), (8, [0, 8, 8]), (False, [0, 1, 1.5])],
    ids=["as usual", "less", "more", "not at all"],
)
async def test_for_as_long_as_is_said(wait: bool | float, asked: list[float]) -> None:
    """`limits.wait_for_cache` says how long the others wait."""
    assert await asked_at([0, 1, 1.5], 60.0, Leading(patience_of(wait))) == asked


async def test_one_that_is_over_without_a_reply_is_followed() -> None:
    """The next goes first, and the others wait for that one; a late word of the one before changes nothing."""
    leading, begun, found = Leading(), anyio.current_time(), list[float]()

    async def other() -> None:
        await anyio.sleep(1)
        first = await leading.turn("kind")
        found.append(anyio.current_time() - begun)
        await anyio.sleep(1)
        if first:
            leading.begun("kind")
        leading.over("kind", first)

    async with anyio.create_task_group() as group:
        failing = await leading.turn("kind")
        group.start_soon(other)
        group.start_soon(other)
        await anyio.sleep(2)
        leading.over("kind", failing)
        await anyio.sleep(0.5)
        leading.over("kind", failing)
    assert [round(at, 2) for at in found] == [2, 3]


async def test_what_is_read_lasts() -> None:
    """Each reply keeps the cache warm for as long again."""
    leading = Leading()
    times = [number * 0.9 * LIFETIME for number in range(5)]
    assert await asked_at(times, 1.0, leading) == [round(at, 2) for at in times]
    leading.begun("kind")
    with anyio.fail_after(1):
        await leading.turn("kind")


async def test_kinds_do_not_wait_for_each_other() -> None:
    """Agents with another prefix share nothing."""
    leading = Leading()
    with anyio.fail_after(1):
        for kind in "abc":
            await leading.turn(kind)


@pytest.mark.parametrize(
    ("agent", "enough"),
    [
        (Agent(), True),
        (Agent(tools=[]), True),
        (Agent(system="Be brief.", tools=[]), False),
        (Agent(system="Be brief.", tools="default"), True),
        (Agent(system="x" * LEAST_PROMPT, tools=[]), True),
    ],
)
async def test_where_it_pays(agent: Agent, enough: bool) -> None:
    """A prompt of a few words and hardly any tools are too short to be cached."""
    attempt = Attempt(run="r", task="t", number=1, prompt="x", agent=agent, workspace=WorkspaceSpec(), session_id="s")
    assert pays(attempt) is enough
