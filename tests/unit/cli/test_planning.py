"""`plan check` and `plan show`: what is in a plan, stages, votes and plans in it too."""

import json
from pathlib import Path

import pytest

from orchestrator.cli.planning import check, show

PLAN = """
name: all
limits: {concurrent: 3}
tasks:
  find: {foreach: [1, 2], prompt: x, workspace: worktree}
  check:
    needs: [{task: find, allow: failed}]
    pipeline:
      look: {prompt: x}
      decide: {vote: {times: 5, by: judge}, prompt: x, when: "{{ previous.ok }}"}
  out: {fan_out: {most: 4}, prompt: x}
  part: {matrix: {a: [1], b: [2]}, plan: inner.yaml}
"""
INNER = "limits: {concurrent: 2}\ntasks:\n  one: {prompt: x}\n  two: {needs: [one], write: {path: p, text: t}}\n"


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "inner.yaml").write_text(INNER)
    (tmp_path / "plan.yaml").write_text(PLAN)
    return str(tmp_path / "plan.yaml")


def test_the_tree_has_what_is_in_tasks(
    path: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stages, steps and inner tasks hang below their task by the ends of their ids; dependents by their names."""
    monkeypatch.setenv("COLUMNS", "120")
    assert show(path, [], as_json=False) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "all · 4 tasks · 3 at once",
        "├── find  for each of 2 items  in a worktree",
        "│   └── check  also if find failed",
        "│       ├── .look",
        "│       └── .decide  a vote of 5 by judge  when {{ previous.ok }}",
        "│           └── .judge",
        "├── out  split into 4 parts at most",
        "│   ├── .split",
        "│   ├── .part  for each part",
        "│   └── .join",
        "└── part  for each combination of a, b  the plan inner.yaml  its own limits do not count here",
        "    └── .one",
        "        └── .two  writes p",
    ]


def test_the_graph_as_data(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each task tells its kind, that of a loop's parts, and what is in it."""
    show(path, [], as_json=True)
    tasks = {task["name"]: task for task in json.loads(capsys.readouterr().out)}
    assert (tasks["part"]["kind"], tasks["part"]["part"]) == ("loop", "plan")
    assert [(task["name"], task["kind"], task["needs"]) for task in tasks["part"]["tasks"]] == [
        ("one", "agent", []),
        ("two", "write", ["one"]),
    ]
    assert [(part["name"], part["kind"]) for part in tasks["check"]["parts"]] == [("look", "agent"), ("decide", "vote")]
    assert tasks["check"]["parts"][1]["vote"] == {"times": 5, "by": "judge", "on": None}
    assert tasks["out"]["kind"] == "group"


def test_a_check_names_the_plans_inside(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It says that the limits of a plan in a plan do not count, in words and as data."""
    check(path, [], as_json=False)
    said, note = capsys.readouterr().out.splitlines()
    assert said.endswith("the plan 'all' is good: 4 tasks, with 1 plan in it: inner.yaml")
    assert note.startswith("note: inner.yaml: its limits do not count here")
    check(path, [], as_json=True)
    data = json.loads(capsys.readouterr().out)
    assert (data["plans"], data["notes"]) == (["inner.yaml"], [note.removeprefix("note: ")])
