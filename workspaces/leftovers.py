"""What ended processes left: worktrees, directories, locks and branches. This looks; `cleaning` takes away."""

import os
import stat
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread

from workspaces.git import ask, find_branch, find_repository, git, is_half_made, list_worktrees, read_link
from workspaces.ignored import NOTHING, Ignored, find_ignored
from workspaces.locks import is_claimed
from workspaces.protocol import WorkspaceError
from workspaces.worktrees import PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something below the workspaces' home, or a branch of a task."""

    kind: str
    """`worktree`, `half-made` (git was killed while it added one), `directory`, `empty` (a directory with nothing in
    it), `lock` (without the directory that it was for), `branch` (without a worktree) or `other` (none of ours)."""
    name: str
    """`<run>/<task>`."""
    path: Path | None = None
    """None for a branch."""
    repository: Path | None = None
    """The git directory that all worktrees of its repository share."""
    admin: Path | None = None
    """A worktree's own git directory."""
    branch: str | None = None
    tip: str | None = None
    """The full id of the branch's last commit; None when there is no such branch."""
    checked_out: Path | None = None
    """Where a branch without a worktree below the home is checked out."""
    at_work: bool = False
    """Whether a process that lives has it."""
    uncommitted: int = 0
    """Files that are changed, or that git does not know."""
    ignored: Ignored = NOTHING
    """What git ignores in a worktree, but for caches."""
    unmerged: int = 0
    """Commits that no branch but the tasks' own has."""
    age: float = 0.0
    """Seconds since anything in it was changed; for a branch, since its last commit."""
    size: int = 0
    """Bytes."""
    fault: str | None = None
    """Why it could not be looked at."""

    @property
    def run(self) -> str:
        return self.name.partition("/")[0]

    def to_json(self) -> dict[str, Any]:
        """What there is to know of it, as plain data."""
        plain = ("kind", "run", "name", "branch", "tip", "at_work", "uncommitted", "unmerged", "age", "size", "fault")
        return {name: getattr(self, name) for name in plain} | {
            "ignored": self.ignored.files,
            "ignored_size": self.ignored.size,
            "path": self.path and str(self.path),
            "repository": self.repository and str(spoken(self.repository)),
        }


def spoken(repository: Path) -> Path:
    """The directory that people know a repository by."""
    return repository.parent if repository.name == ".git" else repository


async def find_places(home: Path, where: Path, live: Collection[str] = ()) -> list[Leftover]:
    """All that is below the home, and the worktrees that are registered there and gone, sorted by name.

    `where`: its repository is looked through for such, too. `live`: the runs that are going on; all of theirs is at
    work.
    """
    home = home.absolute().resolve()
    places = list(list_places(home))
    admins = registrations(await find_repositories(places, where), home)
    return [await examine(home, path, admins.get(path), live) for path in sorted({*places, *admins})]


async def find_branches(repositories: Iterable[Path], home: Path, live: Collection[str] = ()) -> list[Leftover]:
    """The tasks' branches in these repositories that have no worktree below the home, sorted by name."""
    home = home.absolute().resolve()
    return [branch for common in repositories for branch in await list_branches(common, home, live)]


async def find_repositories(places: Iterable[Path], where: Path) -> list[Path]:
    """The repositories that the places are worktrees of, and the one that holds `where`, if any does."""
    commons = {admin.parent.parent: None for path in places if (admin := read_link(path)) and admin.is_dir()}
    with suppress(WorkspaceError):
        commons[(await find_repository(where)).common] = None
    return list(commons)


def list_places(home: Path) -> Iterator[Path]:
    """What is in `<home>/<run>`; and what is in the home itself, but for the folders of runs."""
    for folder in _entries(home):
        if folder.is_dir() and not folder.is_symlink() and not (folder / ".git").exists():
            yield from (path for path in _entries(folder) if not _is_lock_of_another(path))
        elif not _is_lock_of_another(folder):
            yield folder


def _entries(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(folder.iterdir())
    return []


def _is_lock_of_another(path: Path) -> bool:
    return path.suffix == ".lock" and path.with_suffix("").exists()


def registrations(commons: Iterable[Path], home: Path) -> dict[Path, Path]:
    """The worktrees below the home that repositories know, each with its own git directory."""
    found = {}
    for admin in (admin for common in commons for admin in common.glob("worktrees/*")):
        with suppress(OSError):
            link = os.path.normpath(admin / (admin / "gitdir").read_text(errors="replace").strip())
            if (path := Path(link).parent).is_relative_to(home):
                found[path] = admin
    return found


async def examine(home: Path, path: Path, admin: Path | None, live: Collection[str]) -> Leftover:
    """What is to be known of one place."""
    name = str(path.relative_to(home))
    size, newest = await anyio.to_thread.run_sync(measure, path, admin)
    common: dict[str, Any] = {
        "name": name.removesuffix(".lock"),
        "path": path,
        "size": size,
        "age": max(0.0, time.time() - newest),
        "at_work": name.partition("/")[0] in live or is_claimed(path.with_suffix("") if _is_lock(path) else path),
    }
    if admin is None:
        return Leftover(kind=kind_of(path), fault=fault_of(path), **common)
    common |= {"repository": admin.parent.parent, "admin": admin, "branch": PREFIX + name}
    if is_half_made(admin):
        return Leftover(kind="half-made", **common)
    try:
        return Leftover(kind="worktree", **common, **await look_into(path, admin, PREFIX + name))
    except WorkspaceError as error:
        return Leftover(kind="worktree", fault=str(error), **common)


def kind_of(path: Path) -> str:
    """What a place that is no worktree is."""
    if path.is_dir() and not path.is_symlink():
        return "directory" if any(_entries(path)) else "empty"
    return "lock" if _is_lock(path) else "other"


def _is_lock(path: Path) -> bool:
    return path.suffix == ".lock" and path.is_file() and not path.is_symlink()


def fault_of(path: Path) -> str | None:
    """What is wrong with a place that was a worktree."""
    if (admin := read_link(path)) is None:
        return None
    return f"{admin.parent.parent}, the repository that it is a worktree of, knows it no more"


async def look_into(path: Path, admin: Path, branch: str) -> dict[str, Any]:
    """A worktree's last commit, and how much of it is nowhere else."""
    common = admin.parent.parent
    tip = await find_branch(common, branch)
    head = await ask("rev-parse", "--verify", "--quiet", "HEAD", cwd=admin, git_dir=admin)
    status = ""
    if path.exists():  # else an agent has tidied up, and that is no edit
        there = None if (path / ".git").exists() else admin
        status = await git("status", "--porcelain", "-z", "--untracked-files=normal", cwd=path, git_dir=there)
    unmerged = await count_unmerged(common, {commit for commit in (tip, head) if commit})
    ignored = await find_ignored(path, admin)
    return {"tip": tip, "uncommitted": status.count("\0"), "unmerged": unmerged, "ignored": ignored}


async def count_unmerged(common: Path, commits: Collection[str]) -> int:
    """How many commits behind these no branch but the tasks' own has.

    A HEAD on a branch holds what its branch holds. A detached one, in whichever worktree, holds nothing for long: the
    next checkout lets go of it.
    """
    if not commits:
        return 0
    others = (f"--exclude={PREFIX}*", "--branches")
    return int(await git("rev-list", "--count", *sorted(commits), "--not", *others, cwd=common, git_dir=common))


async def list_branches(common: Path, home: Path, live: Collection[str]) -> list[Leftover]:
    """The tasks' branches of one repository that have no worktree below the home."""
    form = "--format=%(refname:lstrip=2) %(objectname) %(committerdate:unix)"
    listed = await git("for-each-ref", form, f"refs/heads/{PREFIX}", cwd=common, git_dir=common)
    places = {branch: path for path, branch in (await list_worktrees(common)).items() if branch}
    rows = [line.rsplit(" ", 2) for line in listed.splitlines()]
    return [
        Leftover(
            kind="branch",
            name=branch.removeprefix(PREFIX),
            repository=common,
            branch=branch,
            tip=tip,
            checked_out=places.get(branch),
            at_work=branch.removeprefix(PREFIX).partition("/")[0] in live,
            unmerged=await count_unmerged(common, [tip]),
            age=max(0.0, time.time() - float(committed or 0)),
        )
        for branch, tip, committed in rows
        if branch not in places or not places[branch].is_relative_to(home)
    ]


def measure(path: Path, admin: Path | None) -> tuple[int, float]:
    """The bytes of all files below the path, and the Unix time of the newest change to any, or to git's notes of it."""
    size, newest = 0, 0.0
    for file in (path, *(Path(folder, name) for folder, folders, files in os.walk(path) for name in folders + files)):
        with suppress(OSError):
            status = file.lstat()
            newest = max(newest, status.st_mtime)
            size += 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    for file in (admin / "HEAD", admin / "index") if admin else ():
        with suppress(OSError):
            newest = max(newest, file.lstat().st_mtime)
    return size, newest
