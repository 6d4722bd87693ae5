"""Checks with the real Claude CLI: what fails goes back to the agent while its worktree is open."""

from pathlib import Path
from typing import Any

import pytest
from command_line import Cli

PLAN = """
name: proven
agents: {worker: {tools: [Bash, Edit, Read, Write], allow: [Bash]}}
defaults: {agent: worker}
tasks:
  sum:
    workspace: worktree
    prompt: "Write the sum of 20 and 22 into sum.txt."
    retries: RETRIES
    checks:
      - "test -f built.o"
      - 'grep -qx 42 sum.txt || { echo "sum.txt has $(cat sum.txt), as $ORCHESTRATOR_TASK left it"; exit 3; }'
    rehearsal:
      - bash: "echo once >> built.o"
      - write: {path: sum.txt, text: "41\\n"}
      - end: "It is 41."
      - edit: {path: sum.txt, old: "41", new: "42"}
      - say: "Now it is 42."
"""


@pytest.fixture
def repository(cli: Cli) -> Cli:
    """A repository in which git ignores what is built."""
    (cli.place / ".gitignore").write_text("*.o\n")
    cli.repository()
    return cli


def run(cli: Cli, retries: int) -> tuple[int, dict[str, Any]]:
    """The exit code, and the task as `--json` tells it."""
    done = cli("run", cli.plan(PLAN.replace("RETRIES", str(retries))), "--offline", "--view", "none", "--json", "out.json")
    import json

    return done.returncode, json.loads((cli.place / "out.json").read_text())["tasks"][0]
