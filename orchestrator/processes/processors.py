"""How much of the processors is in use: of those that this process may use, and of its cgroups' shares of them.

Where they are busy with others' work it tells nothing of ours: agents wait for the API most of their time, and more of
them get more done there, too.
"""

import resource
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from orchestrator.machine import ROOT, Cgroup, fields, find_cgroups, number, quota_of, usable

BUSY = 0.9
"""The share of the processors' time from which on there is none left."""
OWN = 0.5
"""The share that this process and all beneath it must have of them for that to be its own doing."""
SHORTEST = 1.0
"""Seconds between two looks: over less than that a share says nothing."""


@dataclass(frozen=True, slots=True)
class Look:
    """What had been used by a moment; all in seconds, summed over processors."""

    at: float
    idle: float
    """Of the processors that this process may use."""
    own: float
    """By this process and all beneath it."""
    used: Mapping[Path, float]
    """By all in its cgroup, and in each around that, by folder; of those that are not counted there is none."""


class Processors:
    """Looks at what has been used since it looked last."""

    def __init__(self, root: Path = ROOT) -> None:
        self._groups = find_cgroups(root, "cpu")
        self._busy, self._last = False, look(self._groups)

    def are_busy(self) -> bool:
        """Whether there is no time left, and our own work has taken it, by what was used since the last look."""
        if time.monotonic() - self._last.at >= SHORTEST:
            now = look(self._groups)
            self._busy = is_busy(self._last, now, len(usable()), quotas(self._groups))
            self._last = now
        return self._busy


def look(groups: tuple[Cgroup, ...]) -> Look:
    return Look(time.monotonic(), idle_time(), own_time(), used_times(groups))


def is_busy(before: Look, after: Look, processors: int, allowed: Mapping[Path, float]) -> bool:
    """Whether our work left the processors no time between two looks, or a cgroup came to the share it is `allowed`."""
    passed = after.at - before.at
    idle, own = after.idle - before.idle, after.own - before.own
    filled = 1 - idle / (passed * processors) >= BUSY and own / (passed * processors) >= OWN
    counted = [folder for folder in allowed if folder in before.used and folder in after.used]
    used = {folder: after.used[folder] - before.used[folder] for folder in counted}
    return filled or any(used[folder] / (passed * allowed[folder]) >= BUSY for folder in counted)


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


def quotas(groups: tuple[Cgroup, ...]) -> Mapping[Path, float]:
    """How many processors' time each cgroup may use, of those that may not use any."""
    folders = [(folder, group.version) for group in groups for folder in group.folders]
    return {folder: quota for folder, version in folders if (quota := quota_of(folder, version))}


def used_times(groups: tuple[Cgroup, ...]) -> Mapping[Path, float]:
    """Seconds of processor time that each cgroup has used, of those where that is counted."""
    folders = [(folder, group.version) for group in groups for folder in group.folders]
    return {folder: used for folder, version in folders if (used := used_time(folder, version)) is not None}


def used_time(folder: Path, version: int) -> float | None:
    """The same of one: of v2, or of v1 where `cpuacct` is mounted with `cpu`, as it nearly always is."""
    if version == 2:
        used = fields(folder / "cpu.stat").get("usage_usec")
        return None if used is None else used / 1e6
    spent = number(folder / "cpuacct.usage")
    return None if spent is None else spent / 1e9
