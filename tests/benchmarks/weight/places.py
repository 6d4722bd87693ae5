"""Where a measurement has its files: a folder of its own, with a fake CLI."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.testing import fake_claude_path

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Place:
    """One measurement's."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """For a program that is measured: the fake CLI, and nothing of the user's."""
        return os.environ | {
            "PYTHONPATH": str(ROOT),
            "ORCHESTRATOR_CLAUDE": str(self.folder / "claude"),
            "ORCHESTRATOR_HOME": str(self.folder / "home"),
            "CLAUDE_CONFIG_DIR": str(self.folder / "config"),
            "CLAUDE_AGENT_SDK_SKIP_VERSION_CHECK": "1",
        }


@contextmanager
def places() -> Iterator[Place]:
    """A new one, as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="weight", ignore_cleanup_errors=True) as folder:
        fake_claude_path(Path(folder))
        yield Place(Path(folder))
