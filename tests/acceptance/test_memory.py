"""Memory, with real CLI processes."""

import json

from command_line import SMALL, Cli


def test_what_agents_use_is_measured_and_told(cli: Cli) -> None:
    """The journal has what the CLI of a task used at its peak; `run --json` and `show` tell it."""
    cli.plan(SMALL)
    done = cli("run", "plan.yaml", "--offline", "--memory", "90%", "--view", "jsonl", "--json", "-")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    measured = [event for event in events if "ProcessesMeasured" in json.dumps(event)]
    report = json.loads(done.stdout)
    assert measured
    assert 60e6 < report["totals"]["peak_memory"] < 1e9
    assert report["tasks"][0]["peak_memory"] == report["totals"]["mean_peak_memory"]
    shown = cli("show", report["run"], "one").stdout
    assert "MB at most" in shown
    assert "MB an agent" in cli("show", report["run"]).stdout


def test_a_wrong_amount_is_named(cli: Cli) -> None:
    """It says which option is wrong, and what would be right."""
    cli.plan(SMALL)
    done = cli("run", "plan.yaml", "--offline", "--memory", "much")
    assert done.returncode == 2
    assert "--memory much: found the text 'much', expected a share or a size, as 80% or 4GB" in done.stderr
