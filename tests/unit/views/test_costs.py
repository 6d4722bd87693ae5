"""What views say of costs and budgets."""

from dataclasses import replace

import pytest
from drawing import BEGUN, Story, begun, drawn, plain, widest

from orchestrator.events import AttemptFinished, BudgetReached, TaskAdded
from orchestrator.task import Outcome, Spent
from orchestrator.views.costs import budget_words, reached_words
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
    expected = "0.30 of 1.00 USD, 4.0k of 2.00M tokens, 0 of 40 turns, 1:05 of 2:00:00"
    assert budget_words(story.state, BEGUN + 65) == expected
    assert budget_words(Story().state, BEGUN) == ""


def test_a_line_that_is_reached() -> None:
    """The lines view tells it, with what follows from it."""
    soft = BudgetReached(budget="usd", line="soft", spent=0.81, limit=1.0)
    hard = BudgetReached(budget="tokens", line="hard", spent=2_000_100, limit=2_000_000)
    assert reached_words(soft) == "budget of 1 USD: its soft line is reached (0.81): nothing new is started"
    assert "run r: budget of 2000000 tokens is reached (2000100)" in (line(hard, Story().state, "r") or "")
