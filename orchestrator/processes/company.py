"""What is at work beneath a launcher besides its CLI."""

from pathlib import Path

from orchestrator.processes.tree import HAS_PROC, descendants, read_identity


def find_cli(lease: Path) -> int | None:
    """The CLI under the lease if nothing else is there; None when there is none, or something that it left behind.

    Without /proc the launcher stands for its CLI, and nothing is known of the rest.
    """
    launcher = read_identity(str(lease))
    if launcher is None or not HAS_PROC:
        return launcher
    below = descendants([launcher])
    return below[0] if len(below) == 1 else None
