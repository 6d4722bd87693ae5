"""Where a round takes place: a repository, a home and a folder for temporary files, all below one folder."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOREIGN = ("ANTHROPIC_", "CLAUDE", "GIT_", "ORCHESTRATOR_", "XDG_")
"""Beginnings of variables of the developer's own that no command of a round may see."""
PAGE = "# Alpha\n\nAlpha means first.\n"


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of a round."""

    path: Path

    @property
    def home(self) -> Path:
        """HOME: every process of the round has it in its environment, and no other process does."""
        return self.path / "home"

    @property
    def kept(self) -> Path:
        """ORCHESTRATOR_HOME."""
        return self.path / "kept"

    @property
    def journal(self) -> Path:
        return self.kept / "journal.db"

    @property
    def temporary(self) -> Path:
        return self.path / "tmp"

    @property
    def repository(self) -> Path:
        return self.path / "repository"

    @property
    def plan(self) -> Path:
        return self.path / "plan.yaml"

    @property
    def report(self) -> Path:
        """What the plan's last task writes."""
        return self.path / "report.md"

    def env(self, more: Mapping[str, str]) -> dict[str, str]:
        """The environment of the round's commands: none of the developer's accounts and settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        ours = {
            "HOME": self.home,
            "TMPDIR": self.temporary,
            "ORCHESTRATOR_HOME": self.kept,
            "GIT_CONFIG_GLOBAL": self.home / "gitconfig",
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        return {**kept, **{name: str(value) for name, value in ours.items()}, **more}

    def git(self, *arguments: str) -> str:
        """What git prints about the repository."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.repository, env=self.env({}), check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout

    def start(self, log: Path, env: Mapping[str, str], *words: str) -> "subprocess.Popen[bytes]":
        """An `orchestrator` command in the repository, its outputs in the file `log`."""
        with log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "orchestrator", *words],
                cwd=self.repository,
                env=self.env(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )


def make_place(path: Path) -> Place:
    """A fresh one, with one commit in the repository."""
    place = Place(path)
    for folder in (place.home, place.kept, place.temporary, place.repository):
        folder.mkdir(parents=True)
    (place.home / "gitconfig").write_text("[user]\nname = Chaos\nemail = chaos@localhost\n[init]\ndefaultBranch=main\n")
    (place.repository / "a.md").write_text(PAGE)
    for words in ("init --quiet", "add --all", "commit --quiet --message first"):
        place.git(*words.split())
    return place
