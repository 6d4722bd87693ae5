"""The one module that speaks to git (2.31 or later)."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, CompletedProcess

import anyio

from workspaces.names import spell
from workspaces.protocol import WorkspaceError
from workspaces.shield import finish

LOCATIONS = {
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
}
"""Set when we are started by a git hook or alias: they would point every command at that repository."""

SETTINGS = {
    "core.hooksPath": os.devnull,  # a user's hook must not stop work from being put away
    "commit.gpgsign": "false",  # nobody is there to give a passphrase
    "core.fsmonitor": "false",  # would leave a daemon behind for each worktree
    "core.safecrlf": "false",  # would refuse a file for its line ends
    "gc.auto": "0",  # would start in the background, below directories about to be removed
    "maintenance.auto": "false",
}

FALLBACK = {"user.name": "claude-agent-orchestrator", "user.email": "noreply@localhost"}

ADVICE = {
    "not a git repository": "Name a directory inside a repository, or use kind `directory`.",
    "dubious ownership": "Take the directory over, or add it to git's `safe.directory`.",
    "No space left": "Free some space and try again.",
    ".lock': File exists": "Another git has it; if none runs any more, remove that file.",
    "cannot lock ref": "Rename the branch that is in the way.",
}


@dataclass(frozen=True, slots=True)
class Repository:
    """Where a repository is: all that its worktrees share, and the place in it that was asked for."""

    common: Path
    """The git directory that all worktrees share."""
    prefix: str
    """The asked-for directory, relative to the top of its worktree; empty when it is the top."""


async def git(*args: str, cwd: Path, git_dir: Path | None = None, settings: Mapping[str, str] | None = None) -> str:
    """What a git command that only reads prints, file names as `os.fsdecode` has them.

    Raises WorkspaceError with the command, what git says, and what to do.
    """
    done = await _run(args, cwd, git_dir, settings or {})
    if done.returncode:
        raise _explain(args, cwd, done)
    return os.fsdecode(done.stdout)


async def ask(*args: str, cwd: Path, git_dir: Path | None = None) -> str | None:
    """What git prints, without the end of the line; None when it answers no (exit status 1). Raises WorkspaceError."""
    done = await _run(args, cwd, git_dir, {})
    if done.returncode > 1:
        raise _explain(args, cwd, done)
    return None if done.returncode else os.fsdecode(done.stdout).removesuffix("\n")


async def change(*args: str, cwd: Path, git_dir: Path | None = None, settings: Mapping[str, str] | None = None) -> str:
    """As `git`, for a command that writes: a cancellation waits for its end, so that no lock and no half stays."""
    return await finish(lambda: git(*args, cwd=cwd, git_dir=git_dir, settings=settings))


async def find_repository(where: Path) -> Repository:
    """The repository that holds the directory `where`. Raises WorkspaceError when there is none."""
    common = await git("rev-parse", "--path-format=absolute", "--git-common-dir", cwd=where)
    prefix = await git("rev-parse", "--show-prefix", cwd=where)
    return Repository(Path(common.removesuffix("\n")).resolve(), prefix.removesuffix("\n").rstrip("/"))


async def find_commit(where: Path, base: str | None) -> str:
    """The full id of the commit that `base` (or HEAD) names in the repository that holds `where`.

    Raises WorkspaceError when there is none.
    """
    name = base or "HEAD"
    found = None
    if not name.startswith("-"):
        found = await _ask_quietly("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", cwd=where)
    if found:
        return found
    if base:
        raise WorkspaceError(f"The repository at {where} knows no commit {base!r}. Check `base`, or fetch it first.")
    raise WorkspaceError(f"The repository at {where} has no commit yet. Make one: git commit --allow-empty -m first")


async def find_branch(common: Path, branch: str) -> str | None:
    """The full id of a branch's last commit; None when there is no such branch."""
    return await ask("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", cwd=common, git_dir=common)


async def list_changes(common: Path, old: str, new: str) -> list[str]:
    """The files that differ between two commits, relative to the top of the repository."""
    args = ("diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", old, new, "--")
    return (await git(*args, cwd=common, git_dir=common)).split("\0")[:-1]


async def list_worktrees(common: Path) -> dict[Path, str | None]:
    """The directories that the repository's worktrees are registered at, each with its branch."""
    worktrees: dict[Path, str | None] = {}
    path: Path | None = None
    for line in (await git("worktree", "list", "--porcelain", cwd=common, git_dir=common)).split("\n"):
        word, _, value = line.partition(" ")
        if word == "worktree":
            path = Path(value)
            worktrees[path] = None
        elif word == "branch" and path is not None:
            worktrees[path] = value.removeprefix("refs/heads/")
    return worktrees


def read_link(path: Path) -> Path | None:
    """The git directory that a worktree's `.git` file names; None when the directory is no worktree."""
    with suppress(OSError):
        text = (path / ".git").read_text(errors="replace")
        admin = Path(os.path.normpath(path / text.removeprefix("gitdir: ").strip()))
        return admin if text.startswith("gitdir: ") and admin.parent.name == "worktrees" else None
    return None


def is_half_made(admin: Path) -> bool:
    """Whether git was killed while it added the worktree with this git directory: then nobody has worked in it."""
    with suppress(OSError):
        return (admin / "locked").read_text(errors="replace").startswith("initializing")
    return False


async def find_identity(cwd: Path) -> Mapping[str, str]:
    """The settings that let a commit be made here: none when the user has an identity, ours otherwise."""
    try:
        await git("var", "GIT_COMMITTER_IDENT", cwd=cwd, settings={"user.useConfigOnly": "true"})
        await git("var", "GIT_AUTHOR_IDENT", cwd=cwd, settings={"user.useConfigOnly": "true"})
    except WorkspaceError:
        return FALLBACK
    return {}


async def _ask_quietly(*args: str, cwd: Path) -> str | None:
    # A base such as `a..b` is no commit either, but git ends with 128 for it.
    try:
        return await ask(*args, cwd=cwd)
    except WorkspaceError:
        await git("rev-parse", "--git-dir", cwd=cwd)
        return None


async def _run(
    args: tuple[str, ...], cwd: Path, git_dir: Path | None, settings: Mapping[str, str]
) -> CompletedProcess[bytes]:
    if not cwd.is_dir():
        raise WorkspaceError(f"git {' '.join(args)} cannot run in {cwd}: there is no such directory.")
    options = [option for key, value in {**SETTINGS, **settings}.items() for option in ("-c", f"{key}={value}")]
    env = {name: value for name, value in os.environ.items() if name not in LOCATIONS}
    env |= {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    if git_dir is not None:
        env["GIT_DIR"] = str(git_dir)
    try:
        # A session of its own: ^C at the terminal goes to every process of ours, and must not stop git half way.
        return await anyio.run_process(
            ["git", *options, *args], cwd=cwd, env=env, check=False, stderr=PIPE, start_new_session=True
        )
    except FileNotFoundError as error:
        raise WorkspaceError("git was not found. Install it, or use kind `here` or `directory`.") from error


def _explain(args: tuple[str, ...], cwd: Path, done: CompletedProcess[bytes]) -> WorkspaceError:
    said = spell(os.fsdecode(done.stderr)).strip() or f"exit status {done.returncode}"
    advice = next((advice for sign, advice in ADVICE.items() if sign in said), "Run it there by hand to see more.")
    return WorkspaceError(f"git {spell(' '.join(args))} failed in {cwd}: {said}\n{advice}")
