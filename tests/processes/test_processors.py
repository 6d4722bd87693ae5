"""How much of the processors is in use."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.machine import quota_of, usable
from orchestrator.processes.processors import SHORTEST, Look, Processors, is_busy, own_time, used_time


def test_a_container_s_quota(tmp_path: Path) -> None:
    """The quota is so many processors' time; `max`, or no such file, is none."""
    assert quota_of(tmp_path, 2) is None
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert quota_of(tmp_path, 2) is None
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert quota_of(tmp_path, 2) == 1.5


def test_a_container_at_its_quota_is_busy(tmp_path: Path) -> None:
    """A container that has used up its share has none left, whatever the machine has."""
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 0\nuser_usec 0\n")
    processors = Processors(tmp_path)
    assert not processors.are_busy(), "before anything was looked at"
    (tmp_path / "cpu.stat").write_text("usage_usec 60000000\nuser_usec 0\n")
    deadline = time.monotonic() + 30 * SHORTEST
    while not processors.are_busy():
        assert time.monotonic() < deadline


def test_this_machine() -> None:
    """There is at least one processor to use, and what it did is a number or not counted."""
    assert usable()
    assert (used_time(Path("/sys/fs/cgroup")) or 0.0) >= 0.0


def test_the_time_of_children_counts() -> None:
    """What a process beneath this one has used is ours, while it works and when it has ended."""
    before = own_time()
    script = "import time\nwhile time.process_time() < 0.4: pass\nprint('worked', flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        assert own_time() - before >= 0.3
        child.communicate(b"\n")
    assert own_time() - before >= 0.3


@pytest.mark.parametrize(
    ("idle", "own", "used", "quota", "busy"),
    [
        (0.0, 18.0, None, None, True),
        (0.0, 2.0, None, None, False),
        (10.0, 10.0, None, None, False),
        (15.0, 5.0, 5.0, 0.5, True),
        (15.0, 5.0, 5.0, 2.0, False),
    ],
)
def test_what_is_busy(idle: float, own: float, used: float | None, quota: float | None, busy: bool) -> None:
    """Two processors in ten seconds: filled by us, by others, half filled; a container at its quota, and one below."""
    before, after = Look(0.0, 0.0, 0.0, 0.0), Look(10.0, idle, own, used)
    assert is_busy(before, after, 2, quota) is busy
