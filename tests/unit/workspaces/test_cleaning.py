"""What ended processes left is put away, and no work is lost that nobody gave up."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from workspaces.cleaning import Cleaned, Wishes, clean, clean_one
from workspaces.leftovers import Leftover, find_branches, find_places, find_repositories
from workspaces.locks import claim, is_claimed

pytestmark = pytest.mark.anyio

Git = Callable[..., str]
List = Callable[[], list[str]]

DIES = """
    import os, signal, sys, anyio
    from pathlib import Path
    from workspaces import WorkspaceSpec
    from workspaces.worktrees import Worktrees
    home, repository, name, deed = sys.argv[1:]
    async def main():
        async with Worktrees(Path(home)).open(WorkspaceSpec(kind="worktree", path=repository), name) as workspace:
            os.chdir(workspace.path)
            os.system(deed)
            os.kill(os.getpid(), signal.SIGKILL)
    anyio.run(main)
"""


@pytest.fixture
def leave(home: Path, repository: Path) -> Callable[..., Path]:
    """A worktree as it is left when the orchestrator is killed, after the agent did what the shell command says."""

    def leave(name: str = "run/task", deed: str = "true") -> Path:
        command = [sys.executable, "-c", textwrap.dedent(DIES), str(home), str(repository), name, deed]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        return home / name

    return leave


@pytest.fixture
def cleaned(home: Path, repository: Path) -> Callable[..., object]:
    """Cleans, and gives what became of each thing: `{(kind, name): (what, why)}`."""

    async def cleaned(live: frozenset[str] = frozenset(), **wishes: object) -> dict[tuple[str, str], tuple[str, str]]:
        done = [each async for each in clean(home, repository, Wishes(**wishes), live)]  # type: ignore[arg-type]
        return {(each.leftover.kind, each.leftover.name): (each.what, each.why) for each in done}

    return cleaned


async def found(home: Path, where: Path, live: frozenset[str] = frozenset()) -> list[Leftover]:
    places = await find_places(home, where, live)
    repositories = await find_repositories([place.path for place in places if place.path], where)
    return [*places, *await find_branches(repositories, home, live)]


async def test_uncommitted_work_goes_to_its_branch(leave, cleaned, leftovers, git, repository, home) -> None:  # type: ignore[no-untyped-def]
    """What a killed run left uncommitted is on the task's branch, and its worktree, lock and folder are gone."""
    leave(deed="echo new > new.txt; echo more >> readme.txt; rm docs/guide.txt")
    done = await cleaned()
    assert done["worktree", "run/task"][0] == "removed"
    assert "orchestrator/run/task" in done["worktree", "run/task"][1]
    assert done["branch", "run/task"] == ("kept", "1 commit nowhere else")
    changed = git("diff", "--name-status", "main", "orchestrator/run/task", cwd=repository).splitlines()
    assert changed == ["D\tdocs/guide.txt", "A\tnew.txt", "M\treadme.txt"]
    assert leftovers() == []
    assert list(home.iterdir()) == []


async def test_what_holds_nothing_goes(leave, cleaned, leftovers, branches, home) -> None:  # type: ignore[no-untyped-def]
    """A worktree that nobody worked in leaves nothing: no directory, no registration, no branch."""
    leave()
    assert await cleaned() == {("worktree", "run/task"): ("removed", ""), ("branch", "run/task"): ("removed", "")}
    assert (leftovers(), branches(), list(home.iterdir())) == ([], ["main"], [])
    assert await cleaned() == {}, "there was more for a second cleaning"


async def test_a_branch_that_was_merged_goes(leave, cleaned, branches, git, repository) -> None:  # type: ignore[no-untyped-def]
    """A branch whose commits another branch has is deleted; one that only a task's branch has too is not."""
    leave("run/merged", "echo 1 > 1.txt")
    leave("run/twin", "echo 2 > 2.txt")
    await cleaned()
    git("branch", "orchestrator/run/copy", "orchestrator/run/twin", cwd=repository)
    git("merge", "-q", "orchestrator/run/merged", cwd=repository)
    done = await cleaned()
    assert done["branch", "run/merged"] == ("removed", "")
    assert branches() == ["main", "orchestrator/run/copy", "orchestrator/run/twin"]


@pytest.mark.parametrize("place", ["repository", "aside"])
async def test_a_detached_head_holds_nothing(leave, cleaned, branches, git, repository, tmp_path, place) -> None:  # type: ignore[no-untyped-def]
    """A branch stays whose commits only a detached HEAD has beside it, in whichever worktree that is."""
    leave(deed="echo new > new.txt")
    await cleaned()
    git("worktree", "add", "-q", "--detach", str(tmp_path / "aside"), cwd=repository)
    git("checkout", "-q", "--detach", "orchestrator/run/task", cwd=tmp_path / place)
    assert await cleaned() == {("branch", "run/task"): ("kept", "1 commit nowhere else")}
    git("checkout", "-q", "-b", "mine", cwd=tmp_path / place)
    assert (await cleaned())["branch", "run/task"] == ("removed", "")
    assert branches() == ["main", "mine"]


async def test_unmerged_branches_go_when_told(leave, cleaned, branches, git, repository) -> None:  # type: ignore[no-untyped-def]
    """With `unmerged` a branch goes whose work is nowhere else, and what is said brings it back."""
    leave(deed="echo new > new.txt")
    why = (await cleaned(unmerged=True))["branch", "run/task"][1]
    assert branches() == ["main"]
    command = why.split("`")[1].split()
    git(*command[1:], cwd=repository)
    assert git("show", "orchestrator/run/task:new.txt", cwd=repository) == "new"


async def test_detached_commits_of_a_vanished_worktree(leave, cleaned, branches, git, repository) -> None:  # type: ignore[no-untyped-def]
    """Commits that no branch had are on the task's branch, though the directory is gone."""
    commands = "git checkout -q --detach; echo 1 > 1.txt; git add -A; git commit -qm one"
    shutil.rmtree(leave(deed=commands))
    assert (await cleaned())["worktree", "run/task"][0] == "removed"
    assert git("show", "orchestrator/run/task:1.txt", cwd=repository) == "1"
    assert len(git("worktree", "list", cwd=repository).splitlines()) == 1


async def test_a_worktree_that_lost_its_link(leave, cleaned, git, repository) -> None:  # type: ignore[no-untyped-def]
    """A worktree whose `.git` file an agent deleted is known by its registration, and its work is saved."""
    leave(deed="echo new > new.txt; rm .git")
    assert (await cleaned())["worktree", "run/task"][0] == "removed"
    assert git("show", "orchestrator/run/task:new.txt", cwd=repository) == "new"


async def test_a_half_made_worktree(leave, cleaned, leftovers, branches, repository) -> None:  # type: ignore[no-untyped-def]
    """A worktree that git had only begun to make is taken away, and is no error."""
    path = leave(deed="rm -r *")
    (admin,) = (repository / ".git" / "worktrees").iterdir()
    (admin / "locked").write_text("initializing")
    assert (path / ".git").exists()
    assert (await cleaned())["half-made", "run/task"] == ("removed", "")
    assert (leftovers(), branches()) == ([], ["main"])


async def test_somebody_at_work_is_left_alone(leave, cleaned, home, repository) -> None:  # type: ignore[no-untyped-def]
    """What is claimed, by this process or another, stays as it is, and so does all of a run that is going on."""
    path = leave(deed="echo new > new.txt")
    with claim(path):
        assert (await cleaned())["worktree", "run/task"] == ("kept", "somebody is at work there")
    with subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert await to_thread.run_sync(process.stdout.readline) == "claimed\n"
        assert [place.at_work for place in await found(home, repository)] == [True]
        assert (await cleaned(unmerged=True, directories=True))["worktree", "run/task"][0] == "kept"
        process.communicate()
    assert (await cleaned(frozenset({"run"})))["worktree", "run/task"][0] == "kept"
    assert (path / "new.txt").exists()


CLAIM = """
import sys
from pathlib import Path
from workspaces.locks import claim
with claim(Path(sys.argv[1])):
    print("claimed", flush=True)
    sys.stdin.read()
"""


async def test_a_run_that_somebody_holds(leave, home, repository) -> None:  # type: ignore[no-untyped-def]
    """Each run is held while its leftovers are put away; one that somebody else holds is left alone."""
    leave("free/task"), leave("held/task")
    asked: list[str] = []

    @contextmanager
    def hold(run: str) -> Iterator[bool]:
        asked.append(run)
        yield run != "held"

    done = [each async for each in clean(home, repository, Wishes(), hold=hold)]
    assert {each.leftover.run: each.what for each in done} == {"free": "removed", "held": "kept"}
    assert set(asked) == {"free", "held"}
    assert [path.name for path in home.iterdir()] == ["held"]


async def test_directories_go_when_told(home, cleaned) -> None:  # type: ignore[no-untyped-def]
    """A plain directory with something in it stays unless told; an empty one, and a lock of nothing, go."""
    (home / "run" / "full").mkdir(parents=True)
    (home / "run" / "full" / "protected").mkdir()
    (home / "run" / "full" / "protected" / "file").write_text("x")
    (home / "run" / "full" / "protected").chmod(0o500)
    (home / "run" / "empty").mkdir()
    (home / "run" / "old.lock").touch()
    (home / "run" / "link").symlink_to(home.parent)
    done = await cleaned()
    assert {key: what for key, (what, _) in done.items()} == {
        ("directory", "run/full"): "kept",
        ("empty", "run/empty"): "removed",
        ("lock", "run/old"): "removed",
        ("other", "run/link"): "kept",
    }
    assert (await cleaned(directories=True))["directory", "run/full"] == ("removed", "")
    assert [path.name for path in (home / "run").iterdir()] == ["link"]
    assert home.parent.exists()


async def test_a_worktree_without_its_repository(leave, cleaned, repository, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """A worktree whose repository is gone stays, with its work; the reason is said."""
    path = leave(deed="echo new > new.txt")
    repository.rename(tmp_path / "moved")
    repository.mkdir()
    what, why = (await cleaned())["directory", "run/task"]
    assert (what, "knows it no more" in why) == ("kept", True)
    assert (path / "new.txt").exists()


async def test_one_that_cannot_be_saved(leave, cleaned, git, repository) -> None:  # type: ignore[no-untyped-def]
    """What cannot be put away fails with the reason and stays; the rest is put away nonetheless."""
    bad = leave("run/bad", "git checkout -q -b aside; git checkout -q --orphan other; echo x > x.txt")
    leave("run/good", "echo y > y.txt")
    done = await cleaned()
    assert done["worktree", "run/bad"][0] == "failed"
    assert done["worktree", "run/good"][0] == "removed"
    assert (bad / "x.txt").exists()


async def test_other_repositories(leave, cleaned, branches, tmp_path, home, repository) -> None:  # type: ignore[no-untyped-def]
    """Worktrees of a repository elsewhere are put away from anywhere; branches that hold nothing go with them."""
    leave()
    done = [each async for each in clean(home, tmp_path, Wishes())]
    assert [(each.leftover.kind, each.what) for each in done] == [("worktree", "removed"), ("branch", "removed")]
    assert branches() == ["main"]


async def test_a_branch_that_is_checked_out(leave, cleaned, git, repository) -> None:  # type: ignore[no-untyped-def]
    """A task's branch that the user has checked out stays, told or not."""
    leave(deed="echo new > new.txt")
    await cleaned()
    git("checkout", "-q", "orchestrator/run/task", cwd=repository)
    assert (await cleaned(unmerged=True))["branch", "run/task"] == ("kept", f"it is checked out in {repository}")


async def test_only_what_was_asked_for(leave, cleaned, home) -> None:  # type: ignore[no-untyped-def]
    """`runs` and `older` choose; what is not chosen is as it was."""
    one, two = leave("one/task"), leave("two/task")
    assert set(await cleaned(runs=["one"])) == {("worktree", "one/task"), ("branch", "one/task")}
    assert (await cleaned(older=3600.0))["worktree", "two/task"] == ("kept", "it was changed since")
    assert (one.exists(), two.exists()) == (False, True)
    for path in (two, *two.rglob("*"), *(home.parent / "repository" / ".git" / "worktrees").glob("task*/*")):
        os.utime(path, (1e9, 1e9), follow_symlinks=False)
    assert (await cleaned(older=3600.0))["worktree", "two/task"][0] == "removed"


async def test_a_dry_run_changes_nothing(leave, cleaned, home, repository, git) -> None:  # type: ignore[no-untyped-def]
    """What is said beforehand is what comes true, and nothing has changed by then."""
    leave("run/full", "echo new > new.txt")
    leave("run/none")
    (home / "run" / "empty").mkdir()
    before = (sorted(home.rglob("*")), git("for-each-ref", cwd=repository))
    told = [(key, what) for key, (what, _) in (await cleaned(dry_run=True)).items()]
    assert (sorted(home.rglob("*")), git("for-each-ref", cwd=repository)) == before
    done = await cleaned()
    assert set(told) <= {(key, what) for key, (what, _) in done.items()}


async def test_ignored_files_keep_a_worktree(leave, cleaned, home, repository) -> None:  # type: ignore[no-untyped-def]
    """A worktree with files that git ignores is listed with them and stays as it is, with the reason, until told."""
    path = leave(deed="echo 12345 > a.log; mkdir logs; echo 12345 > logs/b.log; echo new > new.txt")
    (worktree,) = await found(home, repository)
    assert worktree.to_json().items() >= {"ignored": 2, "ignored_size": 12, "uncommitted": 1}.items()
    why = "2 files (12 bytes) that git ignores would be lost"
    assert await cleaned() == {("worktree", "run/task"): ("kept", why)}
    assert ((path / "a.log").read_text(), (path / "logs" / "b.log").exists()) == ("12345\n", True)
    foretold = (await cleaned(dry_run=True, ignored=True))["worktree", "run/task"]
    assert foretold[1].endswith("; 2 files (12 bytes) that git ignores dropped")
    what, why = (await cleaned(ignored=True))["worktree", "run/task"]
    assert (what, why.endswith("; 2 files (12 bytes) that git ignores dropped")) == ("removed", True)
    assert list(home.iterdir()) == []


async def test_caches_keep_no_worktree(leave, cleaned, home, repository) -> None:  # type: ignore[no-untyped-def]
    """What tools make again is no reason to keep a worktree, wherever in it that is."""
    caches = ("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", "node_modules", ".venv")
    leave(deed="; ".join(f"mkdir -p docs/{name}/in; echo x > docs/{name}/in/a.log" for name in caches))
    assert [place.ignored.files for place in await found(home, repository)] == [0]
    assert (await cleaned())["worktree", "run/task"] == ("removed", "")


async def test_an_ignored_repository_keeps_a_worktree(leave, cleaned) -> None:  # type: ignore[no-untyped-def]
    """A repository inside that git ignores counts with all its files; a worktree without its link is no exception."""
    path = leave(deed="git init -q inner.log; echo x > inner.log/x.txt; rm .git")
    what, why = (await cleaned())["worktree", "run/task"]
    assert (what, "that git ignores would be lost" in why) == ("kept", True)
    assert (path / "inner.log" / "x.txt").exists()


async def test_files_that_come_after_the_look(leave, home, repository) -> None:  # type: ignore[no-untyped-def]
    """A file that git ignores, made after the worktree was looked at, is not lost."""
    path = leave()
    (worktree,) = await found(home, repository)
    (path / "late.log").touch()
    done = await clean_one(worktree, Wishes())
    assert (done.what, "has got files that git ignores" in done.why) == ("failed", True)
    assert (path / "late.log").exists()


async def test_two_at_once(leave, home, repository, branches, git) -> None:  # type: ignore[no-untyped-def]
    """Two cleanings at the same time do each thing once, fail at nothing and lose nothing."""
    for number in range(4):
        leave(f"run/{number}", "echo new > new.txt" if number % 2 else "true")
    done: list[list[Cleaned]] = []

    async def one() -> None:
        done.append([each async for each in clean(home, repository, Wishes())])

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        group.start_soon(one)
    assert [each for one_s in done for each in one_s if each.what == "failed"] == []
    assert branches() == ["main", "orchestrator/run/1", "orchestrator/run/3"]
    assert git("show", "orchestrator/run/3:new.txt", cwd=repository) == "new"
    assert list(home.iterdir()) == []


async def test_what_is_known(leave, home, repository) -> None:  # type: ignore[no-untyped-def]
    """A leftover tells its repository and branch, what is uncommitted and unmerged, its age and its size."""
    path = leave(deed="echo 1 > 1.txt; git add -A; git commit -qm one; echo new > new.txt; echo 2 > 1.txt")
    (worktree,) = await found(home, repository)
    assert (worktree.kind, worktree.path, worktree.repository) == ("worktree", path, repository / ".git")
    assert (worktree.branch, worktree.uncommitted, worktree.unmerged) == ("orchestrator/run/task", 2, 1)
    assert 0 <= worktree.age < 60
    assert worktree.size > 20
    assert worktree.to_json()["repository"] == str(repository)


def test_looking_at_a_lock_makes_none(tmp_path: Path) -> None:
    """Finding out whether somebody is at work neither makes a lock file nor keeps one."""
    before = list(tmp_path.iterdir())
    assert not is_claimed(tmp_path / "place")
    assert list(tmp_path.iterdir()) == before
    with claim(tmp_path / "place"):
        assert is_claimed(tmp_path / "place")
    with claim(tmp_path / "place"):
        pass
