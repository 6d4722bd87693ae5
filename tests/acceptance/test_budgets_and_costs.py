"""Budgets and costs with the real Claude CLI, which reckons costs from what the offline model says it has used."""

import json
from typing import Any

import pytest
from command_line import Cli

LONG = """
name: long
agents: {writer: {tools: [Write], model: sonnet}}
tasks:
  book:
    agent: writer
    workspace: worktree
    prompt: "Write the chapters."
    rehearsal:
      - {write: {path: one.md, text: "one"}}
      - {say: "The first chapter stands."}
      - {write: {path: two.md, text: "two"}}
      - {write: {path: three.md, text: "three"}}
      - {say: "All is written."}
"""
MIXED = """
name: mixed
agents: {writer: {tools: [Bash, Write], allow: [Bash], model: sonnet}, checker: {tools: [], model: haiku}}
tasks:
  sum:
    agent: writer
    workspace: directory
    prompt: "Write the sum."
    retries: 1
    checks: ["grep -qx 42 sum.txt"]
    rehearsal:
      - {write: {path: sum.txt, text: "41"}}
      - {end: "It is 41."}
      - {bash: "echo 42 > sum.txt"}
      - {say: "It is 42."}
  check: {agent: checker, prompt: "What is 20 + 22?"}
"""


def run(cli: Cli, *arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the JSON of a command."""
    done = cli(*arguments, "--view", "none", "--json", "-")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize(("budget", "few", "many"), [("--turns", "2", "40"), ("--tokens", "4000", "1M")])
def test_the_hard_line_keeps_what_there_is(cli: Cli, budget: str, few: str, many: str) -> None:
    """An interrupted agent keeps its words, branch, files, session and cost; with more it goes on to its end."""
    cli.repository()
    cli.plan(LONG)
    code, data = run(cli, "run", "plan.yaml", "--offline", budget, few)
    task = data["tasks"][0]
    assert (code, data["complete"], task["status"], task["outcome"]) == (1, False, "cancelled", "budget")
    assert task["text"] == "The first chapter stands."
    assert "one.md" in task["workspace"]["changed"]
    assert cli.git("show", f"{task['workspace']['branch']}:one.md") == "one"
    assert 0 < task["cost_usd"] == pytest.approx(task["models"]["claude-sonnet-5-5"]["usd"])
    code, more = run(cli, "resume", "long", budget, many)
    end = more["tasks"][0]
    assert (code, end["status"], end["text"]) == (0, "done", "All is written.")
    assert end["session_id"] == task["session_id"]
    assert task["cost_usd"] < end["cost_usd"] == pytest.approx(more["totals"]["cost_usd"])
    assert cli.git("show", f"{end['workspace']['branch']}:three.md") == "three"


def test_a_run_out_of_money_goes_on_with_more(cli: Cli) -> None:
    """An agent that the CLI stops at what it was granted is cut by the run's budget, not failed by its own limit."""
    cli.repository()
    cli.plan(LONG)
    code, data = run(cli, "run", "plan.yaml", "--offline", "--usd", "0.008", "--concurrent", "1")
    task = data["tasks"][0]
    assert (code, task["outcome"], task["text"]) == (1, "budget", "The first chapter stands.")
    assert data["totals"]["cost_usd"] < 0.016, "more than one reply beyond"
    lower = cli("resume", "long", "--usd", "0.007", "--view", "none")
    assert lower.returncode == 1
    assert f"({data['totals']['cost_usd']:.4g} USD so far)" in lower.stdout
    code, more = run(cli, "resume", "long", "--usd", "1")
    assert (code, more["tasks"][0]["text"]) == (0, "All is written.")


def test_costs_by_agent_and_model(cli: Cli) -> None:
    """Costs by model add up to a task's, over rounds after checks too, and those by agent to the run's."""
    cli.plan(MIXED)
    code, data = run(cli, "run", "plan.yaml", "--offline")
    assert code == 0
    by_id = {task["id"]: task for task in data["tasks"]}
    for task in by_id.values():
        parts = task["models"].values()
        assert sum(part["usd"] for part in parts) == pytest.approx(task["cost_usd"])
        assert sum(part["output_tokens"] for part in parts) == task["usage"]["output_tokens"]
        assert sum(part["input_tokens"] for part in parts) == task["usage"]["input_tokens"]
    totals = data["totals"]
    assert by_id["sum"]["turns"] >= 4
    assert set(totals["by_agent"]) == {"writer", "checker"}
    assert set(totals["by_model"]) == {"claude-sonnet-5-5", "claude-haiku-5-5"}
    for parts in (totals["by_agent"], totals["by_model"]):
        assert sum(part["cost_usd"] for part in parts.values()) == pytest.approx(totals["cost_usd"], abs=2e-6)
    went_on, later = run(cli, "continue", "mixed", "check", "What is 6 * 7?")
    (answer,) = later["tasks"]
    assert went_on == 0
    assert answer["models"]["claude-haiku-5-5"]["usd"] == pytest.approx(answer["cost_usd"])
    shown = cli("show", "mixed").stdout
    assert "cost by" in shown
    assert "writer" in shown


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--tokens", "many", "--tokens many: found the text 'many', expected a whole number of 1 or more, as 50, 400k"),
        ("--turns", "0", "--turns 0: found the number 0, expected a whole number of 1 or more"),
        ("--time", "soon", "--time soon: found the text 'soon', expected seconds or a time as 90s"),
    ],
)
def test_wrong_budgets(cli: Cli, option: str, value: str, said: str) -> None:
    """What a budget cannot be is said as for the plan's value, and nothing is started."""
    cli.plan(LONG)
    done = cli("run", "plan.yaml", "--offline", option, value)
    assert done.returncode == 2
    assert said in done.stderr
    assert not cli.journal_has_run()
