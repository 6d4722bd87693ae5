"""Whatever agents cost, a run keeps to its budgets, comes to its end, and goes on with more."""

import sys
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator import Limits, Outcome, open_run
from orchestrator.events import AttemptStarted, BudgetReached
from orchestrator.journal.memory import MemoryJournal
from orchestrator.state import RunState
from orchestrator.testing import jumping

sys.path.append(str(Path(__file__).parents[1] / "unit" / "engine"))
from spending import Spenders

REPLY_USD = 0.01


async def run_with(limits: Limits, agents: Spenders, journal: MemoryJournal, run: str | None = None) -> list[Outcome]:
    with anyio.fail_after(1e6):
        async with open_run("p", limits=limits, executor=agents, journal=journal, run=run) as opened:
            results = await opened.map("{}", range(len(agents.replies)), key="m", retries=0)
    return [each.outcome for each in results]


def folded(journal: MemoryJournal) -> RunState:
    return RunState.of(journal.records)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    replies=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    concurrent=st.sampled_from([1, 2, 5, 12, "auto"]),
    usd=st.sampled_from([0.005, 0.05, 0.3, 1.0]),
    turns=st.none() | st.integers(1, 60),
    time=st.none() | st.integers(1, 60),
    soft=st.sampled_from([1.0, 0.8, 0.5]),
    tells=st.booleans(),
)
def test_a_run_keeps_to_its_budgets(
    backend: str,
    replies: list[int],
    concurrent: int | str,
    usd: float,
    turns: int | None,
    time: int | None,
    soft: float,
    tells: bool,
) -> None:
    """Spent is never more than the budget and a reply of each agent at work; after the soft line nothing starts.

    The run always ends; with more it goes on, and then is done, with no reply paid twice.
    """
    agents = Spenders({f"m[{number}]": count for number, count in enumerate(replies)}, usd=REPLY_USD, tells=tells)
    journal, name_and_options = MemoryJournal(), jumping(backend)
    limits = Limits(concurrent=concurrent, usd=usd, turns=turns, time=time, soft=soft)  # type: ignore[arg-type]
    name, options = name_and_options
    outcomes = anyio.run(run_with, limits, agents, journal, backend=name, backend_options=options)
    assert set(outcomes) <= {Outcome.OK, Outcome.BUDGET}
    width = limits.width
    assert agents.paid <= usd + width * REPLY_USD + 1e-9
    if turns:
        assert sum(agents.done.values()) <= turns + width
    started = None
    for record in journal.records:
        if isinstance(record.event, BudgetReached):
            started = record.event
        assert not (isinstance(record.event, AttemptStarted) and started), f"it started after {started}"
    name, options = jumping(backend)
    more = Limits(concurrent=concurrent, usd=100.0)  # type: ignore[arg-type]
    again = anyio.run(run_with, more, agents, journal, journal.records[0].run, backend=name, backend_options=options)
    assert set(again) == {Outcome.OK}
    assert [agents.done[f"m[{number}]"] for number in range(len(replies))] == replies
    assert folded(journal).cost_usd == pytest.approx(agents.paid, abs=1e-6) or not tells
