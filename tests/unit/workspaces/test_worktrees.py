"""Worktrees in the usual course: made, worked in, committed, removed."""

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from workspaces import WorkspaceError, WorkspaceSpec, base_commit
from workspaces.worktrees import Worktrees

pytestmark = pytest.mark.anyio

Git = Callable[..., str]
List = Callable[[], list[str]]


def at(path: Path, base: str | None = None) -> WorkspaceSpec:
    return WorkspaceSpec(kind="worktree", path=str(path), base=base)


async def test_work_is_committed_onto_a_branch(
    worktrees: Worktrees, repository: Path, home: Path, git: Git, leftovers: List
) -> None:
    """New, changed and deleted files are on the task's branch afterwards, and the directory is gone."""
    async with worktrees.open(at(repository), "run/task") as workspace:
        assert workspace.path == home / "run" / "task"
        assert workspace.base == git("rev-parse", "HEAD", cwd=repository)
        (workspace.path / "new.txt").write_text("new\n")
        (workspace.path / "readme.txt").write_text("changed\n")
        (workspace.path / "docs" / "guide.txt").unlink()
    assert workspace.changed == ("docs/guide.txt", "new.txt", "readme.txt")
    assert workspace.branch == "orchestrator/run/task"
    assert workspace.commit == git("rev-parse", workspace.branch, cwd=repository)
    assert git("show", f"{workspace.branch}:readme.txt", cwd=repository) == "changed"
    assert "run/task" in git("log", "-1", "--format=%s", workspace.branch, cwd=repository)
    assert leftovers() == []


async def test_no_work_leaves_no_branch(
    worktrees: Worktrees, repository: Path, branches: List, leftovers: List
) -> None:
    """A task that changed nothing leaves neither branch nor directory, and says so."""
    async with worktrees.open(at(repository), "run/task") as workspace:
        pass
    assert (workspace.commit, workspace.changed, workspace.branch) == (None, (), None)
    assert branches() == ["main"]
    assert leftovers() == []


async def test_the_agents_own_commits_count(worktrees: Worktrees, repository: Path, git: Git) -> None:
    """What the agent committed itself is reported together with what it left uncommitted."""
    async with worktrees.open(at(repository), "run/task") as workspace:
        (workspace.path / "one.txt").write_text("1")
        git("add", "-A", cwd=workspace.path)
        git("commit", "-q", "-m", "mine", cwd=workspace.path)
        (workspace.path / "two.txt").write_text("2")
    assert workspace.changed == ("one.txt", "two.txt")
    assert git("rev-list", "--count", f"main..{workspace.branch}", cwd=repository) == "2"


async def test_ignored_files_are_not_committed(worktrees: Worktrees, repository: Path) -> None:
    """What .gitignore names is no work: it makes no commit."""
    async with worktrees.open(at(repository), "run/task") as workspace:
        (workspace.path / "build.log").write_text("noise")
    assert workspace.commit is None


async def test_write_protected_leftovers_are_removed(worktrees: Worktrees, repository: Path, leftovers: List) -> None:
    """An ignored directory that may not be written to (as Go's module cache) does not stay behind."""
    async with worktrees.open(at(repository), "run/task") as workspace:
        cache = workspace.path / "cache.log"
        cache.mkdir()
        (cache / "module").write_text("x")
        cache.chmod(0o500)
        (workspace.path / "new.txt").write_text("new")
    assert workspace.changed == ("new.txt",)
    assert leftovers() == []


@pytest.mark.parametrize(
    "name", ["with space.txt", "ünïcode → ✓.txt", "new\nline.txt", '"quoted".txt', "-dash", ":(top)x"]
)
async def test_odd_file_names(worktrees: Worktrees, repository: Path, name: str) -> None:
    """A file may have any name: it is committed and reported as it is."""
    async with worktrees.open(at(repository), "run/task") as workspace:
        (workspace.path / name).write_text("x")
    assert workspace.changed == (name,)


async def test_a_name_that_is_not_utf8_is_reported_as_text(worktrees: Worktrees, repository: Path) -> None:
    """`changed` can be written as JSON whatever bytes a file's name has."""
    async with worktrees.open(at(repository), "run/task") as workspace:
        (workspace.path / "caf\udce9.txt").write_text("x")
    assert workspace.changed == ("caf\\xe9.txt",)


async def test_a_subdirectory_of_the_repository(worktrees: Worktrees, repository: Path, home: Path) -> None:
    """Asked for a subdirectory, the task works in the same one of its worktree, and `changed` is relative to it."""
    async with worktrees.open(at(repository / "docs"), "run/task") as workspace:
        assert workspace.path == home / "run" / "task" / "docs"
        (workspace.path / "guide.txt").write_text("changed")
        (workspace.path / ".." / "top.txt").write_text("new")
    assert workspace.changed == ("../top.txt", "guide.txt")


async def test_a_subdirectory_that_git_does_not_know(worktrees: Worktrees, repository: Path) -> None:
    """A directory that is in no commit is made."""
    (repository / "empty" / "inner").mkdir(parents=True)
    async with worktrees.open(at(repository / "empty" / "inner"), "run/task") as workspace:
        assert workspace.path.is_dir()


async def test_starts_from_base(worktrees: Worktrees, repository: Path, git: Git) -> None:
    """`base` names the commit to start from, not HEAD."""
    first = git("rev-parse", "HEAD", cwd=repository)
    git("commit", "-q", "--allow-empty", "-m", "second", cwd=repository)
    async with worktrees.open(at(repository, "HEAD~1"), "run/task") as workspace:
        assert workspace.base == first == git("rev-parse", "HEAD", cwd=workspace.path)
    assert await base_commit(at(repository, "HEAD~1")) == first


async def test_a_dirty_repository_stays_as_it_is(worktrees: Worktrees, repository: Path, git: Git) -> None:
    """The user's uncommitted work is neither seen by the task nor touched."""
    (repository / "readme.txt").write_text("mine\n")
    (repository / "staged.txt").write_text("mine\n")
    git("add", "staged.txt", cwd=repository)
    before = git("status", "--porcelain", cwd=repository)
    async with worktrees.open(at(repository), "run/task") as workspace:
        assert (workspace.path / "readme.txt").read_text() == "hello\n"
        (workspace.path / "new.txt").write_text("x")
    assert git("status", "--porcelain", cwd=repository) == before


async def test_a_repository_on_a_detached_head(worktrees: Worktrees, repository: Path, git: Git) -> None:
    """A task can start from a HEAD that is on no branch."""
    git("checkout", "-q", "--detach", cwd=repository)
    async with worktrees.open(at(repository), "run/task") as workspace:
        (workspace.path / "new.txt").write_text("x")
    assert workspace.changed == ("new.txt",)


async def test_a_second_attempt_goes_on(worktrees: Worktrees, repository: Path, git: Git) -> None:
    """Another opening of a name has the commits of the first, and counts from the same base, wherever HEAD is."""
    async with worktrees.open(at(repository), "run/task") as first:
        (first.path / "one.txt").write_text("1")
    git("commit", "-q", "--allow-empty", "-m", "second", cwd=repository)
    async with worktrees.open(at(repository), "run/task") as second:
        assert (second.path / "one.txt").read_text() == "1"
        (second.path / "two.txt").write_text("2")
    assert second.base == first.base
    assert second.changed == ("one.txt", "two.txt")


async def test_a_branch_of_somebody_else_is_kept(
    worktrees: Worktrees, repository: Path, git: Git, branches: List
) -> None:
    """A branch that was there before stays, though nothing was committed on it."""
    git("branch", "orchestrator/run/task", cwd=repository)
    async with worktrees.open(at(repository), "run/task"):
        pass
    assert "orchestrator/run/task" in branches()


async def test_without_an_identity(
    worktrees: Worktrees, repository: Path, config: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user without a git identity gets ours for the commit, and nothing is written to a config."""
    config.write_text("")
    before = (repository / ".git" / "config").read_text()
    async with worktrees.open(at(repository), "run/task") as workspace:
        (workspace.path / "new.txt").write_text("x")
    author = git("log", "-1", "--format=%an <%ae> %cn", str(workspace.commit), cwd=repository)
    assert author == "claude-agent-orchestrator <noreply@localhost> claude-agent-orchestrator"
    assert (config.read_text(), (repository / ".git" / "config").read_text()) == ("", before)


async def test_with_an_identity(worktrees: Worktrees, repository: Path, git: Git) -> None:
    """A user's own identity is used."""
    async with worktrees.open(at(repository), "run/task") as workspace:
        (workspace.path / "new.txt").write_text("x")
    assert git("log", "-1", "--format=%an <%ae>", str(workspace.commit), cwd=repository) == "Tester <tester@localhost>"


async def test_hooks_and_signing_do_not_stop_us(worktrees: Worktrees, repository: Path, config: Path, git: Git) -> None:
    """The user's hooks do not run for our commands, nor does commit signing."""
    for hook in (
        "pre-commit",
        "commit-msg",
        "prepare-commit-msg",
        "post-commit",
        "post-checkout",
        "reference-transaction",
    ):
        file = repository / ".git" / "hooks" / hook
        file.write_text(f"#!/bin/sh\ntouch {repository}/ran-{hook}\nexit 1\n")
        file.chmod(0o755)
    config.write_text(config.read_text() + "[commit]\ngpgsign = true\n[gpg]\nprogram = /bin/false\n")
    async with worktrees.open(at(repository), "run/task") as workspace:
        (workspace.path / "new.txt").write_text("x")
    assert workspace.commit
    assert list(repository.glob("ran-*")) == []


async def test_settings_of_a_calling_git_are_dropped(
    worktrees: Worktrees, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started from a git hook, with GIT_DIR and the like set, we still work on the repository that was named."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    async with worktrees.open(at(repository), "run/task") as workspace:
        (workspace.path / "new.txt").write_text("x")
    assert workspace.changed == ("new.txt",)


async def test_forty_at_once(worktrees: Worktrees, repository: Path, branches: List, leftovers: List) -> None:
    """Forty tasks that start, work and end together all succeed."""

    async def work(number: int) -> None:
        async with worktrees.open(at(repository), f"run/task[{number}]") as workspace:
            (workspace.path / f"{number}.txt").write_text("x")
        assert workspace.changed == (f"{number}.txt",)

    async with anyio.create_task_group() as tasks:
        for number in range(40):
            tasks.start_soon(work, number)
    assert len(branches()) == 41
    assert leftovers() == []


async def test_the_same_name_twice_is_refused(worktrees: Worktrees, repository: Path) -> None:
    """A name that is open cannot be opened again, and the first is not harmed."""
    async with worktrees.open(at(repository), "run/task") as workspace:
        (workspace.path / "new.txt").write_text("x")
        with pytest.raises(WorkspaceError, match="Somebody is at work"):
            async with worktrees.open(at(repository), "run/task"):
                raise AssertionError
    assert workspace.changed == ("new.txt",)


async def test_a_branch_checked_out_elsewhere_is_refused(worktrees: Worktrees, repository: Path, git: Git) -> None:
    """When the user has the task's branch checked out, the message says where."""
    git("checkout", "-q", "-b", "orchestrator/run/task", cwd=repository)
    with pytest.raises(WorkspaceError, match=f"is checked out in {repository}"):
        async with worktrees.open(at(repository), "run/task"):
            raise AssertionError


async def test_a_bare_repository(worktrees: Worktrees, repository: Path, tmp_path: Path, git: Git) -> None:
    """A bare repository will do."""
    git("clone", "-q", "--bare", str(repository), str(tmp_path / "bare.git"), cwd=tmp_path)
    async with worktrees.open(at(tmp_path / "bare.git"), "run/task") as workspace:
        (workspace.path / "new.txt").write_text("x")
    assert workspace.changed == ("new.txt",)


async def test_from_inside_a_worktree(worktrees: Worktrees, repository: Path, tmp_path: Path, git: Git) -> None:
    """Asked for a directory in one of the user's own worktrees, the task starts from the HEAD of that one."""
    git("worktree", "add", "-q", "-b", "mine", str(tmp_path / "mine"), cwd=repository)
    git("commit", "-q", "--allow-empty", "-m", "second", cwd=tmp_path / "mine")
    async with worktrees.open(at(tmp_path / "mine"), "run/task") as workspace:
        assert workspace.base == git("rev-parse", "mine", cwd=repository)
