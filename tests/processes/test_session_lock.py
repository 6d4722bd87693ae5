"""One process at a time drives a session."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_launcher import Launch, launch
from watching import alive, wait_until

from orchestrator.processes.launcher import BUSY, PATIENCE

__all__ = ["launch"]

HASTY = (
    sys.executable,
    "-c",
    "import sys; from orchestrator.processes import launcher; launcher.PATIENCE = 0.5; launcher.main(sys.argv[1:])",
)
"""A launcher that tries for half a second."""
BUSY_LINE = "orchestrator: the session is being driven by another process\n"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "session.lock"


@pytest.fixture
def driven(launch: Launch, lock: Path, tmp_path: Path) -> "subprocess.Popen[str]":
    """A launcher that holds the lock. Its program ends by SIGTERM, and leaves its id."""
    process = launch(f"echo $$ > {tmp_path}/pid; echo ready; read line", ORCHESTRATOR_SESSION_LOCK=lock)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_second_one_is_refused(launch: Launch, driven: "subprocess.Popen[str]", lock: Path, temporary: Path) -> None:
    """A second launcher tries for some seconds, says that it was refused in one line, and starts nothing."""
    begun = time.monotonic()
    other = launch("echo started", ORCHESTRATOR_SESSION_LOCK=lock, ORCHESTRATOR_LEASE=temporary / "b.lease")
    assert other.communicate(timeout=PATIENCE + 60) == ("", BUSY_LINE)
    assert (other.returncode, BUSY) == (75, 75)
    assert time.monotonic() - begun >= PATIENCE
    assert driven.poll() is None
    assert lock.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("end", [signal.SIGKILL, None])
def test_it_is_free_again(
    launch: Launch, driven: "subprocess.Popen[str]", lock: Path, tmp_path: Path, end: signal.Signals | None
) -> None:
    """Whoever waits has the session as soon as the other has ended, also when its launcher or its program is killed."""
    other = launch("echo started", ORCHESTRATOR_SESSION_LOCK=lock)
    if end:
        driven.send_signal(end)
    else:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert other.communicate(timeout=60) == ("started\n", "")
    assert lock.exists()


def test_it_is_not_free_while_the_program_lives(launch: Launch, lock: Path, tmp_path: Path) -> None:
    """A program that ignores its launcher's death still drives the session."""
    process = launch(
        f"trap '' TERM; echo $$ > {tmp_path}/pid; echo ready; read line; sleep 60", ORCHESTRATOR_SESSION_LOCK=lock
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    try:
        other = launch("echo started", HASTY, ORCHESTRATOR_SESSION_LOCK=lock)
        assert other.communicate(timeout=60) == ("", BUSY_LINE)
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert launch("echo started", ORCHESTRATOR_SESSION_LOCK=lock).communicate(timeout=60) == ("started\n", "")


def test_who_waits_can_be_ended(launch: Launch, driven: "subprocess.Popen[str]", lock: Path) -> None:
    """SIGTERM ends a launcher that waits for the session."""
    other = launch("echo started", ORCHESTRATOR_SESSION_LOCK=lock)
    wait_until(lambda: os.getsid(other.pid) == other.pid, "its begin")
    other.terminate()
    assert other.wait(2) == 143
    assert alive(driven.pid)
