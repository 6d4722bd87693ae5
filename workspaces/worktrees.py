"""Kind `worktree`: a git worktree on a branch of the task's own, removed afterwards; the branch keeps the work."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio.to_thread

from workspaces.git import (
    ask,
    change,
    find_branch,
    find_commit,
    find_repository,
    is_half_made,
    list_changes,
    list_worktrees,
    read_link,
)
from workspaces.locks import claim, lock_repository
from workspaces.names import find_place, make_safe, spell
from workspaces.protocol import Workspace, WorkspaceError, WorkspaceSpec
from workspaces.saving import Tree, find_admin, save
from workspaces.shield import finish

PREFIX = "orchestrator/"
"""What the branches of tasks begin with."""


class Worktrees:
    """Works on the branch `orchestrator/<run>/<task>` in `<home>/<run>/<task>`; an existing branch is gone on with."""

    def __init__(self, home: Path) -> None:
        self.home = home

    @asynccontextmanager
    async def open(self, spec: WorkspaceSpec, name: str) -> AsyncIterator[Workspace]:
        where = find_place(spec.path)
        repository = await find_repository(where)
        base = await find_commit(where, spec.base)
        safe = make_safe(name)
        # git registers real paths; one behind a link would not be found again.
        path = self.home.absolute().resolve() / safe
        tree = Tree(task=name, common=repository.common, path=path, branch=PREFIX + safe, base=base)
        workspace = Workspace(path=path / repository.prefix, branch=tree.branch)
        with claim(path):
            try:
                async with lock_repository(tree.common):
                    await finish(lambda: make(tree))
                workspace.base = tree.base
                make_subdirectory(workspace.path)
                yield workspace
            finally:
                if tree.admin is not None:
                    await finish(lambda: put_away(tree, workspace))


def make_subdirectory(path: Path) -> None:
    """Make the asked-for directory inside a worktree: git keeps no empty ones. Raises WorkspaceError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(f"{path} is no directory in the commit that the task starts from.") from error


async def base_commit(spec: WorkspaceSpec) -> str:
    """The full id of the commit that a new worktree for `spec` would start from. Raises WorkspaceError."""
    return await find_commit(find_place(spec.path), spec.base)


async def make(tree: Tree) -> None:
    """Add the worktree; `tree.admin` is set when it is there. Needs the repository's lock.

    Raises WorkspaceError, and then leaves nothing.
    """
    tree.new_branch = await clear(tree)
    tip = await find_branch(tree.common, tree.branch)
    try:
        if tip is None:
            tree.new_branch = True
            await _worktree("add", "-b", tree.branch, str(tree.path), tree.base, tree=tree)
        else:
            await _worktree("add", str(tree.path), tree.branch, tree=tree)
            fork = await ask("merge-base", tree.base, tip, cwd=tree.common, git_dir=tree.common)
            tree.base = fork or tree.base
        admin = find_admin(tree)
    except BaseException:
        await finish(lambda: undo(tree))
        raise
    tree.admin = admin


async def undo(tree: Tree) -> None:
    """Remove a worktree that nobody has worked in, and its branch if that is new. Needs the repository's lock."""
    with suppress(WorkspaceError):  # git has undone it already
        await _worktree("remove", "--force", "--force", str(tree.path), tree=tree)
    if tree.new_branch:
        await delete_branch(tree)


async def clear(tree: Tree) -> bool:
    """Put away what a process that is no more left at the worktree's place. Needs the repository's lock.

    Gives whether there was a worktree: then its branch is no more than what an attempt of the same task has made.
    Raises WorkspaceError when something is in the way that may be somebody's work.
    """
    found = False
    for path, branch in (await list_worktrees(tree.common)).items():
        if path != tree.path and branch != tree.branch:
            continue
        admin = read_link(path)
        if not path.exists() or (admin and is_half_made(admin)):
            await _worktree("remove", "--force", "--force", str(path), tree=tree)
            found = found or path == tree.path
        elif path != tree.path:
            raise WorkspaceError(f"The branch {tree.branch} is checked out in {path}. Switch to another one there.")
    if not tree.path.exists():
        return found
    if not tree.path.is_dir():
        raise WorkspaceError(f"{tree.path} is in the way of a worktree and is no directory. Move it away.")
    if not any(tree.path.iterdir()):
        tree.path.rmdir()
        return found
    try:
        await save(tree)
        await remove(tree, find_admin(tree))
    except WorkspaceError as error:
        raise WorkspaceError(f"What an earlier attempt left in {tree.path} could not be put away. {error}") from error
    return True


async def put_away(tree: Tree, workspace: Workspace) -> None:
    """Commit what is uncommitted, fill in the workspace, remove the worktree, and its branch when it kept nothing.

    Raises WorkspaceError when something cannot be saved; it says where the directory is, which then stays.
    """
    try:
        if tree.path.exists() or (tree.admin and tree.admin.exists()):
            await save(tree)
        await fill_in(tree, workspace)
        async with lock_repository(tree.common):
            if tree.admin and tree.admin.exists():
                await remove(tree, tree.admin)
            if workspace.commit is None and tree.new_branch:
                await delete_branch(tree)
                workspace.branch = None
    except WorkspaceError as error:
        kept = f"The work of task {tree.task!r} is kept in {tree.path} (branch {tree.branch})"
        raise WorkspaceError(f"{kept}: its workspace could not be put away. {error}") from error


async def fill_in(tree: Tree, workspace: Workspace) -> None:
    """Write what the task's branch holds into `commit` and `changed`."""
    tip = await find_branch(tree.common, tree.branch)
    if tip is None or tip == tree.base:
        return
    files = await list_changes(tree.common, tree.base, tip)
    workspace.commit = tip
    workspace.changed = tuple(sorted(spell(os.path.relpath(tree.path / file, workspace.path)) for file in files))


async def remove(tree: Tree, admin: Path) -> None:
    """Remove a saved worktree: git refuses one that is not clean. Needs the repository's lock."""
    try:
        await _worktree("remove", str(tree.path), tree=tree)
    except WorkspaceError:
        if admin.exists():
            raise
        # git found it clean and had begun: what is left are ignored files in write-protected directories.
        await anyio.to_thread.run_sync(delete_protected, tree.path)


def delete_protected(directory: Path) -> None:
    """Delete a directory, and everything in it that may not be written to. Raises WorkspaceError."""
    try:
        for folder, _, _ in os.walk(directory):
            Path(folder).chmod(0o700)
        shutil.rmtree(directory)
    except OSError as error:
        raise WorkspaceError(f"{error.filename} cannot be deleted: {error.strerror}. Delete it yourself.") from error


async def delete_branch(tree: Tree) -> None:
    """Delete the task's branch, if it is where it started and nobody else has it checked out."""
    with suppress(WorkspaceError):  # somebody uses it: then it is no longer ours to delete
        if await find_branch(tree.common, tree.branch) == tree.base:
            await change("branch", "-D", tree.branch, cwd=tree.common, git_dir=tree.common)


async def _worktree(*args: str, tree: Tree) -> str:
    return await change("worktree", *args, cwd=tree.common, git_dir=tree.common)
