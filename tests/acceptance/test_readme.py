"""The README's own lines, run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def block(language: str) -> str:
    """The first code block in the language."""
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no {language} block"
    return found[1]


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


@pytest.mark.parametrize("end", ["orchestrator demo", "pytest -n 2"])
def test_the_two_commands_are_there(end: str) -> None:
    """Each of the two commands is one line that makes the venv, installs and runs."""
    (line,) = [line for line in README.splitlines() if line.startswith("python3 -m venv") and line.endswith(end)]
    assert "pip install" in line
    assert "-c tests/constraints.txt" in line


def test_every_file_that_it_names_exists() -> None:
    """Paths in the README lead somewhere."""
    named = set(re.findall(r"\b(?:examples|orchestrator|tests)/[\w/.-]+\.\w+", README))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
