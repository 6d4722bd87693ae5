"""Plain directories: made, compared, kept."""

import os
from pathlib import Path

import anyio
import pytest

from workspaces import WorkspaceError, WorkspaceSpec, directories
from workspaces.cleaning import Wishes, clean, clean_one
from workspaces.directories import Directories, make_directory
from workspaces.here import Here
from workspaces.leftovers import find_places
from workspaces.locks import InUseError, is_claimed

pytestmark = pytest.mark.anyio


async def test_changes_are_told(home: Path) -> None:
    """Added, changed and deleted files are told; untouched ones, directories and `.git` are not."""
    for name in ("same.txt", "changed.txt", "deleted.txt"):
        (home / "run" / "task").mkdir(parents=True, exist_ok=True)
        (home / "run" / "task" / name).write_text("x")
    async with Directories(home).open(WorkspaceSpec(), "run/task") as workspace:
        (workspace.path / "changed.txt").write_text("longer")
        (workspace.path / "deleted.txt").unlink()
        for name in ("inner/ä\n.txt", ".git/index"):
            (workspace.path / name).parent.mkdir()
            (workspace.path / name).write_text("x")
        (workspace.path / "link").symlink_to(home)
    assert workspace.changed == ("changed.txt", "deleted.txt", "inner/ä\n.txt", "link")


async def test_a_touched_file_of_the_same_size_is_told(tmp_path: Path) -> None:
    """A file of which only the time differs counts as changed."""
    (tmp_path / "file").write_text("x")
    async with Directories(tmp_path).open(WorkspaceSpec(path=str(tmp_path)), "run/task") as workspace:
        os.utime(tmp_path / "file", ns=(1, 1))
    assert workspace.changed == ("file",)


async def test_the_directory_is_kept(home: Path, tmp_path: Path) -> None:
    """A directory stays when the task ends, cancelled or not, and the changes are told all the same."""
    with anyio.CancelScope() as scope:
        async with Directories(home).open(WorkspaceSpec(path=str(tmp_path / "a" / "b")), "run/task") as workspace:
            (workspace.path / "new.txt").write_text("x")
            scope.cancel()
            await anyio.sleep_forever()
    assert (tmp_path / "a" / "b" / "new.txt").exists()
    assert workspace.changed == ("new.txt",)


async def test_a_removed_directory(home: Path) -> None:
    """An agent may remove the directory: all its files count as deleted."""
    (home / "run" / "task").mkdir(parents=True)
    (home / "run" / "task" / "file").touch()
    async with Directories(home).open(WorkspaceSpec(), "run/task") as workspace:
        (workspace.path / "file").unlink()
        workspace.path.rmdir()
    assert workspace.changed == ("file",)


async def test_too_many_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory with more files than are compared tells no changes rather than wrong ones."""
    monkeypatch.setattr(directories, "MOST_FILES", 2)
    async with Directories(home).open(WorkspaceSpec(), "run/task") as workspace:
        for name in "abc":
            (workspace.path / name).touch()
    assert workspace.changed == ()


async def test_a_cancelled_opening_leaves_nothing(home: Path) -> None:
    """Parents that were made for a directory are taken back when the opening is cancelled."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with Directories(home).open(WorkspaceSpec(), "run/task"):
            raise AssertionError
    assert not home.exists()


async def test_a_failed_making_leaves_nothing(tmp_path: Path) -> None:
    """When the last part of a path cannot be made, the parts before it are taken back."""
    with pytest.raises(WorkspaceError, match="cannot be made"):
        make_directory(tmp_path / "a" / "b" / ("x" * 300), "run/task")
    assert not (tmp_path / "a").exists()


async def test_two_tasks_may_share_a_directory(home: Path, tmp_path: Path) -> None:
    """Two tasks for which the user names the same path work there together."""
    spec = WorkspaceSpec(path=str(tmp_path / "shared"))
    async with Directories(home).open(spec, "run/a") as one, Directories(home).open(spec, "run/b") as other:
        assert one.path == other.path


async def test_a_named_directory_is_claimed_by_nobody(home: Path) -> None:
    """A path that the user names stays free of locks, below the home too."""
    spec = WorkspaceSpec(path=str(home / "run" / "shared"))
    async with Directories(home).open(spec, "run/a"), Directories(home).open(spec, "run/b"):
        assert [path.name for path in (home / "run").iterdir()] == ["shared"]


async def test_a_directory_of_its_own_is_claimed(home: Path) -> None:
    """Nobody else gets a task's own directory while it is at work; afterwards it is free, with no lock left."""
    async with Directories(home).open(WorkspaceSpec(), "run/task") as workspace:
        assert is_claimed(workspace.path)
        with pytest.raises(InUseError, match="at work"):
            async with Directories(home).open(WorkspaceSpec(), "run/task"):
                raise AssertionError
        assert is_claimed(workspace.path)
    assert [path.name for path in (home / "run").iterdir()] == ["task"]
    async with Directories(home).open(WorkspaceSpec(), "run/task") as again:
        assert again.path == workspace.path


@pytest.mark.parametrize("full", [False, True])
async def test_cleaning_leaves_a_directory_at_work_alone(home: Path, tmp_path: Path, *, full: bool) -> None:
    """No cleaning deletes a directory that a task is at work in, seen before or after the look; later it may."""
    wishes = Wishes(directories=True)
    (home / "run" / "task").mkdir(parents=True)
    if full:
        (home / "run" / "task" / "file").touch()
    (seen,) = await find_places(home, tmp_path)
    async with Directories(home).open(WorkspaceSpec(), "run/task") as workspace:
        assert [place.at_work for place in await find_places(home, tmp_path)] == [True]
        done = [each async for each in clean(home, tmp_path, wishes)]
        done.append(await clean_one(seen, wishes))
        assert [(each.what, each.why) for each in done] == [("kept", "somebody is at work there")] * 2
        assert workspace.path.is_dir()
    assert [each.what async for each in clean(home, tmp_path, wishes)] == ["removed"]
    assert list(home.iterdir()) == []


async def test_here_is_the_current_directory(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`here` without a path is where the program runs, and tells no changes, as others may work there."""
    monkeypatch.chdir(tmp_path)
    async with Here(home).open(WorkspaceSpec(), "run/task") as workspace:
        (workspace.path / "new.txt").write_text("x")
    assert (workspace.path, workspace.changed) == (tmp_path, ())
