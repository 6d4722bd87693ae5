"""How much of the processors is in use: of those that this process may use, and of its container's share of them.

Where they are busy with others' work it tells nothing of ours: agents wait for the API most of their time, and more of
them get more done there, too.
"""

import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from orchestrator.machine import fields, quota_of, usable

BUSY = 0.9
"""The share of the processors' time from which on there is none left."""
OWN = 0.5
"""The share that this process and all beneath it must have of them for that to be its own doing."""
SHORTEST = 1.0
"""Seconds between two looks: over less than that a share says nothing."""
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Look:
    """What had been used by a moment; all in seconds, summed over processors."""

    at: float
    idle: float
    """Of the processors that this process may use."""
    own: float
    """By this process and all beneath it."""
    used: float | None
    """By its container."""


class Processors:
    """Looks at what has been used since it looked last."""

    def __init__(self, cgroup: Path = CGROUP) -> None:
        self._cgroup = cgroup
        self._busy, self._last = False, look(cgroup)

    def are_busy(self) -> bool:
        """Whether there is no time left, and our own work has taken it, by what was used since the last look."""
        if time.monotonic() - self._last.at >= SHORTEST:
            now = look(self._cgroup)
            self._busy = is_busy(self._last, now, len(usable()), quota_of(self._cgroup, 2))
            self._last = now
        return self._busy


def look(cgroup: Path) -> Look:
    return Look(time.monotonic(), idle_time(), own_time(), used_time(cgroup))


def is_busy(before: Look, after: Look, processors: int, quota: float | None) -> bool:
    """Whether our work left the processors no time between two looks, or the container came to its quota."""
    passed = after.at - before.at
    idle, own = after.idle - before.idle, after.own - before.own
    filled = 1 - idle / (passed * processors) >= BUSY and own / (passed * processors) >= OWN
    if quota is None or before.used is None or after.used is None:
        return filled
    return filled or (after.used - before.used) / (passed * quota) >= BUSY


def idle_time() -> float:
    """Seconds that these have been idle, summed, since the machine was started."""
    times = psutil.cpu_times(percpu=True)
    return float(sum(times[each].idle for each in usable() if each < len(times)))


def own_time() -> float:
    """Seconds of processor time that this process and all beneath it have used, those that have ended included."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    total = sum(each.ru_utime + each.ru_stime for each in spent)
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended: whoever waited for it has its time
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def used_time(cgroup: Path) -> float | None:
    """Seconds of processor time that the container has used; None where nobody counts them."""
    used = fields(cgroup / "cpu.stat").get("usage_usec")
    return None if used is None else used / 1e6
