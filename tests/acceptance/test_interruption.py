"""Interruptions: what was finished is kept, nothing goes on running, and the user is told where the work is."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_line import Cli, Finished, killed_at_last, leased, make_cli, running, wait_until
from load import at_most

LONG = """
name: long
limits: {concurrent: 4}
agents: {worker: {tools: [Bash, Write], allow: [Bash]}}
defaults: {agent: worker}
tasks:
  quick: {prompt: "What is 6 * 7?"}
  change:
    workspace: worktree
    prompt: "Work."
    rehearsal:
      - write: {path: half.txt, text: "half done\\n"}
      - bash: "setsid sleep 61 & sleep 60"
      - say: "never said"
  late: {needs: [change], prompt: "Never asked."}
"""


@pytest.fixture
def at_work(cli: Cli) -> Iterator[tuple[Cli, subprocess.Popen[str]]]:
    """A run with one task done, and one that has written a file and runs a command, in a worktree."""
    with working(cli) as process:
        yield cli, process


@contextmanager
def working(cli: Cli) -> Iterator[subprocess.Popen[str]]:
    """The same."""
    cli.repository()
    cli.plan(LONG)
    with killed_at_last(cli.start_anew("run", "plan.yaml", "--offline")) as process:
        wait_until(lambda: files_of(cli) and sleepers(cli) == 2 and "quick" in cli.done(), "both tasks")
        yield process
    wait_until(lambda: not leased(cli.home), "the end of all agents")


def files_of(cli: Cli) -> list[Path]:
    """The half-done file in the task's worktree."""
    return list((cli.home / "orchestrator" / "workspaces").glob("**/half.txt"))


def sleepers(cli: Cli) -> int:
    """How many of the two commands of the task run."""
    commands = [Path(f"/proc/{pid}/cmdline") for pid in leased(cli.home)]
    return sum(is_sleep(path) for path in commands)


def is_sleep(path: Path) -> bool:
    try:
        return path.read_bytes().startswith((b"sleep\0", b"/usr/bin/sleep\0"))
    except OSError:
        return False


def guards(cli: Cli) -> list[str]:
    """Temporary folders of the orchestrator whose guard has not cleaned up yet."""
    return [path.name for path in Path(cli.variables["TMPDIR"]).glob("orchestrator-*")]


@pytest.fixture
def cli(cli: Cli) -> Iterator[Cli]:
    """A command line whose temporary files can be counted."""
    with countable(cli) as cli:
        yield cli


@contextmanager
def countable(cli: Cli) -> Iterator[Cli]:
    """The same."""
    with tempfile.TemporaryDirectory(prefix="it-", dir="/tmp") as folder:  # the CLI's sockets need a short path
        yield cli.with_variables(TMPDIR=folder)


class Killed:
    """A run that two others follow. One of them is interrupted; then the run is killed with SIGKILL."""

    def __init__(self, cli: Cli, process: "subprocess.Popen[str]") -> None:
        self.cli = cli
        with running(cli, "logs", "--follow") as left, running(cli, "logs", "--follow") as followed:
            for logs in (left, followed):
                assert logs.stdout is not None
                logs.stdout.readline()
            left.send_signal(signal.SIGINT)
            self.left: Finished = cli.finish(left)
            self.went_on = process.poll() is None
            process.kill()
            process.wait()
            wait_until(lambda: not leased(cli.home), "the end of all agents", at_most(5))
            wait_until(lambda: not guards(cli), "the guard's end", at_most(5))
            self.followed: Finished = cli.finish(followed)
        self.row: dict[str, Any] = cli.json("runs")[0]
        self.data: dict[str, Any] = cli.json("show")
        self.shown = cli("show").stdout
        self.kept = [path.read_text() for path in files_of(cli)]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    """One of these, for all tests that only look at what came of it."""
    with countable(make_cli(tmp_path_factory.mktemp("killed"))) as cli, working(cli) as process:
        yield Killed(cli, process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_one_signal_ends_in_good_order(at_work: tuple[Cli, subprocess.Popen[str]], number: signal.Signals) -> None:
    """One signal ends the run within seconds with 130: results and half-done work are kept, and no process is left."""
    cli, process = at_work
    sent = time.monotonic()
    process.send_signal(number)
    done = cli.finish(process)
    assert time.monotonic() - sent < at_most(8)
    assert done.returncode == 130
    assert leased(cli.home) == []
    assert guards(cli) == []

    assert "stopping: what has finished is kept; once more stops at once" in done.stderr
    assert "interrupted: go on with: orchestrator resume long-" in done.stderr
    assert "✓ quick" in done.stdout

    data = cli.json("show")
    tasks = {task["id"]: task for task in data["tasks"]}
    assert data["status"] == "cancelled"
    assert [tasks[name]["status"] for name in ("quick", "change", "late")] == ["done", "cancelled", "cancelled"]
    assert "42" in tasks["quick"]["text"]

    branch = f"orchestrator/{data['run']}/change"
    assert branch in done.stdout
    assert tasks["change"]["workspace"]["branch"] == branch
    assert cli.git("show", f"{branch}:half.txt") == "half done\n"
    assert len(cli.git("worktree", "list").splitlines()) == 1
    assert files_of(cli) == []


def test_nohup_is_heeded(cli: Cli) -> None:
    """A run whose SIGHUP is ignored, as `nohup` has it, outlives its terminal."""
    cli.plan("tasks: {a: {prompt: x, agent: b, rehearsal: [{bash: pwd}, {wait: 1}]}}\nagents: {b: {tools: [Bash]}}\n")
    process = cli.start_anew(
        "run", "plan.yaml", "--offline", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    with killed_at_last(process):
        wait_until(lambda: "a" in cli.started(), "the task")
        process.send_signal(signal.SIGHUP)
        assert cli.finish(process).returncode == 0


def test_json_of_an_interrupted_run(cli: Cli) -> None:
    """An interrupted run still gives its one document on stdout."""
    cli.repository()
    cli.plan(LONG)
    with running(cli, "run", "plan.yaml", "--offline", "--json", "-") as process:
        wait_until(lambda: "quick" in cli.done(), "the quick task")
        process.send_signal(signal.SIGINT)
        done = cli.finish(process)
    assert done.returncode == 130
    assert json.loads(done.stdout)["status"] == "cancelled"


def test_a_second_signal_ends_at_once(at_work: tuple[Cli, subprocess.Popen[str]]) -> None:
    """A second Ctrl-C does not wait for anything; the guard then ends what runs and removes what is temporary.

    The agents are halted, so that an end in good order would take seconds, and would say how to go on.
    """
    cli, process = at_work
    for pid in leased(cli.home):
        if psutil.Process(pid).name() == "claude":
            os.kill(pid, signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert any("stopping" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    done = cli.finish(process)
    assert (done.returncode, "go on with" in done.stderr) == (130, False)
    wait_until(lambda: not leased(cli.home) and not guards(cli), "the guard's work", at_most(6))


def test_a_killed_orchestrator_leaves_nobody(killed: Killed) -> None:
    """After SIGKILL no agent and none of its commands is left within 5 s; the run is shown as interrupted."""
    row, data = killed.row, killed.data
    assert (row["name"], row["status"]) == ("long", "interrupted")
    assert data["status"] == "interrupted"
    assert {task["id"]: task["status"] for task in data["tasks"]} == {
        "quick": "done",
        "change": "cancelled",
        "late": "pending",
    }
    assert data["totals"]["wall_s"] == round(row["wall_s"], 3) > 0
    assert "interrupted: its process died" in killed.shown
    assert killed.kept == ["half done\n"]


def test_following_a_killed_run_ends(killed: Killed) -> None:
    """`logs --follow` does not wait for the end of a run whose process was killed."""
    assert killed.followed.returncode == 0


def test_a_follower_is_interrupted(killed: Killed) -> None:
    """Ctrl-C on `logs --follow` ends it with 130 and without a traceback, and the run goes on."""
    assert (killed.left.returncode, killed.left.stderr) == (130, "")
    assert killed.went_on


def test_the_next_run_is_unharmed(killed: Killed) -> None:
    """After a killed run another run of the same plan starts in the same place, and ends well."""
    killed.cli.plan(LONG.replace("setsid sleep 61 & sleep 60", "true"))
    done = killed.cli("run", "plan.yaml", "--offline")
    assert done.returncode == 0, done.stderr
