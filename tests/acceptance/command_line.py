"""The command line as users run it, in processes of their own, with a home of their own."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from forks import forks

FOREIGN = ("ANTHROPIC_", "CLAUDE", "GIT_", "ORCHESTRATOR_", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
"""Beginnings of variables of the developer's own that no command under test may see."""
PATIENCE = 120.0
"""Seconds after which whatever a test waits for is held to have failed."""
SMALL = 'name: small\nagents: {q: {tools: []}}\ndefaults: {agent: q}\ntasks: {one: {prompt: "What is 6 * 7?"}}\n'
"""A plan of one task."""

Finished = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Cli:
    """The command line, run in `place` with everything that it keeps below `home`."""

    place: Path
    home: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        """The environment of every command."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        ours = {
            "HOME": self.home,
            "XDG_CONFIG_HOME": self.home / ".config",
            "XDG_DATA_HOME": self.home / ".local/share",
            "ORCHESTRATOR_HOME": self.home / "orchestrator",
            "GIT_CONFIG_GLOBAL": self.home / "gitconfig",
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        return kept | {name: str(value) for name, value in ours.items()} | dict(self.variables)

    def with_variables(self, **variables: str) -> "Cli":
        """The same with further environment variables."""
        return Cli(self.place, self.home, {**self.variables, **variables})

    def __call__(self, *arguments: str | Path) -> Finished:
        """Runs a command to its end."""
        return self.finish(self.start(*arguments))

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """A command that goes on in the background."""
        return self.start_python("-m", "orchestrator", *arguments)

    def start_anew(self, *arguments: str | Path, **how: Any) -> subprocess.Popen[str]:
        """The same by an interpreter that starts as one does for a user."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [sys.executable, "-m", "orchestrator", *map(str, arguments)]
        return subprocess.Popen(command, cwd=self.place, env=self.env, text=True, **{**pipes, **how})

    def start_python(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """A Python program that goes on in the background. What it imports has been imported before: see `forks`."""
        return forks().start([*map(str, arguments)], self.place, self.env)

    def finish(self, process: subprocess.Popen[str], patience: float = PATIENCE) -> Finished:
        """What the process gave; one that takes longer than `patience`, in seconds, is killed."""
        try:
            out, err = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            pytest.fail(f"{process.args!r} did not end in {patience} s; it printed {out}\n{err}")
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def json(self, *arguments: str | Path) -> Any:
        """What the command prints with `--json`."""
        done = self(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def plan(self, text: str, name: str = "plan.yaml") -> Path:
        """A plan file in the place."""
        path = self.place / name
        path.write_text(text, encoding="utf-8")
        return path

    def repository(self) -> None:
        """Makes the place a git repository with one commit."""
        (self.place / "README.md").write_text("# Kettle\n\nInstall it with pip. It needs Python 3.11.\n")
        for words in ("init --quiet", "add --all", "commit --quiet --message first"):
            subprocess.run(["git", *words.split()], cwd=self.place, env=self.env, check=True, timeout=PATIENCE)

    def git(self, *arguments: str) -> str:
        """What git prints about the place."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.place, env=self.env, check=True, timeout=PATIENCE, text=True, stdout=-1
        )
        return done.stdout

    def journal_has_run(self) -> bool:
        """Whether a run was begun."""
        return bool(self.events("RunStarted"))

    def events(self, kind: str) -> list[dict[str, Any]]:
        """All events of a kind so far, in their order, read here: waiting for one needs no process at each look."""
        path = self.home / "orchestrator" / "journal.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(path)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'events'").fetchone():
                return []  # it is just being made
            rows = connection.execute("SELECT data FROM events WHERE kind = ? ORDER BY seq", (kind,)).fetchall()
        return [json.loads(data) for (data,) in rows]

    def started(self) -> list[str]:
        """The tasks of all attempts so far."""
        return [event["task"] for event in self.events("AttemptStarted")]

    def done(self) -> list[str]:
        """The tasks that have ended well so far."""
        ended = [event for event in self.events("TaskFinished") if not event.get("loop")]
        return [event["task"] for event in ended if event["status"] == "done"]


def make_cli(folder: Path) -> Cli:
    """A command line in an empty place below `folder`."""
    place, home = folder / "place", folder / "home"
    place.mkdir()
    home.mkdir()
    (home / "gitconfig").write_text(
        "[user]\nname = Tester\nemail = tester@localhost\n[init]\ndefaultBranch = main\n", encoding="utf-8"
    )
    return Cli(place, home)


def wait_until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """What the condition gives, once that is true. Fails the test when it does not become so in time."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {patience:g} s for {what}")
        time.sleep(0.05)
    return found


def contents(folder: Path) -> dict[str, str]:
    """Every file below the folder and what it holds."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def leased(home: Path) -> list[int]:
    """Live processes that have a lease, and were started by a command of this home."""
    return [pid for pid in live_pids() if is_leased(pid, home)]


def live_pids() -> Iterator[int]:
    """All processes that are no zombies."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state = entry.joinpath("stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state != "Z":
                yield int(entry.name)


def is_leased(pid: int, home: Path) -> bool:
    """Whether the process's environment names a lease and this home."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return f"HOME={home}".encode() in environment and any(
        each.startswith(b"ORCHESTRATOR_LEASE=") for each in environment
    )


@contextmanager
def running(cli: Cli, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A command in the background, killed at the end of the block if it has not ended by then."""
    with killed_at_last(cli.start(*arguments)) as process:
        yield process


@contextmanager
def killed_at_last(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """The process, which is killed at the end of the block if it has not ended by then."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
