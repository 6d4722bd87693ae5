"""What views say of costs and budgets."""

import re
from dataclasses import replace

import pytest
from drawing import BEGUN, Story, begun, drawn, plain, widest

from orchestrator.events import AttemptFinished, BudgetReached, TaskAdded, TaskFinished
from orchestrator.task import Outcome, Result, Spent, Usage
from orchestrator.views.costs import budget_words, is_untold, reached_words, spent_words
from orchestrator.views.lines import line
from orchestrator.views.summary import summary

OPUS, HAIKU = (
    Spent(usd=0.3, input_tokens=1000, cache_read_tokens=3000, output_tokens=900),
    Spent(usd=0.02, input_tokens=5000),
)


def told(story: Story, task: str, agent: str | None, **models: Spent) -> Story:
    story.add(TaskAdded(task=task, title=task, task_kind="agent", agent=agent)).start(task)
    flat = {f"claude-{model}": spent.to_json() for model, spent in models.items()}
    usd = sum(spent.usd for spent in models.values())
    return story.add(AttemptFinished(task=task, attempt=1, outcome="ok", cost_usd=usd, models=flat))


@pytest.mark.parametrize("width", [80, 120])
def test_costs_by_agent_and_model(width: int) -> None:
    """With several agents or models a table tells each one's tokens, share from the cache, cost and share of it."""
    story = told(told(Story(), "a", "auditor", opus=OPUS, haiku=HAIKU), "b", None, haiku=HAIKU).close()
    lines = plain(drawn(summary(story.report, width), width))
    assert widest(lines) <= width
    rows = [" ".join(each.split()) for each in lines]
    assert "agent auditor 9.0k 33% 900 $0.32 94%" in rows
    assert "(the run's own) 5.0k 0% 0 $0.0200 6%" in rows
    assert "model claude-opus 4.0k 75% 900 $0.30 88%" in rows
    assert "claude-haiku 10.0k 0% 0 $0.0400 12%" in rows


def test_one_model_needs_no_table() -> None:
    """Where there is one agent and one model, its name stands beside the sum."""
    lines = plain(drawn(summary(told(Story(), "a", None, opus=OPUS).close().report, 100), 100))
    assert any("$0.30 (claude-opus)" in each for each in lines)
    assert not any(each.startswith("cost by") for each in lines)


def test_the_cost_of_a_run_that_was_gone_on_with() -> None:
    """The sum is of all starts, and what of it is of this one is said."""
    before = {"": {"claude-opus": OPUS.to_json()}}
    first = replace(begun(), resumed=1, spent_usd=0.3, spent_by=before)
    lines = plain(drawn(summary(told(Story(first), "a", None, haiku=HAIKU).close().report, 100), 100))
    assert any("$0.32 ($0.0200 of it this time)" in each for each in lines)
    assert any("claude-opus" in each for each in lines)


def test_what_was_cut_says_what_to_do() -> None:
    """One line tells how many tasks the budget has kept from being done, and how to go on."""
    story = Story().tasks(["a", "b"])
    for task in ("a", "b"):
        story.end(task, Outcome.BUDGET, error="the run's budget of 1 USD is spent (1 USD so far): resume it with more")
    lines = plain(drawn(summary(story.close("failed").report, 120), 120))
    assert "2 tasks not done: the run's budget of 1 USD is spent (1 USD so far): resume it with more" in lines


def test_spent_of_a_budget() -> None:
    """The live header tells each limit with what is spent of it; without limits nothing."""
    limits = {"usd": 1.0, "tokens": 2_000_000, "turns": 40, "time": 7200}
    story = told(Story(replace(begun(), limits=limits, spent_tokens=4000)), "a", None, opus=OPUS)
    expected = ["0.30 of 1.00 USD", "4.0k of 2.00M tokens", "0 of 40 turns", "1:05 of 2:00:00"]
    assert list(budget_words(story.state, BEGUN + 65)) == expected
    assert list(budget_words(Story().state, BEGUN)) == []


def test_a_line_that_is_reached() -> None:
    """The lines view tells it, with what follows from it."""
    soft = BudgetReached(budget="usd", line="soft", spent=0.81, limit=1.0, soft=0.8)
    hard = BudgetReached(budget="tokens", line="hard", spent=2_000_100, limit=2_000_000)
    assert reached_words(soft) == (
        "0.81 of 1 USD are spent: from 0.8 USD on (soft) nothing new is started, no second attempt either; "
        "agents at work may finish"
    )
    assert "run r: the budget of 2000000 tokens is spent (2000100)" in (line(hard, Story().state, "r") or "")


def test_what_was_never_told_is_not_0() -> None:
    """An agent that was ended before its first reply, or before the CLI told its cost, has no figures of 0."""
    cut = Result(task="a", outcome=Outcome.CANCELLED, attempts=1, session_id="s", duration=3.0)
    assert is_untold(cut)
    assert spent_words(cut) == "cut off before its first reply: what it has spent is not known"
    began = replace(cut, turns=2, usage=Usage(input_tokens=500))
    assert not is_untold(began)
    assert spent_words(began) == "2 turns, its cost was not told"
    assert spent_words(replace(began, cost_usd=0.5)) == "2 turns, $0.50"
    for known in (replace(cut, outcome=Outcome.NOT_STARTED), replace(cut, attempts=0), replace(cut, session_id=None)):
        assert not is_untold(known)
        assert spent_words(known) == "0 turns, $0.0000"


def test_the_summary_says_what_it_does_not_know() -> None:
    """A mark in the place of each such figure, and a line that names the tasks."""
    story = Story().tasks(["a", "b"]).start("a").start("b")
    for task, usage, turns in (("a", Usage(), 0), ("b", Usage(input_tokens=700), 1)):
        cut = Result(task=task, outcome=Outcome.CANCELLED, attempts=1, session_id="s", duration=3.0, usage=usage)
        result = replace(cut, turns=turns).to_json()
        story.add(TaskFinished(task=task, status="cancelled", result=result), at=5)
    lines = plain(drawn(summary(story.close("cancelled").report, 100), 100))
    assert re.match(r"■ a +cancelled +3\.0 s +\? +\? +\?", lines[1])
    assert re.match(r"■ b +cancelled +3\.0 s +1 +700 +\?", lines[2])
    assert "?: a, b: cut off before the CLI had told it; what the API did is paid for" in lines
    assert not any("parallel" in line for line in lines), "nothing was done"
