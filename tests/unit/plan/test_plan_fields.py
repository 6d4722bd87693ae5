"""The values of a plan's fields."""

import pytest
from pydantic import TypeAdapter, ValidationError

from orchestrator.plan.fields import Duration, ToolList, Workspace
from workspaces import WorkspaceSpec


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (90, 90),
        (1.5, 1.5),
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("2d", 172_800),
        ("1.5h", 5400),
        ("1m500ms", 60.5),
    ],
)
def test_durations(given, seconds):
    """A time is a number of seconds, or numbers with units from large to small."""
    assert TypeAdapter(Duration).validate_python(given) == seconds


@pytest.mark.parametrize(
    "given",
    [
        0,
        -1,
        True,
        None,
        "",
        "h",
        "10",
        "10 m",
        "30m1h",
        "1e3s",
        "inf",
        float("inf"),
        float("nan"),
        10**400,
        "9" * 999 + "d",
        [],
        "٣s",
    ],
)
def test_durations_that_are_none(given):
    """Anything else is refused with the forms that are expected."""
    with pytest.raises(ValidationError, match="10m, 1h30m"):
        TypeAdapter(Duration).validate_python(given)


@pytest.mark.parametrize(
    ("given", "spec"),
    [
        ("here", WorkspaceSpec()),
        ({"path": "docs"}, WorkspaceSpec(path="docs")),
        ({"kind": "worktree", "base": "main"}, WorkspaceSpec(kind="worktree", base="main")),
        (WorkspaceSpec(kind="mine:Provider"), WorkspaceSpec(kind="mine:Provider")),
    ],
)
def test_workspaces(given, spec):
    """A word, a mapping and a spec all give a spec."""
    assert TypeAdapter(Workspace).validate_python(given) == spec


def test_tools():
    """Tools are a list, or the word default; the list may be empty."""
    tools = TypeAdapter(ToolList)
    assert tools.validate_python(["Read", "mcp__a__b"]) == ("Read", "mcp__a__b")
    assert tools.validate_python("default") == "default"
    assert tools.validate_python(()) == ()
