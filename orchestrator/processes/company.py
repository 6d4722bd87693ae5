"""What is at work beneath a launcher besides its CLI."""

from contextlib import suppress
from pathlib import Path

from orchestrator.processes.tree import HAS_PROC, descendants, read_identity, stat
from orchestrator.processes.usage import PAGE, RESIDENT


def find_cli(lease: Path) -> int | None:
    """The CLI under the lease if nothing else is there; None when there is none, or something that it left behind.

    Without /proc the launcher stands for its CLI, and nothing is known of the rest.
    """
    launcher = read_identity(str(lease))
    if launcher is None or not HAS_PROC:
        return launcher
    below = descendants([launcher])
    return below[0] if len(below) == 1 else None


def resident(pid: int) -> int:
    """Bytes of a process's resident size; 0 where it cannot be had."""
    with suppress(IndexError):
        return int(stat(pid)[RESIDENT]) * PAGE
    return 0


def private(pid: int) -> int:
    """Bytes of it that nobody else has, and no file: what is free again when it goes. 0 where it cannot be had."""
    try:
        resident, shared = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1:3]
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * PAGE
