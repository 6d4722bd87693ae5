"""The JSON schema of plan files."""

from pathlib import Path

import jsonschema
import pytest

from orchestrator.plan.schema import plan_schema
from orchestrator.plan.source import parse_source

FULL = (Path(__file__).parent / "full.yaml").read_text()
VALIDATOR = jsonschema.Draft202012Validator(plan_schema())


def test_it_is_a_schema_with_descriptions():
    """The schema is valid itself and explains the keys."""
    jsonschema.Draft202012Validator.check_schema(plan_schema())
    assert "several" not in plan_schema()["properties"]["agents"]["description"]
    assert all(entry.get("description") for entry in plan_schema()["$defs"]["TaskSpec"]["properties"].values())


@pytest.mark.parametrize("text", [FULL, "tasks: {a: {prompt: x, timeout: 1h30m, workspace: here, agent: null}}"])
def test_good_plans_fit(text):
    """What loads fits the schema, in every form that a value can take."""
    assert list(VALIDATOR.iter_errors(parse_source(text, "plan.yaml").data)) == []


@pytest.mark.parametrize(
    "text",
    [
        "tasks: {a: {promt: x}}",
        "task: {}\ntasks: {a: {prompt: x}}",
        "tasks: {}",
        "name: x",
        "tasks: {'a b': {prompt: x}}",
        "agents: {a: {tool: []}}\ntasks: {a: {prompt: x}}",
        "limits: {x: 1}\ntasks: {a: {prompt: x}}",
        "tasks: {a: {prompt: x, workspace: {pth: x}}}",
        "tasks: {a: {prompt: x, rehearsal: [{sya: x}]}}",
        "tasks: {a: {prompt: x, timeout: soon}}",
        "tasks: {a: {prompt: x, needs: b}}",
        "tasks: {a: {prompt: x, checks: pytest -q}}",
        "tasks: {a: {prompt: x, inputs: [3]}}",
        "tasks: {a: {prompt: x, fresh: often}}",
        "agents: {a: {idle_timeout: soon}}\ntasks: {a: {prompt: x}}",
        "agents: {a: {tools: Read}}\ntasks: {a: {prompt: x}}",
    ],
)
def test_bad_plans_do_not(text):
    """Unknown keys and wrong types do not fit."""
    assert list(VALIDATOR.iter_errors(parse_source(text, "plan.yaml").data))
