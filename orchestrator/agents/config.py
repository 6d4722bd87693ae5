"""Where a CLI keeps its state: a CLAUDE_CONFIG_DIR of its own for each attempt.

Agents that share one race for its files (.claude.json above all), and see and message each other. What has to last or
to be shared stays where the user has it: transcripts (`projects`, by a link), and the login, which the CLI looks for,
refreshes and locks (`.oauth_refresh.lock`) in the directory that CLAUDE_SECURESTORAGE_CONFIG_DIR names. A link to
`.credentials.json` would not do: the CLI refuses to read and write one.
"""

import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from orchestrator.agents.threads import in_thread
from orchestrator.processes.den import Den
from orchestrator.protocols import Upstream
from orchestrator.settings import user_config
from orchestrator.task import Attempt

USER_SETTINGS = (
    *("CLAUDE.md", "agents", "commands", "hooks", "output-styles", "plugins", "rules", "settings.json", "skills"),
    *("themes", "workflows"),
)
"""What `settings: [user]` stands for."""

POLICIES = ("remote-settings.json", "policy-limits.json")
"""What the user's organisation has laid down, as the CLI remembers it."""

QUIET_START = {"hasCompletedOnboarding": True, "numStartups": 1}


@dataclass(frozen=True, slots=True)
class Config:
    """The state of one attempt's CLI."""

    path: Path
    env: Mapping[str, str]
    """Variables that lead the CLI there."""


def find_projects(attempt: Attempt, den: Den, upstream: Upstream | None) -> Path:
    """Where the transcripts are that the attempt's CLI can go on with: a folder per directory that sessions were in."""
    account = upstream is None or upstream.account
    if account and (named := attempt.agent.env.get("CLAUDE_CONFIG_DIR")):
        return Path(named) / "projects"
    return (user_config() if account else den.config) / "projects"


@asynccontextmanager
async def open_config(attempt: Attempt, den: Den, upstream: Upstream | None) -> AsyncIterator[Config]:
    """The attempt's own, gone with it; or the one that the agent's `env` names. Raises OSError.

    With an upstream that has no account nothing of the user's is in it, and all attempts' transcripts are in the den.
    """
    account = upstream is None or upstream.account
    if account and (named := attempt.agent.env.get("CLAUDE_CONFIG_DIR")):
        yield Config(Path(named), {})
        return
    source = user_config() if account else None
    path = await in_thread(furnish, den.config, source, "user" in attempt.agent.settings)
    try:
        yield Config(path, config_environment(path, account=account))
    finally:
        with anyio.CancelScope(shield=True):
            await in_thread(shutil.rmtree, path, True)


def config_environment(path: Path, *, account: bool) -> dict[str, str]:
    """The variables that lead a CLI to its own state, and with an account to the user's login."""
    place = {"CLAUDE_CONFIG_DIR": str(path)}
    return place if not account else place | {"CLAUDE_SECURESTORAGE_CONFIG_DIR": secure_storage()}


def secure_storage() -> str:
    """Where the user's login is, in the CLI's own terms.

    Empty stands for the default: `~/.claude`, and on macOS the keychain's entry without a suffix. Of any other
    directory the suffix is a hash of its name as it is written, so that is handed on, but for one that would mean
    another directory elsewhere.
    """
    named = os.environ.get("CLAUDE_SECURESTORAGE_CONFIG_DIR", os.environ.get("CLAUDE_CONFIG_DIR", ""))
    return named if not named or Path(named).is_absolute() else str(Path(named).absolute())


def user_state() -> Path:
    """The user's `.claude.json`: beside `~/.claude`, but inside a directory that CLAUDE_CONFIG_DIR names."""
    named = os.environ.get("CLAUDE_CONFIG_DIR")
    return (Path(named).absolute() if named else Path.home()) / ".claude.json"


def furnish(parent: Path, source: Path | None, settings: bool) -> Path:
    """Makes a directory. Without a `source` (the user's own) it is that of somebody who has just installed Claude."""
    path = Path(tempfile.mkdtemp(dir=parent, prefix="agent-"))  # of mode 0700
    projects = (source or parent) / "projects"
    projects.mkdir(mode=0o700, parents=True, exist_ok=True)
    (path / "projects").symlink_to(projects.absolute())
    write_state(path / ".claude.json", user_state() if source else None)
    if source:
        for name in POLICIES:
            copy(source / name, path / name)
    if source and settings:
        link_all(source, path)
    return path


def link_all(source: Path, target: Path) -> None:
    """Links the user's settings, whichever there are."""
    for name in USER_SETTINGS:
        if (source / name).exists():
            (target / name).symlink_to((source / name).absolute())


def write_state(path: Path, source: Path | None) -> None:
    """A `.claude.json`: a copy of the user's (onboarding, account, trust), or what a start without questions needs."""
    if source is None or not copy(source, path):
        path.write_text(json.dumps(QUIET_START), "utf-8")
        path.chmod(0o600)


def copy(source: Path, target: Path) -> bool:
    """Copies a file, for its owner alone; False when there is none that can be read."""
    try:
        data = source.read_bytes()
    except OSError:
        return False
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - from a descriptor
        file.write(data)
    return True
