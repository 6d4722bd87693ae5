"""How much of the processors is in use."""

import time
from pathlib import Path

from orchestrator.processes.processors import SHORTEST, Processors, quota_of, usable, used_time


def test_a_container_s_quota(tmp_path: Path) -> None:
    """The quota is so many processors' time; `max`, or no such file, is none."""
    assert quota_of(tmp_path) is None
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert quota_of(tmp_path) is None
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert quota_of(tmp_path) == 1.5


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
