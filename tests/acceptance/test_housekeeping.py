"""`workspaces list` and `clean`, beside a run, and after one that was killed."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from command_line import Cli, leased, make_cli, running, wait_until

WORKTREES = """
name: long
agents: {worker: {tools: [Bash, Write], allow: [Bash]}}
defaults: {agent: worker}
tasks:
  change:
    workspace: worktree
    prompt: "Work."
    rehearsal: [{write: {path: half.txt, text: "half done\\n"}}, {bash: "sleep 60"}]
  nothing:
    workspace: worktree
    prompt: "Work."
    rehearsal: [{bash: "sleep 60"}]
"""
LONG = f"""{WORKTREES}
  plain:
    workspace: directory
    prompt: "Work."
    rehearsal: [{{write: {{path: note.txt, text: "a note\\n"}}}}, {{bash: "sleep 60"}}]
"""


@contextmanager
def killed_at_the_end(cli: Cli, plan: str, *files: str) -> Iterator["subprocess.Popen[str]"]:
    """A run with two worktrees, each with its agent in the middle of something. It is killed, and its agents end."""
    cli.repository()
    cli.plan(plan)
    with running(cli, "run", "plan.yaml", "--offline") as process:
        wait_until(lambda: written(cli) == [*files] and len(worktrees(cli)) == 3, "the tasks")
        yield process
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_until(lambda: not leased(cli.home), "the end of all agents")


@pytest.fixture
def killed(cli: Cli) -> Cli:
    """What such a run has left."""
    with killed_at_the_end(cli, WORKTREES, "half.txt"):
        return cli


class Cleaned:
    """A run with two worktrees and a directory: listed and cleaned while it was at work, and then killed."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        with killed_at_the_end(cli, LONG, "half.txt", "note.txt") as process:
            self.listed = tasks(cli.json("workspaces", "list"))
            self.cleaned = tasks(cli.json("workspaces", "clean", "--unmerged", "--directories"))
            self.went_on = process.poll() is None
            self.then = written(cli), len(worktrees(cli))


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory: pytest.TempPathFactory) -> Cleaned:
    """One of these, for the test that looks at what came of it, and one that cleans again."""
    return Cleaned(make_cli(tmp_path_factory.mktemp("cleaned")))


def workspaces(cli: Cli) -> Path:
    return cli.home / "orchestrator" / "workspaces"


def written(cli: Cli) -> list[str]:
    """The files that the agents have written."""
    return sorted(path.name for path in workspaces(cli).glob("*/*/*.txt"))


def worktrees(cli: Cli) -> list[str]:
    return cli.git("worktree", "list").splitlines()


def tasks(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rows by kind and task."""
    return {f"{row['kind']} {row['name'].partition('/')[2]}": row for row in rows}


def test_beside_a_run(cleaned: Cleaned) -> None:
    """What a run is at work in is listed as such, and no cleaning touches it, whatever it is told."""
    assert set(cleaned.listed) == {"worktree change", "worktree nothing", "directory plain"}
    assert all(row["at_work"] for row in cleaned.listed.values())
    assert {row["what"] for row in cleaned.cleaned.values()} == {"kept"}
    assert cleaned.went_on
    assert cleaned.then == (["half.txt", "note.txt"], 3)


def test_after_a_kill(cleaned: Cleaned) -> None:
    """What a killed run left is listed; cleaned, its work is on its branch, and only the directory stays."""
    killed = cleaned.cli
    listed = tasks(killed.json("workspaces", "list"))
    assert (listed["worktree change"]["uncommitted"], listed["worktree nothing"]["uncommitted"]) == (1, 0)
    assert not any(row["at_work"] for row in listed.values())

    told = killed("workspaces", "clean", "--dry-run")
    assert "would be removed: worktree" in told.stdout
    assert len(worktrees(killed)) == 3

    done = killed("workspaces", "clean")
    assert (done.returncode, done.stderr) == (0, "")
    (branch,) = killed.git("branch", "--list", "orchestrator/*", "--format=%(refname:short)").split()
    assert killed.git("show", f"{branch}:half.txt") == "half done\n"
    assert len(worktrees(killed)) == 1
    assert written(killed) == ["note.txt"]
    run = branch.split("/")[1]
    assert f"kept: branch {run}/change: 1 commit nowhere else" in done.stdout
    assert f"kept: directory {run}/plain: a plain directory" in done.stdout
    assert done.stdout.endswith("--unmerged and --directories would take away more\n")

    rest = killed("workspaces", "clean", run[:-1], "--unmerged", "--directories")
    assert rest.returncode == 0
    assert killed.git("branch", "--list", "orchestrator/*") == ""
    assert list(workspaces(killed).iterdir()) == []
    back = rest.stdout.split("`")[1].removeprefix("git ").split()
    killed.git(*back)
    assert killed.git("show", f"{branch}:half.txt") == "half done\n"


def test_two_at_once(killed: Cli) -> None:
    """Two cleanings at the same time end well, and what was left is put away once."""
    for process in [killed.start("workspaces", "clean") for _ in range(2)]:
        done = killed.finish(process)
        assert (done.returncode, done.stderr) == (0, "")
    assert len(worktrees(killed)) == 1
    assert len(killed.git("branch", "--list", "orchestrator/*").splitlines()) == 1


def test_what_cannot_be_put_away(killed: Cli) -> None:
    """A worktree that cannot be saved is told with the reason and exit code 1; the rest is put away."""
    (path,) = workspaces(killed).glob("*/change")
    for words in ("checkout -q --orphan other", "rm -rfq --cached ."):
        subprocess.run(["git", *words.split()], cwd=path, env=killed.env, check=True)
    done = killed("workspaces", "clean")
    assert done.returncode == 1
    assert "failed: worktree" in done.stdout
    assert len(worktrees(killed)) == 2
    assert (path / "half.txt").exists()


@pytest.fixture
def left(cli: Cli) -> Path:
    """A worktree that a killed run left, with a file that git ignores."""
    cli.repository()
    path = workspaces(cli) / "audit-1" / "task"
    cli.git("worktree", "add", "-q", "-b", "orchestrator/audit-1/task", str(path))
    (path / ".gitignore").write_text("*.log\n")
    (path / "a.log").write_text("12345\n")
    return path


def test_ignored_files(cli: Cli, left: Path) -> None:
    """What git ignores is listed, and keeps its worktree with the reason."""
    (row,) = cli.json("workspaces", "list")
    assert (row["ignored"], row["ignored_size"]) == (1, 6)
    assert {"1 file ignored", "(6 B)"} <= set(re.findall(r"1 file ignored|\(6 B\)", cli("workspaces", "list").stdout))
    done = cli("workspaces", "clean")
    assert done.returncode == 0
    assert "kept: worktree audit-1/task: 1 file (6 bytes) that git ignores would be lost\n" in done.stdout
    assert done.stdout.endswith("1 kept; --ignored would take away more\n")
    assert (left / "a.log").exists()


def test_ignored_files_go_when_told(cli: Cli, left: Path) -> None:
    """With `--ignored` such a worktree is put away, and how much was lost is said."""
    assert "--ignored" in cli("workspaces", "clean", "--help").stdout
    done = cli("workspaces", "clean", "--ignored")
    assert done.returncode == 0
    assert "; 1 file (6 bytes) that git ignores dropped\n" in done.stdout
    assert not left.exists()
    assert cli.git("show", "orchestrator/audit-1/task:.gitignore") == "*.log\n"


def test_nothing_is_left(cli: Cli) -> None:
    """Where nothing was ever run, outside a repository too, there is nothing to list or to clean."""
    assert cli("workspaces", "list").stdout.startswith("nothing is left in ")
    done = cli("workspaces", "clean", "some-run")
    assert (done.returncode, done.stdout, done.stderr) == (0, "nothing to put away\n", "")


def test_branches_of_another_home(cli: Cli) -> None:
    """A task's branch that holds nothing is deleted also where this home has no journal; the user's own stay."""
    cli.repository()
    cli.git("branch", "orchestrator/audit-1/task")
    cli.git("branch", "mine")
    done = cli("workspaces", "clean")
    assert (done.returncode, done.stdout) == (0, "removed: branch audit-1/task\n1 removed\n")
    assert cli.git("branch", "--format=%(refname:short)").split() == ["main", "mine"]


def test_an_age_that_is_none(cli: Cli) -> None:
    """An age without a unit is wrong input."""
    done = cli("workspaces", "clean", "--older", "7")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--older 7: found the text '7', expected a number and s, m, h or d" in done.stderr
