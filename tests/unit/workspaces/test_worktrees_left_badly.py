# ruff: noqa: PT012  # the error comes on leaving the block, so the block is inside `raises`
"""Worktrees that an agent, a crash or a cancellation left in a bad state: nothing may be lost."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from workspaces import WorkspaceError, WorkspaceSpec
from workspaces.worktrees import Worktrees

pytestmark = pytest.mark.anyio

Git = Callable[..., str]
List = Callable[[], list[str]]


@pytest.fixture
def spec(repository: Path) -> WorkspaceSpec:
    return WorkspaceSpec(kind="worktree", path=str(repository))


def commit(git: Git, path: Path, file: str) -> None:
    (path / file).write_text(f"{file}\n")
    git("add", "-A", cwd=path)
    git("commit", "-q", "-m", f"add {file}", cwd=path)


async def test_agent_makes_its_own_branch(worktrees: Worktrees, spec: WorkspaceSpec, git: Git, branches: List) -> None:
    """Commits on a branch the agent made, and what it left uncommitted there, are on the task's branch too."""
    async with worktrees.open(spec, "run/task") as workspace:
        git("checkout", "-q", "-b", "feature", cwd=workspace.path)
        commit(git, workspace.path, "one.txt")
        (workspace.path / "two.txt").write_text("2")
    assert workspace.changed == ("one.txt", "two.txt")
    assert "feature" in branches()


async def test_agent_renames_its_branch(worktrees: Worktrees, spec: WorkspaceSpec, git: Git) -> None:
    """A renamed branch is kept, and its commits are on the task's branch as well."""
    async with worktrees.open(spec, "run/task") as workspace:
        commit(git, workspace.path, "one.txt")
        git("branch", "-m", "renamed", cwd=workspace.path)
    assert workspace.changed == ("one.txt",)


async def test_agent_detaches_head(worktrees: Worktrees, spec: WorkspaceSpec, git: Git) -> None:
    """Commits on a detached HEAD, which no branch holds, are on the task's branch afterwards."""
    async with worktrees.open(spec, "run/task") as workspace:
        git("checkout", "-q", "--detach", cwd=workspace.path)
        commit(git, workspace.path, "one.txt")
    assert workspace.changed == ("one.txt",)


async def test_agent_only_looked_at_an_older_commit(worktrees: Worktrees, spec: WorkspaceSpec, git: Git) -> None:
    """A clean worktree that was left on an older commit loses nothing and is no error."""
    async with worktrees.open(spec, "run/task") as workspace:
        commit(git, workspace.path, "one.txt")
        git("checkout", "-q", "HEAD~1", cwd=workspace.path)
    assert workspace.changed == ("one.txt",)


async def test_uncommitted_work_on_a_diverged_branch_is_kept(
    worktrees: Worktrees, spec: WorkspaceSpec, git: Git
) -> None:
    """Uncommitted work on a branch beside the task's stays in the directory, and the error says where."""
    with pytest.raises(WorkspaceError, match=r"(?s)is kept in .*left on other") as caught:
        async with worktrees.open(spec, "run/task") as workspace:
            commit(git, workspace.path, "one.txt")
            git("checkout", "-q", "-b", "other", "HEAD~1", cwd=workspace.path)
            (workspace.path / "two.txt").write_text("2")
    assert str(workspace.path) in str(caught.value)
    assert (workspace.path / "two.txt").read_text() == "2"


async def test_unreachable_commits_are_kept(worktrees: Worktrees, spec: WorkspaceSpec, git: Git) -> None:
    """Commits on a detached HEAD beside the task's branch keep the directory, as nothing else holds them."""
    with pytest.raises(WorkspaceError, match="is kept in"):
        async with worktrees.open(spec, "run/task") as workspace:
            commit(git, workspace.path, "one.txt")
            git("checkout", "-q", "HEAD~1", cwd=workspace.path)
            commit(git, workspace.path, "two.txt")
    assert (workspace.path / "two.txt").exists()


async def test_unfinished_merge_is_kept(worktrees: Worktrees, spec: WorkspaceSpec, git: Git) -> None:
    """A conflict is not committed with its markers: the directory stays until it is resolved."""
    with pytest.raises(WorkspaceError, match=r"is kept in .*merge was left unfinished"):
        async with worktrees.open(spec, "run/task") as workspace:
            commit(git, workspace.path, "one.txt")
            git("checkout", "-q", "-b", "other", "HEAD~1", cwd=workspace.path)
            (workspace.path / "one.txt").write_text("otherwise\n")
            git("add", "-A", cwd=workspace.path)
            git("commit", "-q", "-m", "other", cwd=workspace.path)
            git("checkout", "-q", "orchestrator/run/task", cwd=workspace.path)
            with pytest.raises(Exception, match="merge"):
                git("merge", "-q", "other", cwd=workspace.path)
    with pytest.raises(WorkspaceError, match=r"earlier attempt left in .*unfinished"):
        async with worktrees.open(spec, "run/task"):
            raise AssertionError
    commit(git, workspace.path, "one.txt")
    async with worktrees.open(spec, "run/task") as again:
        assert (again.path / "one.txt").read_text() == "one.txt\n"


async def test_agent_deletes_the_git_file(worktrees: Worktrees, spec: WorkspaceSpec) -> None:
    """Without its `.git` file a worktree is put away all the same."""
    async with worktrees.open(spec, "run/task") as workspace:
        (workspace.path / "new.txt").write_text("x")
        (workspace.path / ".git").unlink()
    assert workspace.changed == ("new.txt",)


async def test_a_home_inside_the_repository(spec: WorkspaceSpec, repository: Path, git: Git) -> None:
    """With the workspaces below the repository, a removed `.git` file does not make us commit to the user's branch."""
    head = git("rev-parse", "HEAD", cwd=repository)
    with pytest.raises(WorkspaceError, match="is kept in"):
        async with Worktrees(repository / "home").open(spec, "run/task") as workspace:
            (workspace.path / "new.txt").write_text("x")
            (workspace.path / ".git").unlink()
            git("worktree", "prune", cwd=repository)
    assert git("rev-parse", "HEAD", cwd=repository) == head
    assert (workspace.path / "new.txt").exists()


async def test_agent_makes_a_repository_of_it(worktrees: Worktrees, spec: WorkspaceSpec, git: Git) -> None:
    """A worktree that became a repository of its own is kept with its history."""
    with pytest.raises(WorkspaceError, match="is kept in"):
        async with worktrees.open(spec, "run/task") as workspace:
            (workspace.path / ".git").unlink()
            git("init", "-q", cwd=workspace.path)
            commit(git, workspace.path, "new.txt")
    assert git("log", "--format=%s", cwd=workspace.path) == "add new.txt"


@pytest.mark.parametrize("commits", [0, 1])
async def test_a_repository_inside_is_kept(worktrees: Worktrees, spec: WorkspaceSpec, git: Git, commits: int) -> None:
    """A repository made inside the worktree, of which git would keep no file, keeps the directory."""
    with pytest.raises(WorkspaceError, match=r"is kept in .*inner"):
        async with worktrees.open(spec, "run/task") as workspace:
            inner = workspace.path / "inner"
            inner.mkdir()
            git("init", "-q", cwd=inner)
            (inner / "file.txt").write_text("x")
            if commits:
                commit(git, inner, "new.txt")
    assert (inner / "file.txt").exists()


async def test_agent_removes_everything(worktrees: Worktrees, spec: WorkspaceSpec, git: Git, leftovers: List) -> None:
    """Removing the directory itself is tidying up: what was committed before is the result."""
    async with worktrees.open(spec, "run/task") as workspace:
        commit(git, workspace.path, "one.txt")
        shutil.rmtree(workspace.path)
    assert workspace.changed == ("one.txt",)
    assert leftovers() == []


async def test_agent_removes_its_worktree(
    worktrees: Worktrees, spec: WorkspaceSpec, repository: Path, git: Git, leftovers: List
) -> None:
    """An agent that removes its worktree with git does our work: its commits are the result."""
    async with worktrees.open(spec, "run/task") as workspace:
        commit(git, workspace.path, "one.txt")
        git("worktree", "remove", str(workspace.path), cwd=repository)
    assert workspace.changed == ("one.txt",)
    assert leftovers() == []


async def test_locks_of_a_killed_git(worktrees: Worktrees, spec: WorkspaceSpec, git: Git) -> None:
    """The index.lock of an agent's git that was killed does not stop the commit."""
    async with worktrees.open(spec, "run/task") as workspace:
        (workspace.path / "new.txt").write_text("x")
        Path(git("rev-parse", "--absolute-git-dir", cwd=workspace.path), "index.lock").touch()
    assert workspace.changed == ("new.txt",)


async def test_a_crashed_process_leaves_work(
    worktrees: Worktrees, spec: WorkspaceSpec, repository: Path, home: Path, git: Git, leftovers: List
) -> None:
    """The uncommitted work of a process that was killed is committed and there on the next opening."""
    left = home / "run" / "task"
    git("worktree", "add", "-q", "-b", "orchestrator/run/task", str(left), cwd=repository)
    (left / "one.txt").write_text("1")
    async with worktrees.open(spec, "run/task") as workspace:
        assert (workspace.path / "one.txt").read_text() == "1"
        (workspace.path / "two.txt").write_text("2")
    assert workspace.changed == ("one.txt", "two.txt")
    assert leftovers() == []


@pytest.mark.parametrize("lost", [False, True])
async def test_a_crashed_process_that_did_nothing_leaves_no_branch(
    worktrees: Worktrees, spec: WorkspaceSpec, repository: Path, home: Path, git: Git, branches: List, *, lost: bool
) -> None:
    """The branch of a process that was killed before any work goes when the next one adds none either."""
    left = home / "run" / "task"
    git("worktree", "add", "-q", "-b", "orchestrator/run/task", str(left), cwd=repository)
    if lost:
        shutil.rmtree(left)
    async with worktrees.open(spec, "run/task") as workspace:
        pass
    assert workspace.branch is None
    assert branches() == ["main"]


async def test_a_lost_directory_is_forgotten(
    worktrees: Worktrees, spec: WorkspaceSpec, repository: Path, home: Path, git: Git, leftovers: List
) -> None:
    """A worktree that git still has in its list and that is no more does not stand in the way, wherever it was."""
    git("worktree", "add", "-q", "-b", "orchestrator/run/task", str(home / "elsewhere"), cwd=repository)
    git("worktree", "add", "-q", "--detach", str(home / "run" / "task"), cwd=repository)
    shutil.rmtree(home)
    async with worktrees.open(spec, "run/task") as workspace:
        assert (workspace.path / "readme.txt").exists()
    assert leftovers() == []


@pytest.mark.parametrize("relative", [False, True])
async def test_a_half_made_worktree_is_made_anew(
    worktrees: Worktrees, spec: WorkspaceSpec, repository: Path, home: Path, git: Git, *, relative: bool
) -> None:
    """Files that a killed `worktree add` did not get to check out are not taken for deleted ones."""
    left = home / "run" / "task"
    git("worktree", "add", "-q", "-b", "orchestrator/run/task", str(left), cwd=repository)
    git("worktree", "lock", "--reason", "initializing", str(left), cwd=repository)
    (left / "readme.txt").unlink()
    if relative:  # as git writes it with worktree.useRelativePaths
        (left / ".git").write_text(f"gitdir: {os.path.relpath(repository / '.git' / 'worktrees' / 'task', left)}\n")
    async with worktrees.open(spec, "run/task") as workspace:
        assert (workspace.path / "readme.txt").exists()
    assert workspace.changed == ()


async def test_foreign_files_in_the_way(worktrees: Worktrees, spec: WorkspaceSpec, home: Path) -> None:
    """A directory that is no worktree and has files is left alone, and the message says what to do."""
    (home / "run" / "task").mkdir(parents=True)
    (home / "run" / "task" / "precious.txt").write_text("x")
    with pytest.raises(WorkspaceError, match="Move it away"):
        async with worktrees.open(spec, "run/task"):
            raise AssertionError
    assert (home / "run" / "task" / "precious.txt").exists()


async def test_an_empty_directory_in_the_way(worktrees: Worktrees, spec: WorkspaceSpec, home: Path) -> None:
    """An empty directory at the worktree's place is no hindrance."""
    (home / "run" / "task").mkdir(parents=True)
    async with worktrees.open(spec, "run/task") as workspace:
        assert (workspace.path / "readme.txt").exists()


async def test_cancelled_at_work(worktrees: Worktrees, spec: WorkspaceSpec, leftovers: List) -> None:
    """A cancelled task's uncommitted work is committed before the cancellation goes on."""
    with anyio.CancelScope() as scope:
        async with worktrees.open(spec, "run/task") as workspace:
            (workspace.path / "new.txt").write_text("x")
            scope.cancel()
            await anyio.sleep_forever()
    assert workspace.changed == ("new.txt",)
    assert leftovers() == []


@pytest.mark.parametrize("moment", range(0, 120, 10))
async def test_cancelled_at_any_moment(
    worktrees: Worktrees, spec: WorkspaceSpec, repository: Path, git: Git, moment: int, leftovers: List
) -> None:
    """Whenever ten tasks are cancelled while they open, work and close, no worktree, lock or half of one stays."""

    async def work(number: int) -> None:
        async with worktrees.open(spec, f"run/{number}") as workspace:
            (workspace.path / "new.txt").write_text("x")

    with anyio.move_on_after(moment / 100):
        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(work, number)
    assert leftovers() == []
    assert list((repository / ".git").rglob("index.lock")) == []
    assert git("fsck", "--no-dangling", cwd=repository) == ""


async def test_an_error_on_leaving_is_not_lost_in_a_cancellation(worktrees: Worktrees, spec: WorkspaceSpec) -> None:
    """Cancelled or not, somebody is told where the work is that could not be put away."""
    with pytest.raises(WorkspaceError, match="is kept in"), anyio.CancelScope() as scope:
        async with worktrees.open(spec, "run/task") as workspace:
            (workspace.path / ".git").unlink()
            (workspace.path / ".git").mkdir()
            scope.cancel()
            await anyio.sleep_forever()
