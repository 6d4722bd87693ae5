"""What is wrong with `Agent(…)`, `Limits(…)` and `Plan(…)` in Python is said in the words of plan files."""

from typing import Any

import pytest

from orchestrator import Agent, Limits, Plan, UsageError
from orchestrator.plan.base import Model
from orchestrator.plan.faults import model_at
from orchestrator.plan.places import WorkspaceKeys
from orchestrator.plan.specs import AskSpec, NeedSpec, StageSpec, TaskSpec


@pytest.mark.parametrize(
    ("model", "given", "told"),
    [
        (Limits, {"concurrent": 0}, "Limits.concurrent: found the number 0, expected a whole number from 1"),
        (Limits, {"usd": "x"}, "Limits.usd: found the text 'x', expected US dollars, more than 0, as 2.50"),
        (Limits, {"turns": 1.5}, "Limits.turns: found the number 1.5, expected a whole number of 1 or more, as 50"),
        (Limits, {"memory": "3 cows"}, "Limits.memory: found the text '3 cows', expected a share or a size, as 80%"),
        (Agent, {"max_turns": 0}, "Agent.max_turns: found the number 0, expected 1 or more"),
        (Agent, {"spawn": {"count": 0}}, "Agent.spawn.count: found the number 0, expected 1 or more"),
        (Plan, {"tasks": {}}, "Plan.tasks: found an empty mapping, expected at least one entry"),
    ],
)
def test_one_fault_is_one_sentence(model: type[Model], given: dict[str, Any], told: str) -> None:
    """The error is ours, and says where it is, what was found and what is expected."""
    with pytest.raises(UsageError) as raised:
        model(**given)
    assert str(raised.value).startswith(told)
    assert "\n" not in str(raised.value)


def test_every_fault_has_a_line() -> None:
    """Of several faults each is told."""
    with pytest.raises(UsageError) as raised:
        Limits(usd=-1, tokens="x")  # type: ignore[arg-type]
    first, second = str(raised.value).splitlines()
    assert first.startswith("Limits.usd: found the number -1, ")
    assert second.startswith("Limits.tokens: found the text 'x', ")


def test_an_unknown_name_is_named_with_those_that_there_are() -> None:
    """A name that is nearly right is suggested."""
    with pytest.raises(UsageError, match=r"^Agent\.tool: unknown key \(did you mean tools\?\), expected one of mo"):
        Agent(tool=["Read"])  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ((), Plan),
        (("limits",), Limits),
        (("agents",), None),
        (("agents", "a"), Agent),
        (("tasks", "t"), TaskSpec),
        (("tasks", "t", "workspace"), WorkspaceKeys),
        (("tasks", "t", "needs", 0), NeedSpec),
        (("tasks", "t", "pipeline"), None),
        (("tasks", "t", "pipeline", "s"), StageSpec),
        (("tasks", "t", "vote", "judge"), AskSpec),
        (("tasks", "t", "vote", "judge", "workspace"), WorkspaceKeys),
        (("tasks", "t", "prompt"), None),
        (("vars", "x"), None),
    ],
)
def test_which_mapping_is_where(path: tuple[str | int, ...], model: type[Model] | None) -> None:
    """The keys that are known at a place of a plan are those of the model that its data becomes there."""
    assert model_at(path, Plan) is model
