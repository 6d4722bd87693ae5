"""The README's own lines, run as they stand."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def block(language: str, number: int = 0) -> str:
    """A code block in the language, by its place among them."""
    found = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert len(found) > number, f"the README has only {len(found)} blocks of {language}"
    return str(found[number])


def test_the_first_script_runs(tmp_path: Path) -> None:
    """The script of the README runs offline as it stands and prints an answer for each item."""
    script = tmp_path / "first.py"
    script.write_text(block("python"), "utf-8")
    done = subprocess.run([sys.executable, script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.count("[offline model]") == 3


def test_the_first_script_has_ten_lines() -> None:
    """The commonest case needs no more than ten lines."""
    assert sum(1 for line in block("python").splitlines() if line.strip()) <= 10


def test_the_first_plan_runs(cli: Cli, tmp_path: Path) -> None:
    """The plan of the README is good, and its report is written."""
    plan = tmp_path / "first.yaml"
    plan.write_text(block("yaml"), "utf-8")
    assert cli("plan", "show", str(plan)).returncode == 0
    assert cli("run", str(plan), "--offline").returncode == 0
    assert list(tmp_path.rglob("first-report.md")), "no report"


def test_the_patterns_run(cli: Cli, tmp_path: Path) -> None:
    """The plan with every pattern is good, and the script with every pattern gives what its lines print."""
    plan, script = tmp_path / "patterns.yaml", tmp_path / "patterns.py"
    plan.write_text(block("yaml", 1), "utf-8")
    checked = cli("plan", "check", str(plan))
    assert checked.returncode == 0, checked.stderr
    script.write_text(block("python", 1), "utf-8")
    cli.repository()  # in this one the model would have more to look at
    done = cli.finish(cli.start_python(script))
    assert done.returncode == 0, done.stderr
    pipeline, vote, split, asked = done.stdout.splitlines()
    assert pipeline.endswith(" 0")
    assert vote.startswith(("2 of 3 say", "all 3 say"))
    assert split.startswith("ok ")
    assert asked.startswith("done True ")


def test_the_agents_that_talk(cli: Cli, tmp_path: Path) -> None:
    """The planner of the README adds its worker, and tells what that found."""
    plan = tmp_path / "talking.yaml"
    plan.write_text(block("yaml", 2), "utf-8")
    done = cli("run", str(plan), "--offline", "--json", "-")
    assert done.returncode == 0, done.stderr
    texts = {task["id"]: task["text"] for task in json.loads(done.stdout)["tasks"]}
    assert "plan.python" in texts
    assert texts["plan"].startswith("They found: ")
    assert "offline model" in texts["plan"]


@pytest.mark.parametrize("end", ["orchestrator demo", r"pytest -n \d"])
def test_the_two_commands_are_there(end: str) -> None:
    """Each of the two commands is one line that makes the venv, installs and runs."""
    (line,) = [line for line in README.splitlines() if re.fullmatch(f"python3 -m venv .*{end}", line)]
    assert "pip install" in line
    assert "-c tests/constraints.txt" in line


def test_every_file_that_it_names_exists() -> None:
    """Paths in the README lead somewhere."""
    named = set(re.findall(r"\b(?:examples|orchestrator|tests)/[\w/.-]+\.\w+", README))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
