"""What the tests of processes look at."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

PATIENCE = 60.0
UNFINISHED = pytest.mark.filterwarnings("ignore:Async generator 'claude_agent_sdk:ResourceWarning")
"""The SDK's reader leaves a generator of its own unfinished when it is cancelled; trio says so."""
DAEMON = (
    '(env -i setsid /bin/sh -c \'trap "{trap}" TERM; echo $$ > {path}.part; mv {path}.part {path}; '
    "while :; do sleep 0.1; done' < /dev/null > /dev/null 2>&1 &); while [ ! -e {path} ]; do sleep 0.01; done"
)


def daemon(path: Path, trap: str = "exit") -> str:
    """Shell words that leave a process behind in a session of its own, with nothing in its environment.

    Its id is in the file at `path`. With a trap of "" it ignores SIGTERM.
    """
    return DAEMON.format(path=path, trap=trap)


def alive(pid: int | Path) -> bool:
    """Whether a process, or the one whose id is in a file, lives."""
    try:
        return psutil.Process(pid if isinstance(pid, int) else int(pid.read_text())).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> None:
    """Fails the test when the condition does not become true in time."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {patience:g} s for {what}")
        time.sleep(0.02)
