"""What this process may use of its machine: memory and cores, less where a cgroup (a container, a service) says less.

Files are read below a `root`, `/` unless a test has a tree of its own. Nothing here raises: what cannot be read sets
no limit.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from pathlib import Path

ROOT = Path("/")
FRESH = 0.05
"""Seconds for which a look at the memory is good enough: many decisions may be made in one moment."""
LASTING = 1.0
"""Seconds for which the number of processors is: a quota may be changed, though seldom is."""
UNLIMITED = 2**60
"""Bytes from which on a limit is none: cgroup v1 writes nearly 2**63 for it."""


@dataclass(frozen=True, slots=True)
class MachineMemory:
    """Bytes."""

    total: int
    """What there is, or what the tightest cgroup allows."""
    available: int
    """What can be had now without swapping, page cache that can be dropped included."""


Machine = Callable[[], MachineMemory]
"""Tells what there is now."""


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The folders of this process's cgroup for one controller, from its own up to the mount, and its version."""

    version: int
    folders: tuple[Path, ...]


class LocalMachine:
    """The `Machine` that this process is on. Cheap enough to be asked at every decision: 0.1 ms, once per FRESH."""

    def __init__(self, root: Path = ROOT) -> None:
        self.spare = 0
        """Bytes that processes of ours use which have nothing to do, and go where they are in the way."""
        self._groups = find_cgroups(root, "memory")
        self._root = root
        self._known = MachineMemory(UNLIMITED, UNLIMITED)
        self._looked = -inf

    def __call__(self) -> MachineMemory:
        found = self.look()
        return MachineMemory(found.total, min(found.total, found.available + self.spare))

    def look(self) -> MachineMemory:
        """The same without what is spare."""
        if time.monotonic() - self._looked > FRESH:
            self._known = read_memory(self._root, self._groups)
            self._looked = time.monotonic()
        return self._known


def read_memory(root: Path = ROOT, groups: tuple[Cgroup, ...] | None = None) -> MachineMemory:
    """The tightest of what the machine and every cgroup around this process leave it."""
    found = [read_machine(root), *(each for group in groups_of(root, groups) for each in limits_of(group))]
    return MachineMemory(min(each.total for each in found), max(0, min(each.available for each in found)))


def groups_of(root: Path, groups: tuple[Cgroup, ...] | None) -> tuple[Cgroup, ...]:
    return find_cgroups(root, "memory") if groups is None else groups


def read_machine(root: Path) -> MachineMemory:
    """What the whole machine has: /proc/meminfo, or what psutil knows where there is none."""
    known = fields(root / "proc/meminfo")
    if "MemTotal" in known and "MemAvailable" in known:
        return MachineMemory(known["MemTotal"] * 1024, known["MemAvailable"] * 1024)
    try:
        import psutil  # noqa: PLC0415 - 16 ms, which a start can do without where there is a /proc

        memory = psutil.virtual_memory()
        return MachineMemory(memory.total, memory.available)
    except Exception:
        return MachineMemory(UNLIMITED, UNLIMITED)


def limits_of(group: Cgroup) -> Iterator[MachineMemory]:
    """What each folder of a cgroup that sets a limit allows, and leaves."""
    for folder in group.folders:
        if group.version == 2:
            limits = [number(folder / name) for name in ("memory.max", "memory.high")]
            used, idle = number(folder / "memory.current"), "inactive_file"
        else:
            limits = [number(folder / "memory.limit_in_bytes")]
            used, idle = number(folder / "memory.usage_in_bytes"), "total_inactive_file"
        limit = min((each for each in limits if each is not None), default=UNLIMITED)
        if limit < UNLIMITED:
            # Pages of files that nobody has touched lately are dropped before anybody is killed.
            dropped = fields(folder / "memory.stat").get(idle, 0)
            yield MachineMemory(limit, limit - max(0, (used or 0) - dropped))


def cores() -> int:
    """How many processors this process may keep busy now, at least 1. It is asked about for each agent that waits."""
    return _cores(int(time.monotonic() / LASTING))


@lru_cache(maxsize=1)
def _cores(moment: int) -> int:
    return read_cores()


def read_cores(root: Path = ROOT) -> int:
    """By its affinity, and the tightest quota around it; 0.6 ms."""
    groups = find_cgroups(root, "cpu")
    quotas = [quota for group in groups for folder in group.folders if (quota := quota_of(folder, group.version))]
    return max(1, min([len(usable()), *map(int, quotas)]))


def usable() -> list[int]:
    """The processors that it may be on, by number."""
    try:
        return sorted(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not on every system
        return list(range(os.cpu_count() or 1))


def quota_of(folder: Path, version: int) -> float | None:
    """How many processors' time a cgroup may use; None: any."""
    if version == 2:
        quota, period = [*words(folder / "cpu.max"), "", ""][:2]
    else:
        quota, period = ("".join(words(folder / f"cpu.cfs_{name}_us")) for name in ("quota", "period"))
    if quota.isdigit() and period.isdigit() and int(period):
        return int(quota) / int(period)
    return None


def find_cgroups(root: Path, controller: str) -> tuple[Cgroup, ...]:
    """The cgroups of this process that may limit what the controller (`memory`, `cpu`) is for: of v1, v2 or both."""
    paths = cgroup_paths(root)
    found = []
    for version, within, mount in cgroup_mounts(root, controller):
        path = paths.get("" if version == 2 else controller)
        if path is not None:
            found.append(Cgroup(version, folders_of(mount, within, path)))
    return tuple(found)


def folders_of(mount: Path, within: str, path: str) -> tuple[Path, ...]:
    """The folder of a cgroup `path`, and all above it up to the mount, which shows what is `within` a cgroup.

    A container often sees its path as from outside, with its own cgroup mounted: then the mount is all there is.
    """
    inside = path.strip("/").split("/")
    above = [part for part in within.strip("/").split("/") if part]
    rest = inside[len(above) :] if inside[: len(above)] == above else []
    rest = [] if ".." in rest else [part for part in rest if part]
    return tuple(mount.joinpath(*rest[:depth]) for depth in range(len(rest), -1, -1))


def cgroup_paths(root: Path) -> Mapping[str, str]:
    """This process's cgroups by controller; that of v2 by the empty name."""
    found: dict[str, str] = {}
    for line in text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            found[controller] = path
    return found


def cgroup_mounts(root: Path, controller: str) -> Iterator[tuple[int, str, Path]]:
    """Version, what it shows, and where it is, of each mount that has the controller (of v2: that may have it)."""
    for line in text(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        place, kind = before.split(" "), after.split(" ")
        if len(place) < 5:
            continue
        mount = root / unescaped(place[4]).lstrip("/")
        if kind[0] == "cgroup2":
            yield 2, unescaped(place[3]), mount
        elif kind[0] == "cgroup" and controller in kind[-1].split(","):
            yield 1, unescaped(place[3]), mount


def unescaped(path: str) -> str:
    """The kernel writes blanks, tabs, line ends and backslashes of a path in octal."""
    for code, letter in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        path = path.replace(code, letter)
    return path


def number(path: Path) -> int | None:
    """The number in a file; None for `max`, for anything else and for no file."""
    said = text(path).strip()
    return int(said) if said.isdigit() else None


def words(path: Path) -> list[str]:
    return text(path).split()


def fields(path: Path) -> dict[str, int]:
    """`MemTotal:  123 kB` or `inactive_file 123`, a line each."""
    found = {}
    for line in text(path).splitlines():
        name, *rest = line.split()[:2] or [""]
        if rest and rest[0].isdigit():
            found[name.rstrip(":")] = int(rest[0])
    return found


def text(path: Path) -> str:
    """What is in a file; nothing where it cannot be read."""
    try:
        return path.read_text(errors="replace")
    except (OSError, ValueError):
        return ""


@lru_cache(maxsize=1)
def local_machine() -> LocalMachine:
    """The one of this process."""
    return LocalMachine()
