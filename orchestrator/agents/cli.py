"""Which Claude CLI is run."""

import os
import shutil
from pathlib import Path

import claude_agent_sdk

from orchestrator.errors import UsageError


def find_claude() -> Path:
    """The CLI to run: ORCHESTRATOR_CLAUDE, the one that the SDK brings along, or `claude` from PATH.

    Raises UsageError when there is none.
    """
    bundled = Path(claude_agent_sdk.__file__).parent / "_bundled" / "claude"
    chosen = os.environ.get("ORCHESTRATOR_CLAUDE") or (str(bundled) if bundled.is_file() else shutil.which("claude"))
    if not chosen or not Path(chosen).is_file() or not os.access(chosen, os.X_OK):
        raise UsageError(
            f"no Claude CLI: found {chosen or 'none'}, expected a program; reinstall claude-agent-sdk from "
            "a wheel for this platform, or name a CLI in ORCHESTRATOR_CLAUDE"
        )
    return Path(chosen).absolute()
