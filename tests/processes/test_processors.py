"""How much of the processors is in use."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from orchestrator.machine import ROOT, find_cgroups, quota_of, usable
from orchestrator.processes.processors import SHORTEST, Look, Processors, is_busy, own_time, used_times

FOLDER = "sys/fs/cgroup"
MOUNT_2 = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
MOUNT_1 = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"


def tree(root: Path, files: Mapping[str, str]) -> Path:
    """Writes files below a root, and gives that."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def version_2(folder: str, quota: str, used: float) -> dict[str, str]:
    """A process in `/run/agents`, and what one cgroup may use and has used (s)."""
    at = f"{FOLDER}{folder}"
    groups = {"proc/self/cgroup": "0::/run/agents\n", "proc/self/mountinfo": MOUNT_2}
    return groups | {f"{at}/cpu.max": f"{quota}\n", f"{at}/cpu.stat": f"usage_usec {used * 1e6:.0f}\nuser_usec 0\n"}


def version_1(folder: str, quota: str, used: float) -> dict[str, str]:
    """The same by the older names."""
    at, (most, period) = f"{FOLDER}/cpu,cpuacct{folder}", quota.split()
    groups = {"proc/self/cgroup": "3:cpu,cpuacct:/run/agents\n0::/\n", "proc/self/mountinfo": MOUNT_1}
    quotas = {f"{at}/cpu.cfs_quota_us": f"{most}\n", f"{at}/cpu.cfs_period_us": f"{period}\n"}
    return groups | quotas | {f"{at}/cpuacct.usage": f"{used * 1e9:.0f}\n"}


@pytest.mark.parametrize("version", [1, 2])
def test_a_cgroup_s_quota(tmp_path: Path, version: int) -> None:
    """The quota is so many processors' time; none, or no such file, is no number."""
    names = {2: ["cpu.max"], 1: ["cpu.cfs_quota_us", "cpu.cfs_period_us"]}[version]
    assert quota_of(tmp_path, version) is None
    for quota, period, expected in [("max" if version == 2 else "-1", "100000", None), ("150000", "100000", 1.5)]:
        written = [f"{quota} {period}"] if version == 2 else [quota, period]
        for name, content in zip(names, written, strict=True):
            (tmp_path / name).write_text(f"{content}\n")
        assert quota_of(tmp_path, version) == expected


@pytest.mark.parametrize("folder", ["/run/agents", "/run", ""])
@pytest.mark.parametrize("version", [version_1, version_2])
def test_a_cgroup_at_its_quota_is_busy(
    tmp_path: Path, version: Callable[[str, str, float], dict[str, str]], folder: str
) -> None:
    """Where the process's own cgroup, or any around it, has used up its share, none is left."""
    processors = Processors(tree(tmp_path, version(folder, "100000 100000", 0.0)))
    assert not processors.are_busy(), "before anything was looked at"
    tree(tmp_path, version(folder, "100000 100000", 600.0))
    deadline = time.monotonic() + 30 * SHORTEST
    while not processors.are_busy():
        assert time.monotonic() < deadline


def test_this_machine() -> None:
    """There is at least one processor to use, and what was used of it is a number, or not counted."""
    assert usable()
    assert all(used >= 0.0 for used in used_times(find_cgroups(ROOT, "cpu")).values())


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


OWN, ABOVE = Path("above/own"), Path("above")


@pytest.mark.parametrize(
    ("idle", "own", "used", "allowed", "busy"),
    [
        (0.0, 18.0, {}, {}, True),
        (0.0, 2.0, {}, {}, False),
        (10.0, 10.0, {}, {}, False),
        (15.0, 5.0, {OWN: 5.0}, {OWN: 0.5}, True),
        (15.0, 5.0, {OWN: 5.0}, {OWN: 2.0}, False),
        (15.0, 5.0, {OWN: 5.0, ABOVE: 9.5}, {OWN: 2.0, ABOVE: 1.0}, True),
        (15.0, 5.0, {}, {OWN: 0.5}, False),
    ],
)
def test_what_is_busy(
    idle: float, own: float, used: Mapping[Path, float], allowed: Mapping[Path, float], busy: bool
) -> None:
    """Two processors in ten seconds: filled by us, by others, half; cgroups at their quotas, below, uncounted."""
    before, after = Look(0.0, 0.0, 0.0, dict.fromkeys(used, 0.0)), Look(10.0, idle, own, used)
    assert is_busy(before, after, 2, allowed) is busy
