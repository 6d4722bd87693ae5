"""What cannot be opened is refused with a sentence that helps."""

from collections.abc import Callable
from pathlib import Path

import pytest

from workspaces import WorkspaceError, WorkspaceSpec, providers

pytestmark = pytest.mark.anyio

Git = Callable[..., str]


async def refuse(home: Path, spec: WorkspaceSpec) -> str:
    """The message of the error that opening raises."""
    with pytest.raises(WorkspaceError) as caught:
        async with providers(home)[spec.kind].open(spec, "run/task"):
            raise AssertionError
    return str(caught.value)


async def test_not_a_repository(home: Path, tmp_path: Path) -> None:
    """A worktree outside of any repository is refused with git's words and advice, and nothing is made."""
    said = await refuse(home, WorkspaceSpec(kind="worktree", path=str(tmp_path)))
    assert "not a git repository" in said
    assert "Name a directory inside a repository" in said
    assert not home.exists()


async def test_a_repository_without_commits(home: Path, tmp_path: Path, git: Git) -> None:
    """An empty repository is refused with the command that makes a first commit."""
    git("init", "-q", cwd=tmp_path)
    assert "has no commit yet" in await refuse(home, WorkspaceSpec(kind="worktree", path=str(tmp_path)))


@pytest.mark.parametrize("base", ["nowhere", "--help", "main..main", "HEAD:readme.txt"])
async def test_an_unknown_base(home: Path, repository: Path, base: str) -> None:
    """A base that is no commit is refused by its name, and never taken for an option."""
    said = await refuse(home, WorkspaceSpec(kind="worktree", path=str(repository), base=base))
    assert f"knows no commit {base!r}" in said


async def test_no_git(home: Path, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without git is told to install it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git was not found" in await refuse(home, WorkspaceSpec(kind="worktree", path=str(repository)))


async def test_a_missing_directory_for_a_worktree(home: Path, tmp_path: Path) -> None:
    """A path that does not exist is told apart from a missing git."""
    said = await refuse(home, WorkspaceSpec(kind="worktree", path=str(tmp_path / "none")))
    assert "there is no such directory" in said


async def test_a_branch_in_the_way(home: Path, repository: Path, git: Git) -> None:
    """A branch of the name `orchestrator` cannot have others below it: the message says to rename it."""
    git("branch", "orchestrator", cwd=repository)
    said = await refuse(home, WorkspaceSpec(kind="worktree", path=str(repository)))
    assert "Rename the branch" in said
    assert list(home.glob("*/*")) == []


async def test_a_file_in_the_place_of_the_subdirectory(home: Path, repository: Path, git: Git) -> None:
    """Asked for a directory that is a file in the commit to start from, nothing stays behind."""
    first = git("rev-parse", "HEAD", cwd=repository)
    (repository / "readme.txt").unlink()
    (repository / "readme.txt").mkdir()
    said = await refuse(home, WorkspaceSpec(kind="worktree", path=str(repository / "readme.txt"), base=first))
    assert "is no directory in the commit" in said
    assert list(home.glob("*/*")) == []


@pytest.mark.parametrize(("make", "what"), [(False, "does not exist"), (True, "is not a directory")])
async def test_here_needs_a_directory(home: Path, tmp_path: Path, make: bool, what: str) -> None:
    """`here` is neither made nor a file."""
    if make:
        (tmp_path / "file").touch()
    assert what in await refuse(home, WorkspaceSpec(path=str(tmp_path / "file")))


async def test_a_directory_below_a_file(home: Path, tmp_path: Path) -> None:
    """A directory that cannot be made is refused."""
    (tmp_path / "file").touch()
    said = await refuse(home, WorkspaceSpec(kind="directory", path=str(tmp_path / "file" / "inner")))
    assert "cannot be made" in said
