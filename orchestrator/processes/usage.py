"""What the processes under leases use: one look at all processes of the machine serves every attempt of a run.

Memory is the proportional set size, in which what several processes share is counted once: twenty CLIs of 200 MB
take 105 MB each. The kernel walks a process's whole memory for it (1 to 3 ms), so that most looks take the resident
size (0.01 ms) and add what it has changed by since the last walk; walks go to those first that have changed most.
"""

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import psutil

from orchestrator.processes.tree import HAS_PROC, pids, read_identity, stat

PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")
PARENT, USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM, STARTED, RESIDENT = 1, 11, 12, 13, 14, 19, 21
"""Where these are among the fields of a process's stat behind its name."""
LEAST_CHANGE = 2**20
"""Bytes of change that no walk is made for."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one lease, now."""

    memory: int
    """Bytes."""
    cpu_s: float
    """Seconds of processor time so far, of those included that have ended."""


@dataclass(slots=True)
class Process:
    """One process, as far as it is known."""

    started: str
    """When, as the kernel counts: a process id is used again."""
    resident: int = 0
    """Bytes, at the last look."""
    cpu_s: float = 0.0
    share: int | None = None
    """Its proportional set size at the last walk; None: there was none yet."""
    resident_then: int = 0

    @property
    def memory(self) -> int:
        """Bytes: what it grows by is its own, so the difference since the walk counts in full."""
        return self.resident if self.share is None else max(0, self.share + self.resident - self.resident_then)

    @property
    def changed(self) -> float:
        """Bytes since the last walk; a process that was never walked comes first."""
        return inf if self.share is None else abs(self.resident - self.resident_then)


def proportional(pid: int) -> int | None:
    """A process's proportional set size, in bytes; None where it cannot be had: it has ended, or is another user's."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb", buffering=0) as file:  # noqa: PTH123
            for line in file.read().splitlines():
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def resident(pid: int) -> int:
    """Bytes of a process's resident size; 0 where it cannot be had."""
    with suppress(IndexError):
        return int(stat(pid)[RESIDENT]) * PAGE
    return 0


def private(pid: int) -> int:
    """Bytes of it that nobody else has, and no file: what is free again when it goes. 0 where it cannot be had."""
    try:
        whole, shared = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1:3]
    except (OSError, ValueError):
        return 0
    return (int(whole) - int(shared)) * PAGE


@dataclass(slots=True)
class Scanner:
    """Remembers processes from look to look. Used from one thread at a time."""

    read_share: Callable[[int], int | None] = proportional
    spent_s: float = 0.0
    """Seconds of processor time that all looks have taken."""
    _known: dict[int, Process] = field(default_factory=dict)

    def scan(self, leases: Collection[str], seconds: float) -> Mapping[str, Usage]:
        """What each lease uses that has live processes.

        `seconds`: processor time that it may take. Walks go on until that is spent; one is made in any case.
        """
        begun = time.thread_time()
        trees = trees_under(leases, self._known)
        at_work = {pid for tree in trees.values() for pid in tree}
        self._known = {pid: process for pid, process in self._known.items() if pid in at_work}
        self._walk(begun + seconds)
        self.spent_s += time.thread_time() - begun
        return {lease: self._sum(tree) for lease, tree in trees.items() if tree}

    def _walk(self, ends: float) -> None:
        for pid, process in sorted(self._known.items(), key=lambda known: -known[1].changed):
            if process.changed < LEAST_CHANGE:
                return
            share = self.read_share(pid)
            if share is not None:
                process.share, process.resident_then = share, process.resident
            if time.thread_time() > ends:
                return

    def _sum(self, tree: Collection[int]) -> Usage:
        found = [self._known[pid] for pid in tree]
        return Usage(sum(each.memory for each in found), sum(each.cpu_s for each in found))


def trees_under(leases: Collection[str], known: dict[int, Process]) -> dict[str, list[int]]:
    """The launcher of each lease and all processes below it; `known` is brought up to date."""
    roots = {lease: pid for lease in leases if (pid := read_identity(lease))}
    if not HAS_PROC:
        return {lease: list(tree_by_psutil(root, known)) for lease, root in roots.items()}
    children: dict[int, list[int]] = {}
    for pid in pids():
        if (fields := stat(pid)) and fields[0] != "Z":
            children.setdefault(int(fields[PARENT]), []).append(pid)
            note(known, pid, fields)
    return {lease: below(root, children) for lease, root in roots.items() if root in known}


def below(root: int, children: Mapping[int, Collection[int]]) -> list[int]:
    """The process, and all below it."""
    found = [root]
    for pid in found:  # which grows
        found += children.get(pid, ())
    return found


def note(known: dict[int, Process], pid: int, fields: list[str]) -> None:
    """Keeps what a process's stat says."""
    process = known.get(pid)
    if process is None or process.started != fields[STARTED]:
        process = known[pid] = Process(fields[STARTED])
    process.resident = int(fields[RESIDENT]) * PAGE
    ticks = sum(int(fields[index]) for index in (USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM))
    process.cpu_s = ticks / TICK


def tree_by_psutil(root: int, known: dict[int, Process]) -> Iterator[int]:
    """The same without /proc; there resident sizes have to do."""
    try:
        tree = [psutil.Process(root), *psutil.Process(root).children(recursive=True)]
    except psutil.Error:
        return
    for process in tree:
        try:
            resident, times = process.memory_info().rss, process.cpu_times()
        except psutil.Error:
            continue  # it has ended
        known[process.pid] = Process("", resident, times.user + times.system)
        yield process.pid
