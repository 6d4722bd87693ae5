"""Takes away what ended processes left, and loses no work that it was not told to lose."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import anyio.to_thread

from workspaces.git import change, find_branch, git
from workspaces.ignored import Ignored, find_ignored
from workspaces.leftovers import Leftover, find_branches, find_places, find_repositories
from workspaces.locks import InUseError, claim, lock_repository
from workspaces.protocol import WorkspaceError
from workspaces.saving import Tree, save
from workspaces.shield import finish
from workspaces.worktrees import delete_protected, remove

Hold = Callable[[str], AbstractContextManager[bool]]
"""Keeps a run from being gone on with, as long as the block lasts; gives whether that came true."""
GOING_ON = "its run is going on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What may be taken away besides what is safe to."""

    runs: Collection[str] = ()
    """The runs whose leftovers may go; none: all."""
    older: float = 0.0
    """Seconds since it was changed last."""
    unmerged: bool = False
    """Branches too whose commits are nowhere else."""
    directories: bool = False
    """Directories too that are no worktrees."""
    ignored: bool = False
    """Worktrees too with files that git ignores: no branch keeps those."""
    dry_run: bool = False
    """Nothing at all: only say what would be done."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What became of a leftover."""

    leftover: Leftover
    what: str
    """`removed`, `kept` or `failed`."""
    why: str


async def clean(
    home: Path, where: Path, wishes: Wishes, live: Collection[str] = (), hold: Hold = lambda run: nullcontext(True)
) -> AsyncIterator[Cleaned]:
    """Takes away what is below the home and the tasks' branches of the repositories there and at `where`.

    Worktrees go first: what is uncommitted in them is committed to their branches; one with files that git ignores
    stays, unless `wishes` say otherwise. `live`: runs that are going on; what is theirs is left alone.
    """
    home = home.absolute().resolve()
    places = [place for place in await find_places(home, where, live) if is_wanted(place, wishes)]
    repositories = await find_repositories([place.path for place in places if place.path], where)
    for run, leftovers in groupby(places, lambda leftover: leftover.run):
        async for cleaned in _clean_run(run, leftovers, wishes, hold):
            yield cleaned
    if not wishes.dry_run:
        remove_empty(home, wishes, live, hold)
    branches = [branch for branch in await find_branches(repositories, home, live) if is_wanted(branch, wishes)]
    for run, leftovers in groupby(branches, lambda leftover: leftover.run):
        async for cleaned in _clean_run(run, leftovers, wishes, hold):
            yield cleaned


def is_wanted(leftover: Leftover, wishes: Wishes) -> bool:
    """Whether it is of a run that was named, if any was."""
    return not wishes.runs or leftover.run in wishes.runs


async def _clean_run(run: str, leftovers: Iterable[Leftover], wishes: Wishes, hold: Hold) -> AsyncIterator[Cleaned]:
    with nullcontext(True) if wishes.dry_run else hold(run) as ours:
        for leftover in leftovers:
            yield await clean_one(leftover, wishes) if ours else Cleaned(leftover, "kept", GOING_ON)


async def clean_one(leftover: Leftover, wishes: Wishes) -> Cleaned:
    """What became of it; nothing is raised."""
    if reason := reason_to_keep(leftover, wishes):
        return Cleaned(leftover, "kept", reason)
    if wishes.dry_run:
        return Cleaned(leftover, "removed", foretold(leftover))
    try:
        return Cleaned(leftover, "removed", await finish(lambda: _WAYS[leftover.kind](leftover)))
    except InUseError:
        return Cleaned(leftover, "kept", "somebody is at work there")
    except (WorkspaceError, OSError) as error:
        return Cleaned(leftover, "failed", str(error))


def reason_to_keep(leftover: Leftover, wishes: Wishes) -> str | None:
    """Why it is to stay; None when it is to go."""
    kind = leftover.kind
    reasons = {
        "somebody is at work there": leftover.at_work,
        "it was changed since": leftover.age < wishes.older,
        "it was not made by the orchestrator": kind == "other",
        leftover.fault or "a plain directory: nothing else has what is in it": (
            kind == "directory" and not wishes.directories
        ),
        f"{_files(leftover.ignored)} that git ignores would be lost": leftover.ignored.files and not wishes.ignored,
        f"it is checked out in {leftover.checked_out}": leftover.checked_out,
        f"{_commits(leftover.unmerged)} nowhere else": (kind == "branch" and leftover.unmerged and not wishes.unmerged),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def foretold(leftover: Leftover) -> str:
    """What would be done."""
    if leftover.kind == "worktree":
        left = f"what is uncommitted in it goes to {leftover.branch}" if leftover.uncommitted else ""
        left = left if left or leftover.unmerged else "its branch holds nothing, and goes too"
        return _with_lost(left, leftover.ignored)
    return _way_back(leftover) if leftover.kind == "branch" and leftover.unmerged else ""


async def put_away(leftover: Leftover) -> str:
    """Commits what is uncommitted in a worktree to its branch, and removes the worktree."""
    path, admin, common, branch = _worktree(leftover)
    with claim(path):
        async with lock_repository(common):
            if not admin.is_dir():
                return "it was gone already"
            if (await find_ignored(path, admin)).files > leftover.ignored.files:
                raise WorkspaceError(f"{path} has got files that git ignores meanwhile. Look at it, and clean again.")
            before = await find_branch(common, branch)
            head = (await git("rev-parse", "HEAD", cwd=admin, git_dir=admin)).strip()
            tree = Tree(task=leftover.name, common=common, path=path, branch=branch, base=head, admin=admin)
            await save(tree)
            await remove(tree, admin)
            after = await find_branch(common, branch)
    work = f"its work is on {branch}, commit {after[:12]}" if after and after != before else ""
    return _with_lost(work, leftover.ignored)


async def undo(leftover: Leftover) -> str:
    """Removes a worktree that git had only begun to make."""
    path, admin, common, _ = _worktree(leftover)
    with claim(path):
        async with lock_repository(common):
            if admin.is_dir():
                await change("worktree", "remove", "--force", "--force", str(path), cwd=common, git_dir=common)
    return ""


async def delete_directory(leftover: Leftover) -> str:
    """Deletes a directory with all that is in it."""
    assert leftover.path is not None
    with claim(leftover.path):
        await anyio.to_thread.run_sync(delete_protected, leftover.path)
    return ""


async def delete_empty(leftover: Leftover) -> str:
    """Deletes a directory that has nothing in it."""
    assert leftover.path is not None
    with claim(leftover.path):
        leftover.path.rmdir()
    return ""


async def delete_lock(leftover: Leftover) -> str:
    """Deletes the lock of a process that has ended, by taking it and giving it back."""
    assert leftover.path is not None
    with claim(leftover.path.with_suffix("")):
        return ""


async def delete_branch(leftover: Leftover) -> str:
    """Deletes a branch, unless it has been moved since it was looked at."""
    assert leftover.repository is not None
    assert leftover.branch is not None
    common = leftover.repository
    async with lock_repository(common):
        tip = await find_branch(common, leftover.branch)
        if tip is None:
            return "it was gone already"
        if tip != leftover.tip:
            raise WorkspaceError(f"{leftover.branch} has got commits meanwhile. Look at it, and clean again.")
        await change("branch", "-D", leftover.branch, cwd=common, git_dir=common)
    return _way_back(leftover) if leftover.unmerged else ""


_WAYS = {
    "worktree": put_away,
    "half-made": undo,
    "directory": delete_directory,
    "empty": delete_empty,
    "lock": delete_lock,
    "branch": delete_branch,
}


def remove_empty(home: Path, wishes: Wishes, live: Collection[str], hold: Hold) -> None:
    """Removes the folders of runs that hold nothing any more."""
    for folder in home.iterdir() if home.is_dir() else ():
        if folder.name not in live and (not wishes.runs or folder.name in wishes.runs):
            with hold(folder.name) as ours, suppress(OSError):
                if ours:
                    folder.rmdir()


def _worktree(leftover: Leftover) -> tuple[Path, Path, Path, str]:
    assert leftover.path is not None
    assert leftover.admin is not None
    assert leftover.repository is not None
    assert leftover.branch is not None
    return leftover.path, leftover.admin, leftover.repository, leftover.branch


def _way_back(leftover: Leftover) -> str:
    """How the commits of a deleted branch are found again."""
    back = f"`git branch {leftover.branch} {leftover.tip}` brings it back"
    return f"{_commits(leftover.unmerged)} nowhere else: {back}"


def _with_lost(words: str, ignored: Ignored) -> str:
    """Says, too, what no branch keeps."""
    lost = f"{_files(ignored)} that git ignores dropped" if ignored.files else ""
    return "; ".join(each for each in (words, lost) if each)


def _files(ignored: Ignored) -> str:
    return f"{ignored.files} file{'s' * (ignored.files != 1)} ({ignored.size} bytes)"


def _commits(number: int) -> str:
    return "1 commit" if number == 1 else f"{number} commits"
