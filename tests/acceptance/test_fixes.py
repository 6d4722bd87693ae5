"""Checks with the real Claude CLI: what fails goes back to the agent while its worktree is open."""

import json
from typing import Any

import pytest
from command_line import Cli, make_cli

MENDED = 'grep -qx 42 sum.txt || { echo "sum.txt has $(cat sum.txt), as $ORCHESTRATOR_TASK left it"; exit 3; }'
PLAN = f"""
name: proven
agents: {{worker: {{model: sonnet, tools: [Bash, Edit, Read, Write], allow: [Bash]}}}}
defaults: {{agent: worker}}
tasks:
  sum:
    workspace: worktree
    prompt: "Write the sum of 20 and 22 into sum.txt."
    retries: RETRIES
    checks: ['test "$(cat built.o)" = once', '{MENDED}']
    rehearsal:
      - bash: "echo once >> built.o"
      - write: {{path: sum.txt, text: "41\\n"}}
      - end: "It is 41."
      - edit: {{path: sum.txt, old: "41", new: "42"}}
      - say: "Now it is 42."
  after: {{needs: [sum], prompt: "What is 6 * 7?"}}
"""


class Proven:
    """The plan, run in a repository in which git ignores what is built."""

    def __init__(self, cli: Cli, retries: int) -> None:
        self.cli = cli
        (cli.place / ".gitignore").write_text("*.o\n")
        cli.repository()
        cli.plan(PLAN.replace("RETRIES", str(retries)))
        self.done = cli("run", "plan.yaml", "--offline", "--view", "jsonl", "--json", "out.json")
        self.data: dict[str, Any] = json.loads((cli.place / "out.json").read_text())
        self.tasks: dict[str, Any] = {task["id"]: task for task in self.data["tasks"]}
        self.events = [json.loads(line) for line in self.done.stderr.splitlines() if line.startswith("{")]

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The events of a kind that are the task's."""
        return [event for event in self.events if event["kind"] == kind and event.get("task") == "sum"]

    def kept(self, file: str) -> str:
        """What the task's branch has in a file."""
        return self.cli.git("show", f"{self.tasks['sum']['workspace']['branch']}:{file}")


@pytest.fixture(scope="module")
def mended(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """The plan whose agent is told what the checks refused."""
    return Proven(make_cli(tmp_path_factory.mktemp("mended")), retries=1)


def test_what_a_check_says_is_mended(mended: Proven) -> None:
    """The agent mends in its session what the check refused; a file that git ignores is still there in that round."""
    task = mended.tasks["sum"]
    assert mended.done.returncode == 0, mended.done.stderr
    assert (task["status"], task["text"], task["attempts"]) == ("done", "Now it is 42.", 1)
    assert [event["exit_code"] for event in mended.told("CheckFinished")] == [0, 3, 0, 0]
    assert mended.told("CheckFinished")[1]["output"].strip() == "sum.txt has 41, as sum left it"
    assert [event["how"] for event in mended.told("SessionStarted")] == ["fresh", "continued"]
    assert {event["session_id"] for event in mended.told("SessionStarted")} == {task["session_id"]}
    assert [len(mended.told(kind)) for kind in ("WorkspaceOpened", "WorkspaceClosed")] == [1, 1]
    assert mended.kept("sum.txt") == "42\n"
    assert task["workspace"]["changed"] == ["sum.txt"]


def test_the_cost_of_both_rounds_is_counted_once(mended: Proven) -> None:
    """A session's cost, which the CLI counts on from round to round, is in the result once, and so are its tokens."""
    rounds = [event["data"] for event in mended.told("AgentMessage") if event["type"] == "ResultMessage"]
    task = mended.tasks["sum"]
    assert len(rounds) == 2
    assert rounds[-1]["total_cost_usd"] > rounds[0]["total_cost_usd"] > 0
    assert task["cost_usd"] == pytest.approx(rounds[-1]["total_cost_usd"])
    assert task["usage"]["input_tokens"] == sum(each["usage"]["input_tokens"] for each in rounds)
    assert [event["cost_usd"] for event in mended.told("AgentMessage")][-1] == pytest.approx(task["cost_usd"])


def test_work_that_is_not_mended_has_failed(cli: Cli) -> None:
    """Without retries the task has failed, says why, and keeps the work; what needs it is not begun."""
    proven = Proven(cli, retries=0)
    task = proven.tasks["sum"]
    assert proven.done.returncode == 1
    assert (task["status"], task["outcome"], task["text"]) == ("failed", "checks_failed", "It is 41.")
    assert "ended with exit code 3" in task["error"]
    assert "sum.txt has 41" in task["error"]
    assert proven.kept("sum.txt") == "41\n"
    assert proven.tasks["after"]["status"] == "skipped"
