"""What a run's budgets let start, what they end, and how it goes on with more."""

import re
from typing import Any

import anyio
import pytest
from running import Stage
from spending import Spenders

from orchestrator import Agent, Limits, Outcome, Task
from orchestrator.engine.going_on.earlier import Earlier
from orchestrator.events import AttemptFinished, AttemptStarted, BudgetReached, RunFinished, RunStarted, TaskFinished
from orchestrator.task import Spent

pytestmark = pytest.mark.anyio


def stage_of(limits: Limits, **options: Any) -> Stage:
    stage = Stage()
    stage.limits, stage.executor = limits, Spenders(**options)
    return stage


def reached(stage: Stage) -> list[tuple[str, str]]:
    return [(event.budget, event.line) for event in stage.of(BudgetReached)]


async def test_the_hard_line_interrupts() -> None:
    """Once the turns are used up the agents at work are broken off: what they said, cost and their session is kept."""
    stage = stage_of(Limits(concurrent=2, turns=10), replies={"long": 50, "other": 50})
    async with stage.open() as run:
        long, other = run.submit(Task("x", key="long")), run.submit(Task("x", key="other"))
        results = [await long.result(), await other.result()]
    assert [each.outcome for each in results] == [Outcome.BUDGET] * 2
    assert sum(each.turns for each in results) in (10, 11)
    for each in results:
        assert each.text == f"reply {each.turns}"
        assert each.cost_usd == pytest.approx(each.turns * 0.01)
        assert each.session_id
        assert "the run's budget of 10 turns is spent" in (each.error or "")
        assert "--turns 20" in (each.error or "")
    assert reached(stage) == [("turns", "hard")]


async def test_tokens_are_counted_as_they_come() -> None:
    """A budget in tokens ends an agent at the reply that reaches it."""
    stage = stage_of(Limits(tokens=5000), replies={"long": 50})
    async with stage.open() as run:
        result = await run.agent("x", key="long")
    assert (result.outcome, result.turns, result.usage.all_input_tokens) == (Outcome.BUDGET, 5, 5000)
    assert stage.state.tokens == 5000


async def test_time_is_over() -> None:
    """At the soft line of the time nothing new starts, at its end what is at work is broken off."""
    stage = stage_of(Limits(concurrent=1, time=10, soft=0.5), replies={"a": 3, "b": 3, "c": 3})
    async with stage.open() as run:
        results = [await each.result() for each in [run.submit(Task("x", key=key)) for key in "abc"]]
    assert [each.outcome for each in results] == [Outcome.OK, Outcome.OK, Outcome.BUDGET]
    assert re.match(r"the run's time of 10 s: 5 s are over, and from 5 s on \(soft\) no", results[2].error or "")
    late = stage_of(Limits(time=10), replies={"a": 30})
    async with late.open() as run:
        result = await run.agent("x", key="a")
    assert result.outcome is Outcome.BUDGET
    assert result.text in ("reply 9", "reply 10")
    assert reached(stage) == [("time", "soft")]
    assert reached(late) == [("time", "hard")]


async def test_nothing_starts_after_the_soft_line() -> None:
    """At the soft line what is at work may finish, with what is left, and nothing else begins."""
    stage = stage_of(Limits(concurrent=3, usd=1.0, soft=0.5), replies=dict.fromkeys("abcdefghij", 10))
    async with stage.open() as run:
        results = [await each.result() for each in [run.submit(Task("x", key=key)) for key in "abcdefghij"]]
    assert {each.outcome for each in results} == {Outcome.OK, Outcome.BUDGET}
    assert 0.5 <= stage.state.cost_usd <= 1.0
    lines = [event for event in stage.events if isinstance(event, BudgetReached | AttemptStarted)]
    assert isinstance(lines[-1], BudgetReached)
    assert "from 0.5 USD on (soft) nothing new is started: resume it with more" in (results[-1].error or "")


async def test_no_two_agents_may_spend_the_same_money() -> None:
    """The grants of agents at work never come to more than is left, whatever the agents then cost."""
    stage = stage_of(Limits(concurrent=10, usd=1.0), replies={f"m[{number}]": 30 for number in range(30)})
    async with stage.open() as run:
        await run.map("{}", range(30), key="m")
    first = stage.executor.attempts[:10]
    assert sum(attempt.agent.usd or 0 for attempt in first) <= 1.0 + 1e-9
    assert stage.executor.paid <= 1.0 + 10 * 0.01 + 1e-9


async def test_an_agent_that_was_granted_too_little_goes_on() -> None:
    """It continues its session with another grant, which is none of its retries; its own limit stays what it is."""
    stage = stage_of(Limits(concurrent=2, usd=10.0), replies={"a": 600, "b": 1})
    async with stage.open() as run:
        a, b = run.submit(Task("x", key="a", retries=0)), run.submit(Task("x", key="b"))
        assert (await b.result()).ok
        result = await a.result()
    assert (result.outcome, result.attempts, stage.executor.done["a"]) == (Outcome.OK, 2, 600)
    assert [event.outcome for event in stage.of(AttemptFinished, "a")] == ["budget", "ok"]
    assert stage.executor.attempts[-1].resume is not None
    capped = stage_of(Limits(concurrent=2, usd=1.0), replies={"a": 80, "b": 1})
    async with capped.open() as run:
        a, b = run.submit(Task("x", key="a", agent=Agent(usd=0.7))), run.submit(Task("x", key="b"))
        result = await a.result()
    assert result.outcome is Outcome.MAX_USD
    assert result.cost_usd == pytest.approx(0.7, abs=0.011)


async def test_going_on_with_more() -> None:
    """With a higher budget cut agents go on in their sessions, and nothing is paid twice."""
    names = [f"m[{number}]" for number in range(12)]
    stage = stage_of(Limits(concurrent=4, usd=0.5), replies=dict.fromkeys(names, 10))
    async with stage.open() as run:
        first = await run.map("{}", range(12), key="m")
    assert {each.outcome for each in first} == {Outcome.OK, Outcome.BUDGET}
    spent = stage.state.cost_usd
    async with stage.open(run=stage.runs[-1], limits=Limits(concurrent=4, usd=0.4)) as run:
        again = await run.map("{}", range(12), key="m")
    assert f"({spent:.4g} USD so far)" in next(each.error or "" for each in again if not each.ok)
    async with stage.open(run=stage.runs[-1], limits=Limits(concurrent=4, usd=2.0)) as run:
        last = await run.map("{}", range(12), key="m")
    assert all(each.ok for each in last)
    assert stage.executor.done == dict.fromkeys(names, 10), "a reply was paid twice"
    assert stage.state.cost_usd == pytest.approx(1.2)
    begun = stage.of(RunStarted)[-1]
    assert begun.spent_usd == pytest.approx(spent)
    assert begun.spent_turns == begun.spent_tokens / 1000 == pytest.approx(spent * 100)
    assert stage.state.spent_by["", "m"].usd == pytest.approx(1.2)


async def test_costs_by_agent_and_model() -> None:
    """A result tells its models, a report the sums by agent and by model."""
    stage = stage_of(Limits(usd=5), replies={"a": 2, "b": 3})
    async with stage.open() as run:
        with anyio.fail_after(1000):
            result = await run.agent("x", key="a")
            await run.agent("x", key="b")
    assert result.models == {"m": Spent(usd=0.02, input_tokens=2000)}
    report = run.report()
    assert report.by_model["m"].usd == report.by_agent[""].usd == pytest.approx(0.05)
    assert report.to_json()["totals"]["by_model"]["m"]["input_tokens"] == 5000


async def test_functions_teach_nothing_of_what_agents_cost() -> None:
    """Functions that are done for nothing do not make the run set nothing aside for its agents."""
    stage = stage_of(Limits(concurrent=4, usd=1), replies={"agent": 1})
    async with stage.open() as run:
        for number in range(5):
            await run.call(int, key=f"f{number}")
        ledger = run._core.governing.governor.budget._ledgers["usd"]
        assert ledger.needs.quantile(None, 0.9) is None


async def test_who_is_cancelled_while_it_waits_keeps_nobody_waiting() -> None:
    """An agent whose grant was too small goes on first; when it is cancelled before, the others work side by side."""
    stage = stage_of(Limits(concurrent=3, usd=1), replies={})
    async with stage.open() as run:
        budget = run._core.governing.governor.budget
        gone = run.submit(Task("x", key="gone"))
        await gone.result()
        budget._wanted["gone"] = 0.5
        for key in "abc":
            run.submit(Task("x", key=key))
        await anyio.sleep(0.5)
        assert len(run._core.state.running) == 3


async def test_the_turns_of_a_cancelled_agent_count_later() -> None:
    """A run that is stopped in the midst of an agent's work, and gone on with, knows the replies that were made."""
    stage = stage_of(Limits(turns=100), replies={"long": 10})
    with anyio.move_on_after(4.5):
        async with stage.open() as run:
            run.submit(Task("x", key="long"))
    async with stage.open() as run:
        run.submit(Task("x", key="long"))
    assert stage.of(RunStarted)[1].spent_turns == 4
    assert stage.state.turns == 10


async def test_who_may_not_go_on_keeps_what_it_had_spent() -> None:
    """A run that is gone on with while its budget is spent still tells what its agents had come to."""
    stage = stage_of(Limits(turns=4), replies={"long": 10})
    for _ in range(3):
        async with stage.open() as run:
            handle = run.submit(Task("x", key="long"))
        result = await handle.result()
        assert (result.outcome, result.turns, result.attempts) == (Outcome.BUDGET, 4, 1)
        assert result.usage.all_input_tokens == 4000
        assert result.cost_usd == pytest.approx(0.04)
    assert len(stage.executor.attempts) == 1
    stage.limits = Limits(turns=7)
    async with stage.open() as run:
        result = await run.agent("x", key="long")
    assert (result.outcome, result.turns, result.usage.all_input_tokens) == (Outcome.BUDGET, 7, 7000)


async def test_what_an_attempt_told_counts_though_its_end_was_never_written() -> None:
    """Tokens and replies of an attempt whose process died are known to the run that goes on, once."""
    stage = stage_of(Limits(turns=100), replies={"long": 10})
    with anyio.move_on_after(4.5):
        async with stage.open() as run:
            run.submit(Task("x", key="long"))
    ended = (AttemptFinished, TaskFinished, RunFinished)
    records = [record for record in stage.journal.records if not isinstance(record.event, ended)]
    earlier = Earlier.of(records[0].run, records)
    assert (earlier.all_turns, earlier.all_tokens) == (4, 4000)
    begun = earlier.begun["long"]
    assert (begun.whole.turns, begun.whole.usage.all_input_tokens) == (4, 4000)
    earlier.apply(stage.of(RunStarted)[0])
    assert (earlier.all_turns, earlier.all_tokens) == (4, 4000)
    assert (begun.whole.turns, begun.whole.usage.all_input_tokens) == (4, 4000)
