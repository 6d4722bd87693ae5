"""Where things are kept, and which pieces are plugged in."""

import importlib
import importlib.metadata
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from orchestrator.errors import UsageError

BUILT_IN: Mapping[str, str] = {
    "agents.claude": "orchestrator.agents.claude:open_claude",
    "executors.local": "orchestrator.executors.local:LocalExecutor",
    "journal.sqlite": "orchestrator.journal.sqlite:open_sqlite",
    "journal.memory": "orchestrator.journal.memory:open_memory",
    "upstreams.anthropic": "orchestrator.gateway.passing.anthropic:open_anthropic",
    "upstreams.offline": "orchestrator.gateway.model.offline:open_offline",
    "upstreams.replay": "orchestrator.gateway.recording.replay:open_replay",
    "views.live": "orchestrator.views.live:LiveView",
    "views.lines": "orchestrator.views.lines:LinesView",
    "views.jsonl": "orchestrator.views.jsonl:JsonlView",
}
"""Pieces by seam and name, imported when they are used: the SDK alone takes over half a second to import."""


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that outlives a run."""

    path: Path

    @property
    def journal(self) -> Path:
        return self.path / "journal.db"

    @property
    def workspaces(self) -> Path:
        return self.path / "workspaces"

    @property
    def locks(self) -> Path:
        """Of the sessions that are being driven."""
        return self.path / "locks"

    @property
    def crashes(self) -> Path:
        return self.path / "crashes"


def home() -> Home:
    """ORCHESTRATOR_HOME, or else the platform's folder for user data."""
    path = os.environ.get("ORCHESTRATOR_HOME") or platformdirs.user_data_dir(
        "claude-agent-orchestrator", appauthor=False
    )
    return Home(Path(path).expanduser().absolute())


def user_config() -> Path:
    """The user's own CLAUDE_CONFIG_DIR."""
    named = os.environ.get("CLAUDE_CONFIG_DIR")
    return Path(named).absolute() if named else Path.home() / ".claude"


def user_address() -> str | None:
    """The API that the user's own Claude settings name; None where they name none, or cannot be read."""
    try:
        named = json.loads((user_config() / "settings.json").read_text(encoding="utf-8"))["env"]["ANTHROPIC_BASE_URL"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return named if isinstance(named, str) and named else None


def load(seam: str, name: str) -> Any:
    """The piece `name` of a seam: a built-in, one that a package registers under the entry point group
    `orchestrator.<seam>`, or anything importable as `module:Name`.

    Raises UsageError when there is none.
    """
    target = name if ":" in name else BUILT_IN.get(f"{seam}.{name}", "")
    if not target:
        for entry in importlib.metadata.entry_points(group=f"orchestrator.{seam}", name=name):
            return entry.load()
        known = ", ".join(key.split(".")[1] for key in BUILT_IN if key.startswith(f"{seam}."))
        raise UsageError(f"{seam}: found {name!r}, expected one of {known}, a registered name, or module:Name")
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"{seam}: {target!r} cannot be loaded: {error}") from error
