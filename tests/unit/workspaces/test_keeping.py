"""Whether what a task left is still there is known before anybody relies on it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from workspaces import WorkspaceSpec, is_kept
from workspaces.worktrees import Worktrees

pytestmark = pytest.mark.anyio

Git = Callable[..., str]


@pytest.fixture
async def commit(worktrees: Worktrees, repository: Path) -> str:
    """What a task left on its branch."""
    async with worktrees.open(WorkspaceSpec(kind="worktree", path=str(repository)), "run/task") as workspace:
        (workspace.path / "new.txt").write_text("x")
    assert workspace.commit
    return workspace.commit


async def test_a_commit_that_a_ref_leads_to(repository: Path, commit: str, git: Git) -> None:
    """A task's commit is kept as long as its branch, or any other ref, leads to it, seen from any directory there."""
    assert await is_kept("worktree", "/gone", str(repository / "docs"), commit)
    git("tag", "mine", commit, cwd=repository)
    git("branch", "-qD", "orchestrator/run/task", cwd=repository)
    assert await is_kept("worktree", "/gone", str(repository), commit)


async def test_a_commit_that_no_ref_leads_to(repository: Path, commit: str, git: Git) -> None:
    """A commit whose branch was deleted is not kept, though git still has it; nor is one that git never had."""
    git("branch", "-qD", "orchestrator/run/task", cwd=repository)
    assert git("cat-file", "-t", commit, cwd=repository) == "commit"
    assert not await is_kept("worktree", "/gone", str(repository), commit)
    assert not await is_kept("worktree", "/gone", str(repository), "0" * 40)
    assert not await is_kept("worktree", "/gone", str(repository), "no commit")


async def test_a_repository_that_is_gone(repository: Path, commit: str, tmp_path: Path) -> None:
    """Where there is no repository, or no directory, nothing is kept, and that is no error."""
    assert not await is_kept("worktree", "/gone", str(tmp_path), commit)
    shutil.rmtree(repository)
    assert not await is_kept("worktree", "/gone", str(repository), commit)


async def test_the_current_repository(
    repository: Path, commit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an origin the repository here is asked, as a spec without a path means it."""
    monkeypatch.chdir(repository)
    assert await is_kept("worktree", "/gone", None, commit)
    monkeypatch.chdir(tmp_path)
    assert not await is_kept("worktree", "/gone", None, commit)


async def test_what_left_no_commit(tmp_path: Path) -> None:
    """A worktree that kept nothing has nothing to lose; a directory is kept while it is one; others always are."""
    (tmp_path / "file").touch()
    assert await is_kept("worktree", "/gone", "/gone", None)
    assert await is_kept("directory", str(tmp_path), None, None)
    assert not await is_kept("directory", str(tmp_path / "gone"), None, None)
    assert not await is_kept("directory", str(tmp_path / "file"), None, None)
    assert await is_kept("here", "/gone", None, None)
    assert await is_kept("package:Mine", "/gone", "/gone", "0" * 40)
