"""How much of the processors is in use: of those that this process may use, and of its container's share of them."""

import os
import time
from pathlib import Path

import psutil

BUSY = 0.9
"""The share of the processors' time from which on there is none left."""
SHORTEST = 1.0
"""Seconds between two looks: over less than that a share says nothing."""
CGROUP = Path("/sys/fs/cgroup")


class Processors:
    """Looks at what has been used since it looked last."""

    def __init__(self, cgroup: Path = CGROUP) -> None:
        self._cgroup = cgroup
        self._share = 0.0
        self._at, self._idle, self._used = time.monotonic(), idle_time(), used_time(cgroup)

    def are_busy(self) -> bool:
        """Whether there is no time left, by what was used since the last look."""
        if (passed := time.monotonic() - self._at) >= SHORTEST:
            self._share = self._look(passed)
        return self._share >= BUSY

    def _look(self, passed: float) -> float:
        """The share in use of this process's processors, or of its container's quota if that is nearer to its end."""
        idle, used = idle_time(), used_time(self._cgroup)
        shares = [1 - (idle - self._idle) / (passed * len(usable()))]
        if (quota := quota_of(self._cgroup)) and used is not None and self._used is not None:
            shares.append((used - self._used) / (passed * quota))
        self._at, self._idle, self._used = time.monotonic(), idle, used
        return max(shares)


def usable() -> list[int]:
    """The processors that this process may use, by number."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def idle_time() -> float:
    """Seconds that these have been idle, summed, since the machine was started."""
    times = psutil.cpu_times(percpu=True)
    return float(sum(times[each].idle for each in usable() if each < len(times)))


def quota_of(cgroup: Path) -> float | None:
    """How many processors' time the container may use; None where there is no such limit."""
    words = read(cgroup / "cpu.max").split()
    return int(words[0]) / int(words[1]) if len(words) == 2 and words[0].isdigit() else None


def used_time(cgroup: Path) -> float | None:
    """Seconds of processor time that the container has used; None where nobody counts them."""
    found = dict(line.split() for line in read(cgroup / "cpu.stat").splitlines() if line.count(" ") == 1)
    return int(found["usage_usec"]) / 1e6 if "usage_usec" in found else None


def read(file: Path) -> str:
    """What is in the file; nothing where there is none."""
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
