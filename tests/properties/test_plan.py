"""Whatever is in a plan file, it loads or it is refused in words."""

import copy
import json
import random

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import PlanError, UsageError
from orchestrator.plan.loading import load_plan, parse_plan
from orchestrator.plan.model import Plan
from orchestrator.plan.references import read_references
from orchestrator.plan.render import TemplateError, render
from orchestrator.plan.source import parse_source

VALID = {
    "name": "audit",
    "vars": {"topics": ["setup", "testing"]},
    "limits": {"concurrent": 10, "usd": 5.0},
    "defaults": {"agent": "auditor", "workspace": "here", "timeout": "10m", "retries": 2},
    "agents": {
        "auditor": {"model": "sonnet", "tools": ["Read"], "mcp_servers": {"a": {"command": "b"}}, "env": {"A": "b"}}
    },
    "tasks": {
        "ask": {
            "foreach": "{{ vars.topics }}",
            "prompt": "{{ item }}",
            "returns": {"type": "object", "properties": {}},
        },
        "check": {
            "needs": ["ask"],
            "prompt": "{{ tasks.ask.values | tojson }}",
            "workspace": {"kind": "worktree", "base": "x"},
        },
        "save": {"write": {"path": "a.md", "text": "{{ tasks.check.text }}"}, "when": "{{ tasks.ask.ok }}"},
        "play": {
            "prompt": "x",
            "rehearsal": [{"say": "x"}, {"fail": {"status": 429}}, {"write": {"path": "a", "text": "b"}}],
        },
        "grid": {"matrix": {"a": [1], "b": "{{ [item.a] }}"}, "prompt": "{{ item.b }}", "needs": [{"task": "ask"}]},
        "line": {
            "foreach": [1],
            "pipeline": {
                "one": {"prompt": "{{ item }}"},
                "two": {"foreach": [2], "prompt": "{{ previous.text }} {{ outer.item }} {{ stages.one.ok }}"},
            },
        },
        "vote": {"vote": {"times": 2, "by": "judge", "judge": {"prompt": "x"}}, "prompt": "{{ voter }}"},
        "split": {"fan_out": {"split": "{{ goal }}", "part": {"prompt": "{{ item }}"}, "most": 2}, "prompt": "x"},
    },
}
plain = ["tasks", "prompt", "a", "ask", "default", "10m", ".", "/", "$schema", "$ref", "type", "", "\0"]
texts = st.sampled_from([*plain, "{{ item }}", "{{ tasks.ask.text }}", "{{ (", "{% for", "{#"])
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.text(max_size=8)
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
dotted = st.lists(texts | st.sampled_from([*VALID, *VALID["tasks"], "0", "x"]), max_size=4).map(".".join)


def spots(data, path=()):
    yield path
    for key in data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ():
        yield from spots(data[key], (*path, key))


def mutate(data, path, value, how):
    inside = data
    for key in path[:-1]:
        inside = inside[key]
    if how == "delete":
        del inside[path[-1]]
    elif how == "rename" and isinstance(inside, dict):
        inside[str(value)] = inside.pop(path[-1])
    else:
        inside[path[-1]] = value


def refused(load):
    """The error that `load` gives when it refuses; None when it does not. Any other error passes."""
    try:
        load()
    except (PlanError, TemplateError, UsageError) as error:
        return error
    return None


def loads_or_is_refused(data):
    if (error := refused(lambda: parse_plan(data))) is None:
        plan = parse_plan(data).plan
        assert Plan.model_validate(plan.model_dump(mode="json")) == plan
    else:
        assert all(0 < len(fault.what) < 1000 for fault in error.faults)


@given(st.dictionaries(texts | st.text(max_size=5), anything, max_size=4))
def test_any_data(data):
    """Data of any shape loads or gives a PlanError."""
    loads_or_is_refused(data)


@given(st.data())
def test_mutations_of_a_plan(data):
    """A good plan with one to three changes anywhere loads or gives a PlanError."""
    plan = copy.deepcopy(VALID)
    for _ in range(data.draw(st.integers(1, 3))):
        if places := [spot for spot in spots(plan) if spot]:
            how = data.draw(st.sampled_from(["replace", "delete", "rename"]))
            mutate(plan, data.draw(st.sampled_from(places)), data.draw(anything), how)
    loads_or_is_refused(plan)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes(tmp_path, data):
    """A file of any bytes loads or gives a PlanError."""
    path = tmp_path / "plan.yaml"
    path.write_bytes(data)
    refused(lambda: load_plan(path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.integers(1, 8))
def test_damaged_plan_files(tmp_path, seed, times):
    """A good file with characters struck, doubled or swapped loads or gives a PlanError that names the file."""
    chance, text = random.Random(seed), list(yaml.safe_dump(VALID))
    signs = ["", "{", "[", "&a ", "*a ", ":", "\n", "- ", "'", "!", "|", "\t", "%", "{{", "<<: "]
    for _ in range(times):
        text[chance.randrange(len(text))] = chance.choice(signs)
    path = tmp_path / "plan.yaml"
    path.write_text("".join(text))
    error = refused(lambda: load_plan(path))
    assert error is None or str(error).startswith(str(path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(dotted, texts | st.text(max_size=8), max_size=3))
def test_any_override(tmp_path, overrides):
    """Any values set from outside load, or give a UsageError or a PlanError."""
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(VALID))
    refused(lambda: load_plan(path, overrides))


@given(st.text(alphabet="{}%#-+ab.()[]'\"|~* \n0x_", max_size=40))
def test_any_template(template):
    """A template of any characters gives text or a TemplateError, and can be read before it runs."""
    read_references(template)
    refused(lambda: render(template, {"a": {"b": 1}, "x": [1]}))


# YAML has no escapes for the halves of a character, which is how JSON escapes those beyond the first plane.
words = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=6)
numbers = st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
json_data = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=10,
)


@given(json_data)
def test_json_is_yaml(data):
    """Data written as JSON reads back as that data."""
    assert parse_source(json.dumps({"a": data}), "plan.yaml").data == {"a": data}
