"""Attempts that take too long, in real time: a fake CLI, the real launcher and the real SDK."""

import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from load import at_most
from watching import UNFINISHED

from orchestrator.agents import clock
from orchestrator.agents.claude import open_claude
from orchestrator.events import AgentMessage
from orchestrator.plan.model import Agent
from orchestrator.task import Attempt, Outcome
from orchestrator.testing.samples import Collected
from workspaces import Workspace

pytestmark = [pytest.mark.anyio, UNFINISHED]

Asks = Callable[..., Attempt]
Leftovers = Callable[[], list[str]]
LATE = {"FAKE_CLAUDE": "late"}


@pytest.mark.parametrize(
    ("prompt", "agent", "outcome", "words", "cost"),
    [
        ("say x", {"env": LATE, "start_timeout": 0.25}, Outcome.NOT_STARTED, "not up within {:g} s", 0.0),
        ("hang", {"idle_timeout": 0.25}, Outcome.STALLED, "silent for {:g} s", 0.25),
        ("mute", {"idle_timeout": 0.25}, Outcome.STALLED, "silent for {:g} s", 0.0),
        ("deaf", {"idle_timeout": 0.25}, Outcome.STALLED, "silent for {:g} s", 0.0),
        (
            "tool Bash",
            {"idle_timeout": 0.2, "tool_timeout": 0.4},
            Outcome.STALLED,
            "Bash took longer than {:g} s",
            0.25,
        ),
    ],
)
async def test_too_long(
    asks: Asks,
    here: Workspace,
    leftovers: Leftovers,
    prompt: str,
    agent: dict[str, Any],
    outcome: Outcome,
    words: str,
    cost: float,
) -> None:
    """Who does not start, is silent or has a tool at work for too long is ended; who heeds an interrupt has a price."""
    times = {name: round(at_most(value), 2) for name, value in agent.items() if name.endswith("timeout")}
    async with open_claude() as claude:
        result = await claude.run(asks(prompt, agent=Agent(**{**agent, **times})), here, Collected())
    assert (result.outcome, result.cost_usd) == (outcome, cost), result.error
    assert words.format(max(times.values())) in (result.error or "")
    assert leftovers() == []


async def test_a_timeout_has_its_price(asks: Asks, here: Workspace) -> None:
    """An attempt that takes longer than its own timeout is told with what it has cost."""
    async with open_claude() as claude:
        result = await claude.run(asks("hang", timeout=at_most(1)), here, Collected())
    assert (result.outcome, result.cost_usd) == (Outcome.TIMEOUT, 0.25)


async def test_a_result_outlives_a_hung_exit(
    asks: Asks, here: Workspace, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CLI that does not go after its result is ended, and the result counts."""
    monkeypatch.setattr(clock, "LONGEST_EXIT", 0.3)
    async with open_claude() as claude:
        result = await claude.run(asks("lingers hello"), here, Collected())
    assert (result.outcome, result.text) == (Outcome.OK, "hello")
    assert leftovers() == []


async def test_ten_that_are_cut_off_have_their_prices(asks: Asks, here: Workspace, leftovers: Leftovers) -> None:
    """Ten that are cancelled at once tell what they have cost, and are gone together."""
    events, at = Collected(), 0.0
    said: set[str] = set()

    async with open_claude() as claude:
        async with anyio.create_task_group() as group:

            def emit(event: object) -> None:
                nonlocal at
                if isinstance(event, AgentMessage):
                    events.append(event)
                    said.update({event.task} if event.type == "AssistantMessage" else ())
                    if len(said) == 10 and not at:
                        at = time.monotonic()
                        group.cancel_scope.cancel()

            for number in range(10):
                session = f"5a0c7f9e-0000-4000-8000-0000000000{number:02}"
                group.start_soon(claude.run, asks("hang", task=f"t{number}", session_id=session), here, emit)
        assert time.monotonic() - at < at_most(3)
    prices = {event.task: event.cost_usd for event in events if getattr(event, "cost_usd", None) is not None}  # type: ignore[attr-defined]
    assert prices == {f"t{number}": 0.25 for number in range(10)}
    assert leftovers() == []
