"""Which agents a limit holds."""

from typing import Any

import pytest

from orchestrator.events import AgentMessage, ApiSignal, AttemptStarted, RegimeChanged, TaskAdded
from orchestrator.plan.model import Limits
from orchestrator.schedule.regime import MARGIN, PROBE
from orchestrator.schedule.regimes import Regimes, family
from orchestrator.state import RunState
from orchestrator.task import Outcome

CLOCK = 1_800_000_000.0
TASKS = {
    "plain": ("", None),
    "opus": ("", "claude-opus-4-1"),
    "sonnet": ("", "sonnet"),
    "own": ("own-1", None),
    "same": ("own-1", "sonnet"),
    "other": ("own-2", "opus"),
}
"""Account and model of the tasks."""


class Story:
    """The regimes of a run with these tasks."""

    def __init__(self, **limits: Any) -> None:
        state = RunState()
        for task, (account, model) in TASKS.items():
            state.apply(TaskAdded(task=task, title=task, task_kind="agent", account=account, model=model), 0.0)
        self.regimes = Regimes(Limits(**limits), state)
        self.told: list[RegimeChanged] = []

    def signal(self, task: str, signal: str = "quota", now: float = 0.0, **said: Any) -> None:
        """The signal comes; an agent with an account of its own is known to have one."""
        own = said.pop("own_account", TASKS[task][0] != "")
        event = ApiSignal(task=task, attempt=1, signal=signal, source="result", own_account=own, **said)
        self.told += self.regimes.heed(event, now, CLOCK + now)

    def tick(self, now: float) -> None:
        self.told += self.regimes.tick(now, CLOCK + now)

    @property
    def may(self) -> set[str]:
        """Tasks that may start."""
        return {task for task in TASKS if type(self.regimes.rule(task)).__name__ == "Go"}


@pytest.mark.parametrize(
    ("task", "held"),
    [("plain", {"plain", "opus", "sonnet"}), ("own", {"own", "same"}), ("other", {"other"})],
)
@pytest.mark.parametrize("signal", ["quota", "auth", "billing"])
def test_an_account_s_limit_holds_those_of_the_account(task: str, held: set[str], signal: str) -> None:
    """Who has another account goes on, and nobody of this one starts, whatever the model."""
    story = Story()
    story.signal(task, signal, limit="seven_day" if signal == "quota" else None)
    assert story.may == set(TASKS) - held


def test_a_model_s_limit_holds_those_of_the_model() -> None:
    """The weekly limit of Opus leaves those that name another model; who names none may have that one."""
    story = Story()
    story.signal("opus", limit="seven_day_opus", resets_at=CLOCK + 3600)
    assert story.may == {"sonnet", "own", "same", "other"}
    assert [change.lane for change in story.told] == ["model opus"]


def test_one_limit_beside_another() -> None:
    """Each is waited for by itself: the model's lasts, though the account's is gone."""
    story = Story()
    story.signal("opus", limit="seven_day_opus", resets_at=CLOCK + 7200)
    story.signal("plain", limit="five_hour", resets_at=CLOCK + 3600)
    assert story.may == {"own", "same", "other"}
    assert story.regimes.due < 3600
    story.tick(3600 + MARGIN)
    story.told += story.regimes.heed(AgentMessage(task="sonnet", attempt=1, type="AssistantMessage", turns=1), 0, 0)
    assert story.may == {"sonnet", "own", "same", "other"}
    assert [(change.regime, change.lane) for change in story.told] == [
        ("hold", "model opus"),
        ("hold", ""),
        ("canary", ""),
    ]


def test_the_canary_of_an_account_is_one_of_its_agents() -> None:
    """The reply to an agent of another account does not end the wait of this one."""
    story = Story()
    story.signal("own")
    story.tick(PROBE)
    story.regimes.reserve("plain")
    story.regimes.reserve("own")
    story.told += story.regimes.heed(AttemptStarted(task="own", attempt=1, own_account=True), PROBE, CLOCK)
    assert story.may == set(TASKS) - {"same"}
    for task in ("plain", "own"):
        reply = AgentMessage(task=task, attempt=1, type="AssistantMessage", turns=1)
        story.told += story.regimes.heed(reply, PROBE, CLOCK)
    assert [change.regime for change in story.told] == ["hold", "canary", "go"]
    assert {change.lane for change in story.told} == {"account own-1"}


def test_an_end_without_the_limit_s_name_belongs_to_it() -> None:
    """What the attempt met was told by its name before: its end, which has none, holds nobody else."""
    story = Story()
    story.signal("opus", limit="seven_day_opus", resets_at=CLOCK + 3600)
    story.signal("opus")
    assert story.may == {"sonnet", "own", "same", "other"}
    assert story.regimes.waits_after("opus", Outcome.QUOTA)
    assert not story.regimes.waits_after("opus", Outcome.QUOTA)


def test_an_account_that_nobody_knew_of() -> None:
    """Of an agent of which it is only known at work that its account is its own nobody learns anything."""
    story = Story()
    story.signal("plain", own_account=True)
    assert story.may == set(TASKS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, ""),
        ("opus", "opus"),
        ("Claude-Sonnet-4-5", "sonnet"),
        ("seven_day", ""),
        ("seven_day_overage_included", ""),
    ],
)
def test_families(name: str | None, expected: str) -> None:
    """Models and limits that are not known belong to none."""
    assert family(name) == expected
