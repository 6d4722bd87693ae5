"""What the CLI and the run make of the API's faults."""

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import Cli
from load import at_most

PASSING = ("429:retry_after=1", "529", "500", "503", "cut", "slow:delay=2s", "malformed")
REFUSED = (("401", "auth"), ("402", "billing"), ("quota", "quota"))


def run(cli: Cli, target: Path, tasks: int, *faults: str) -> dict[str, Any]:
    """The document of a run of so many tasks under these faults."""
    each = "\n".join(f"  t{number}: {{prompt: What is 6 * {number}?}}" for number in range(tasks))
    limits = "limits: {concurrent: 4, wait_for_reset: false}"
    plan = f"{limits}\nagents: {{q: {{tools: []}}}}\ndefaults: {{agent: q, retries: 0}}\ntasks:\n{each}\n"
    rules = [word for fault in faults for word in ("--fault", fault)]
    done = cli("run", cli.plan(plan), "--offline", "--json", target, "--view", "none", *rules)
    assert target.exists(), done.stderr
    told: dict[str, Any] = json.loads(target.read_text())
    return told


def test_what_passes_is_overcome(cli, tmp_path):
    """One fault of each kind that passes by itself: every task is done all the same, and the faults are counted."""
    rules = [f"{rule},task=t{n}" if ":" in rule else f"{rule}:task=t{n}" for n, rule in enumerate(PASSING)]
    told = run(cli, tmp_path / "a.json", len(PASSING), *rules)
    assert {task["id"]: task["outcome"] for task in told["tasks"]} == {f"t{n}": "ok" for n in range(len(PASSING))}
    assert told["totals"]["noted"] == {"fault": len(PASSING)}


@pytest.mark.parametrize(("rule", "outcome"), REFUSED)
def test_what_does_not_pass_ends_the_task_with_its_cause(cli, tmp_path, rule, outcome):
    """Refused credentials, no credit, a usage limit: the task has that outcome, without minutes of trying again."""
    told = run(cli, tmp_path / "a.json", 1, rule)
    assert [task["outcome"] for task in told["tasks"]] == [outcome]
    assert told["totals"]["wall_s"] < at_most(30)
    assert not told["complete"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fault", "429"], "expected them with --offline or --replay"),
        (["--offline", "--fault", "42"], "--fault 42: found the kind '42'"),
        (["--offline", "--replay", "a.rec"], "leave out --offline and --gateway"),
        (["--replay", "a.rec"], "a.rec: found no such file, expected a recording: make one with"),
        (["--replay", "plan.yaml"], "plan.yaml:1: found"),
        (["--offline", "--record", "plan.yaml"], "found a file that is no recording"),
        (["--offline", "--overwrite"], "as --record FILE --overwrite"),
        (["--offline", "--no-texts"], "as --record FILE --no-texts"),
    ],
)
def test_options_that_do_not_go_together_say_so(cli, options, said):
    """Exit code 2, one sentence, and nothing is started."""
    done = cli("run", cli.plan("tasks: {a: {prompt: x}}\n"), *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert not cli.journal_has_run()
