"""What this process may use of its machine, read from trees of files that look like /proc and /sys."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from orchestrator import machine
from orchestrator.machine import UNLIMITED, LocalMachine, MachineMemory, find_cgroups, read_cores, read_memory

GB = 10**9
MEMINFO = "MemTotal:       8000000 kB\nMemFree:         100000 kB\nMemAvailable:   6000000 kB\nSwapTotal: 0 kB\n"
WHOLE = MachineMemory(8_000_000 * 1024, 6_000_000 * 1024)
MOUNT_2 = "31 23 0:28 {within} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
MOUNTS_1 = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    "32 31 0:29 {within} /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 {within} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)
FOLDER = "sys/fs/cgroup"

Tree = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Writes files, and gives their root."""

    def tree(files: Mapping[str, str]) -> Path:
        for name, content in ({"proc/meminfo": MEMINFO} | dict(files)).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return tmp_path

    return tree


def version_2(path: str = "/run/agents", within: str = "/") -> dict[str, str]:
    return {"proc/self/cgroup": f"0::{path}\n", "proc/self/mountinfo": MOUNT_2.format(within=within)}


def version_1(path: str = "/docker/abc", within: str = "/") -> dict[str, str]:
    groups = f"4:memory:{path}\n3:cpu,cpuacct:{path}\n1:name=systemd:/x\n0::/\n"
    return {"proc/self/cgroup": groups, "proc/self/mountinfo": MOUNTS_1.format(within=within)}


def test_without_cgroups_it_is_the_machine(tree: Tree) -> None:
    """Total and available are those of /proc/meminfo."""
    assert read_memory(tree({})) == WHOLE


def test_version_2(tree: Tree) -> None:
    """What a cgroup leaves is its limit less what it uses, but for pages of files that nobody has touched lately."""
    files = {
        f"{FOLDER}/run/agents/memory.max": f"{4 * GB}\n",
        f"{FOLDER}/run/agents/memory.high": "max\n",
        f"{FOLDER}/run/agents/memory.current": f"{3 * GB}\n",
        f"{FOLDER}/run/agents/memory.stat": f"anon {2 * GB}\nfile {GB}\ninactive_file {GB}\n",
    }
    assert read_memory(tree(version_2() | files)) == MachineMemory(4 * GB, 2 * GB)


def test_the_high_mark_counts(tree: Tree) -> None:
    """Above memory.high processes are slowed to a halt: it is a limit like memory.max."""
    files = {f"{FOLDER}/run/agents/memory.max": "max", f"{FOLDER}/run/agents/memory.high": f"{2 * GB}"}
    assert read_memory(tree(version_2() | files)) == MachineMemory(2 * GB, 2 * GB)


def test_the_tightest_of_nested_limits(tree: Tree) -> None:
    """A limit further up holds for all below it, with all that is used there."""
    files = {
        f"{FOLDER}/run/agents/memory.max": f"{5 * GB}",
        f"{FOLDER}/run/agents/memory.current": f"{GB}",
        f"{FOLDER}/run/memory.max": f"{6 * GB}",
        f"{FOLDER}/run/memory.current": f"{5 * GB}",
        f"{FOLDER}/memory.max": "max",
    }
    assert read_memory(tree(version_2() | files)) == MachineMemory(5 * GB, GB)


def test_more_than_the_machine_has_is_no_limit(tree: Tree) -> None:
    """A cgroup that allows more than there is changes nothing."""
    files = {f"{FOLDER}/run/agents/memory.max": f"{64 * GB}", f"{FOLDER}/run/agents/memory.current": "0"}
    assert read_memory(tree(version_2() | files)) == WHOLE


@pytest.mark.parametrize("path", ["/docker/abc", "/", "/../.."])
def test_in_a_container_the_mount_is_its_own_cgroup(tree: Tree, path: str) -> None:
    """Whether the path is as from outside or as from inside: the limit is in the mount."""
    files = {f"{FOLDER}/memory.max": f"{GB}", f"{FOLDER}/memory.current": "0"}
    within = "/docker/abc" if path == "/docker/abc" else "/"
    assert read_memory(tree(version_2(path, within) | files)) == MachineMemory(GB, GB)


def test_version_1(tree: Tree) -> None:
    """The same by the older names; the number for no limit is none."""
    files = {
        f"{FOLDER}/memory/docker/abc/memory.limit_in_bytes": f"{2 * GB}\n",
        f"{FOLDER}/memory/docker/abc/memory.usage_in_bytes": f"{GB}\n",
        f"{FOLDER}/memory/docker/abc/memory.stat": f"inactive_file 7\ntotal_inactive_file {GB // 2}\n",
        f"{FOLDER}/memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    assert read_memory(tree(version_1() | files)) == MachineMemory(2 * GB, 2 * GB - GB // 2)


def test_the_tightest_of_nested_limits_of_version_1(tree: Tree) -> None:
    """There, too, a limit further up holds for all below it, with all that is used there."""
    folder = f"{FOLDER}/memory/docker"
    files = {
        f"{folder}/abc/memory.limit_in_bytes": f"{4 * GB}\n",
        f"{folder}/abc/memory.usage_in_bytes": f"{GB}\n",
        f"{folder}/memory.limit_in_bytes": f"{5 * GB}\n",
        f"{folder}/memory.usage_in_bytes": f"{4 * GB}\n",
    }
    assert read_memory(tree(version_1() | files)) == MachineMemory(4 * GB, GB)


def test_more_used_than_allowed_leaves_nothing(tree: Tree) -> None:
    """A limit that was lowered meanwhile leaves 0, not less."""
    files = {f"{FOLDER}/run/agents/memory.max": f"{GB}", f"{FOLDER}/run/agents/memory.current": f"{2 * GB}"}
    assert read_memory(tree(version_2() | files)) == MachineMemory(GB, 0)


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": "nonsense\n\n::\n", "proc/self/mountinfo": "too short\n- -\n"},
        {**version_2(), f"{FOLDER}/run/agents/memory.max": "many", f"{FOLDER}/run/agents/memory.current": "-1"},
        {**version_2(), f"{FOLDER}/run/agents/memory.max": "", f"{FOLDER}/run/agents/memory.stat": "\n \nx\n"},
        {**version_1(), f"{FOLDER}/memory/docker/abc/memory.limit_in_bytes": "\x00\xff"},
    ],
)
def test_broken_files_set_no_limit(tree: Tree, files: Mapping[str, str]) -> None:
    """What makes no sense is passed over."""
    root = tree(files)
    assert read_memory(root) == WHOLE
    assert read_cores(root) >= 1


def test_without_any_file(tmp_path: Path) -> None:
    """Where there is no /proc, psutil knows: nothing is raised, and something is there."""
    found = read_memory(tmp_path)
    assert 0 < found.available <= found.total < UNLIMITED


def test_a_mount_with_a_blank_in_its_path(tree: Tree) -> None:
    """The kernel writes it as \\040."""
    files = {
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": "31 23 0:28 / /my\\040groups rw - cgroup2 none rw\n",
        "my groups/memory.max": f"{GB}",
    }
    assert read_memory(tree(files)).total == GB


def allow(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(number)))


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("400000 100000", 4), ("150000 100000", 1), ("5000 100000", 1), ("max 100000", 8), ("1 0", 8), ("", 8)],
)
def test_cores_of_version_2(tree: Tree, monkeypatch: pytest.MonkeyPatch, quota: str, expected: int) -> None:
    """A quota of processor time counts as so many whole cores, at least 1."""
    allow(monkeypatch, 8)
    assert read_cores(tree(version_2() | {f"{FOLDER}/run/cpu.max": quota})) == expected


def test_cores_of_version_1(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quota of any cgroup around this process; -1 is none."""
    allow(monkeypatch, 8)
    folder = f"{FOLDER}/cpu,cpuacct"
    files = {
        f"{folder}/docker/abc/cpu.cfs_quota_us": "-1\n",
        f"{folder}/docker/abc/cpu.cfs_period_us": "100000\n",
        f"{folder}/docker/cpu.cfs_quota_us": "300000\n",
        f"{folder}/docker/cpu.cfs_period_us": "100000\n",
    }
    assert read_cores(tree(version_1() | files)) == 3


def test_cores_are_those_it_may_be_on(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Affinity counts, and not how many the machine has."""
    allow(monkeypatch, 3)
    assert read_cores(tree({})) == 3


def test_cores_are_looked_up_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ask for them: for each agent that waits to be started it is asked."""
    clock, looks = [100.25], []
    monkeypatch.setattr(machine.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(machine, "read_cores", lambda: looks.append(clock[0]) or 3)
    machine._cores.cache_clear()
    assert [machine.cores() for _ in range(100)] == [3] * 100
    clock[0] += machine.LASTING
    assert machine.cores() == 3
    machine._cores.cache_clear()  # what was read here is nobody else's
    assert looks == [100.25, 101.25]


def test_the_groups_are_found_from_inside_out(tree: Tree) -> None:
    """Its own first, the mount last."""
    (group,) = find_cgroups(tree(version_2("/a/b")), "memory")
    assert [str(folder.relative_to(folder.anchor)).rpartition("cgroup")[2] for folder in group.folders] == [
        "/a/b",
        "/a",
        "",
    ]


def test_a_look_is_good_for_a_moment(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many decisions in one moment read the files once; the next moment sees what has changed."""
    now = 5.0
    monkeypatch.setattr(machine.time, "monotonic", lambda: now)
    root = tree({})
    local = LocalMachine(root)
    assert local() == WHOLE
    (root / "proc/meminfo").write_text("MemTotal: 8000000 kB\nMemAvailable: 1000 kB\n")
    assert local() == WHOLE
    now += 1
    assert local().available == 1_024_000
