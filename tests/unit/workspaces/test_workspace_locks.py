"""Locks hold between tasks and between processes, and no wait for one outlives its task."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from workspaces import WorkspaceError
from workspaces.locks import claim, lock_repository

pytestmark = pytest.mark.anyio

List = Callable[[], list[str]]

FORTY = """
import sys, anyio
from pathlib import Path
from workspaces import WorkspaceSpec, providers

async def work(number):
    spec = WorkspaceSpec(kind="worktree", path=sys.argv[1])
    async with providers(Path(sys.argv[2]))["worktree"].open(spec, f"{sys.argv[3]}/{number}") as workspace:
        (workspace.path / "new.txt").write_text("x")

async def main():
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(work, number)

anyio.run(main, backend=sys.argv[4])
"""

HOLD = """
import sys
from pathlib import Path
from workspaces.locks import claim
with claim(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


async def test_one_at_a_time(tmp_path: Path) -> None:
    """Of many tasks that want a repository, one has it at a time."""
    inside = 0

    async def enter() -> None:
        nonlocal inside
        async with lock_repository(tmp_path):
            inside += 1
            assert inside == 1
            await anyio.lowlevel.checkpoint()
            inside -= 1

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(enter)


async def test_a_wait_can_be_cancelled(tmp_path: Path) -> None:
    """A task that waits for the lock ends at once when it is cancelled, and the lock can be had afterwards."""
    async with lock_repository(tmp_path):
        with anyio.move_on_after(0.01) as scope:
            async with lock_repository(tmp_path):
                raise AssertionError
        assert scope.cancelled_caught
    async with lock_repository(tmp_path):
        pass


async def test_a_missing_repository(tmp_path: Path) -> None:
    """A lock that cannot be made is an error with its place, and makes no directory."""
    with pytest.raises(WorkspaceError, match="cannot be made"):
        async with lock_repository(tmp_path / "none"):
            raise AssertionError
    assert not (tmp_path / "none").exists()


def test_a_claim_ends_with_its_process(tmp_path: Path) -> None:
    """A directory claimed by another process is refused while that lives, and free when it was killed."""
    place = tmp_path / "run" / "task"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        with pytest.raises(WorkspaceError, match="Somebody is at work"), claim(place):
            raise AssertionError
        other.kill()
    with claim(place):
        pass
    assert list(place.parent.iterdir()) == []


async def test_two_processes(repository: Path, home: Path, anyio_backend: str, branches: List, leftovers: List) -> None:
    """Two processes of twenty tasks each can use a repository at once."""

    async def start(run: str) -> None:
        args = [sys.executable, "-c", FORTY, str(repository), str(home), run, anyio_backend]
        await anyio.run_process(args, stderr=None)

    async with anyio.create_task_group() as processes:
        processes.start_soon(start, "one")
        processes.start_soon(start, "two")
    assert len(branches()) == 41
    assert leftovers() == []
