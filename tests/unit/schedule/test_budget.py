"""What is set aside, granted and refused: the budget without a run around it."""

import math
from itertools import pairwise

import pytest

from orchestrator.events import AgentMessage, AttemptFinished, AttemptStarted, RunStarted, TaskAdded, TaskWaits
from orchestrator.plan.model import Agent, Limits
from orchestrator.schedule.budget import Budget
from orchestrator.schedule.ledger import Ledger, Needs
from orchestrator.schedule.prices import Prices
from orchestrator.schedule.ruling import GO, Refuse, Wait
from orchestrator.state import RunState, TaskState
from orchestrator.task import Spent

TOKENS = {"input_tokens": 1000, "output_tokens": 100}


class Played:
    """A budget that is told what happens, as the engine does it."""

    def __init__(self, width: int = 2, usual: float | None = None, **limits: object) -> None:
        self.state = RunState()
        self.budget = Budget(Limits(concurrent=width, **limits), self.state, lambda task: usual)  # type: ignore[arg-type]
        self.tell(
            RunStarted(
                name="r", concurrent=width, usd=None, upstream=None, plan=None, pid=1, process_started=0.0,
                directory="/", version="1",
            )
        )  # fmt: skip
        for name in "abc":
            self.tell(TaskAdded(task=name, title=name, task_kind="agent", agent="q"))

    def tell(self, event: object, now: float = 0.0) -> list[str]:
        self.state.apply(event, now)  # type: ignore[arg-type]
        return [f"{each.budget} {each.line}" for each in self.budget.heed(event, now)]  # type: ignore[arg-type]

    def task(self, name: str) -> TaskState:
        return self.state.tasks[name]

    def start(self, name: str, own: float | None = None) -> float | None:
        self.budget.reserve(self.task(name))
        granted = self.budget.clamp(name, Agent(usd=own)).usd
        self.tell(AttemptStarted(task=name, attempt=1))
        return granted

    def end(self, name: str, usd: float, outcome: str = "ok") -> list[str]:
        reached = self.tell(AttemptFinished(task=name, attempt=1, outcome=outcome, cost_usd=usd))
        self.budget.release(name)
        return reached


def test_grants_share_what_there_is() -> None:
    """The first of two places is granted half; the second has the rest, or its own limit if that is lower, in steps."""
    played = Played(usd=1.0)
    assert played.start("a") == 0.5
    assert played.start("b", own=0.2) == 0.2
    played.end("a", 0.1)
    assert played.start("c") == 0.63


def test_many_are_granted_the_same() -> None:
    """Of fifty tasks of unequal cost, most have the grant of the one before: such may share a process."""
    played = Played(usd=5.0)
    grants = []
    for number in range(50):
        played.tell(TaskAdded(task=f"t{number}", title="t", task_kind="agent", agent="q"))
        grants.append(played.start(f"t{number}"))
        played.end(f"t{number}", 0.03 + number % 7 * 0.01)
    changes = sum(one != other for one, other in pairwise(grants))
    assert changes <= 12, grants
    assert grants[0] == 2.5


def test_it_waits_for_what_others_may_give_back() -> None:
    """A task whose need is set aside for others waits; with nobody at work it starts with what is left, or never."""
    played = Played(usd=1.0)
    played.start("a")
    played.start("b")
    assert isinstance(played.budget.rule(played.task("c")), Wait)
    played.tell(TaskWaits(task="a", attempt=1, waits_for="c"))
    played.end("b", 0.4)
    assert played.budget.rule(played.task("c")) is GO, "a waits for c, so that c must not wait for a"
    played.end("a", 0.58)
    refused = played.budget.rule(played.task("c"))
    assert isinstance(refused, Refuse), "0.02 are of no use to an agent that takes about 0.5"
    assert "0.98 USD are spent" in refused.reason
    assert "--usd 2" in refused.reason


def test_history_counts_before_the_first_result() -> None:
    """What earlier runs cost is set aside for a task, with some on top; what its agent may spend is the most."""
    played = Played(usd=1.0, usual=0.6)
    played.start("a")
    assert isinstance(played.budget.rule(played.task("b")), Wait)
    capped = Played(usd=1.0, usual=0.6)
    capped.start("a", own=0.3)
    assert capped.budget.rule(capped.task("b")) is GO


@pytest.mark.parametrize("own", [0.05, None])
def test_what_one_may_spend_is_not_all_that_another_may(own: float | None) -> None:
    """What is left of its own limit for a second attempt, or a task without one, does not narrow what others need."""
    played = Played(width=4, usd=1.0, usual=0.6)
    played.start("a", own=0.9 if own else 0.05)
    if own:
        played.end("a", 0.85, "budget")
    played.start("a" if own else "b", own)
    assert isinstance(played.budget.rule(played.task("c")), Wait)


def test_both_lines_are_told_once() -> None:
    """The soft and the hard line are each told once; where they are one, only the hard one."""
    played = Played(usd=1.0, soft=0.5)
    played.start("a")
    assert played.end("a", 0.6) == ["usd soft"]
    assert isinstance(played.budget.rule(played.task("b")), Refuse)
    assert played.budget.overdrawn is None
    assert played.end("b", 0.6) == ["usd hard"]
    assert played.budget.overdrawn
    assert played.end("c", 0.1) == []
    assert Played(turns=1).tell(AgentMessage(task="a", attempt=1, type="AssistantMessage", turns=1)) == ["turns hard"]


def test_replies_are_reckoned_until_a_result_tells() -> None:
    """Once a result has told what a model costs, the replies of others count before their ends; then they are told."""
    played = Played(usd=1.0)
    played.start("a")
    played.start("b")
    learned = AttemptFinished(
        task="a", attempt=1, outcome="ok", cost_usd=0.15, models={"m": Spent(usd=0.15, **TOKENS).to_json()}
    )
    played.tell(learned)
    reply = AgentMessage(task="b", attempt=1, type="AssistantMessage", model="m", turns=1, **TOKENS)
    for _ in range(4):
        played.tell(reply)
    assert played.budget.reckoned_usd("b") == pytest.approx(0.6)
    assert played.budget.overdrawn is None
    played.tell(reply)
    assert played.tell(reply) == ["usd hard"]
    played.tell(AgentMessage(task="b", attempt=1, type="ResultMessage", cost_usd=0.3))
    assert played.budget.reckoned_usd("b") == pytest.approx(0.3)
    assert played.budget.overdrawn is None


def test_the_time_has_two_lines() -> None:
    """`due` is the next of them, and none once both are over."""
    played = Played(time=100, soft=0.5)
    assert played.budget.due == 50.0
    assert [each.line for each in played.budget.tick(50.0)] == ["soft"]
    assert isinstance(played.budget.rule(played.task("a")), Refuse)
    assert played.budget.due == 100.0
    assert [each.line for each in played.budget.tick(100.0)] == ["hard"]
    assert played.budget.due == math.inf
    assert played.budget.overdrawn


def test_without_limits_everything_goes() -> None:
    """Nothing is granted, refused or told."""
    played = Played()
    assert played.start("a") is None
    assert played.end("a", 1e6) == []
    assert played.budget.rule(played.task("b")) is GO


def test_a_high_quantile_is_set_aside() -> None:
    """Of ten tasks nine need no more than it; an agent that is not known yet is held to be like the others."""
    needs = Needs()
    for amount in range(1, 11):
        needs.learn("q", float(amount))
    assert (needs.quantile("q", 0.9), needs.quantile("q", 0.5), needs.quantile("new", 0.9)) == (10.0, 6.0, 10.0)
    assert Needs().quantile("q", 0.9) is None


def test_a_ledger_holds_what_is_not_spent_yet() -> None:
    """Live spending eats the claim, and more than it is held by nobody."""
    spent = 0.0
    ledger = Ledger("usd", 10.0, lambda: spent)
    ledger.claim("a", 4.0)
    ledger.claim("b", 2.0)
    ledger.spend("a", 5.0)
    spent = 5.0
    assert (ledger.held, ledger.left) == (2.0, 3.0)
    ledger.end("a")
    ledger.end("b")
    ledger.end("b")
    assert (ledger.held, ledger.left) == (0.0, 5.0)


def test_prices_by_weight() -> None:
    """Output counts five times, cache writes 1.25, reads a tenth; an unknown model is as dear as the dearest known."""
    prices = Prices()
    assert prices.reckon("m", Spent(input_tokens=1000)) == 0.0
    prices.learn({"m": Spent(usd=0.003, input_tokens=1000, output_tokens=100), "cheap": Spent(usd=1e-4, **TOKENS)})
    usage = Spent(input_tokens=100, output_tokens=10, cache_read_tokens=1000, cache_write_tokens=80)
    assert prices.reckon("m", usage) == pytest.approx(350 * 2e-6)
    assert prices.reckon("new", usage) == prices.reckon("m", usage)
