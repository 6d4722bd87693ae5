"""Commits what a task left in a worktree onto the task's branch, whatever state the agent left it in."""

from dataclasses import dataclass
from pathlib import Path

from workspaces.git import ask, change, find_branch, find_identity, git
from workspaces.protocol import WorkspaceError

GITLINK = "160000"
"""The mode of a repository inside a repository: git would keep its commit's id and none of its files."""


@dataclass(slots=True, kw_only=True)
class Tree:
    """A worktree, and what must be known to put it away."""

    task: str
    common: Path
    """The git directory that all worktrees of the repository share."""
    path: Path
    branch: str
    base: str
    admin: Path | None = None
    """The worktree's own git directory; None while it is not made."""
    new_branch: bool = False
    """The branch was made by us, so an empty one is ours to delete."""


def find_admin(tree: Tree) -> Path:
    """The git directory that the worktree's `.git` file names.

    Raises WorkspaceError when that is no worktree of the repository.
    """
    link = tree.path / ".git"
    text = link.read_text(errors="replace") if link.is_file() else ""
    admin = Path(text.removeprefix("gitdir: ").strip())
    if admin.parent != tree.common / "worktrees" or not admin.is_dir():
        raise WorkspaceError(f"{tree.path} is not a worktree of {tree.common}. Move it away and try again.")
    return admin


async def save(tree: Tree) -> None:
    """Leave the worktree clean and everything in it that git does not ignore on the task's branch.

    Raises WorkspaceError when that cannot be done; then nothing was removed.
    """
    admin = await _restore_link(tree)
    # A killed agent's git leaves its locks. They are this worktree's own, and its agent has ended.
    for lock in admin.glob("*.lock"):
        lock.unlink(missing_ok=True)
    if conflicts := await git("ls-files", "--unmerged", "-z", cwd=tree.path):
        raise WorkspaceError(f"A merge was left unfinished ({conflicts.count(chr(0))} entries). Finish it and commit.")
    await _attach(tree)
    if await _is_dirty(tree):
        await _commit(tree)


async def _restore_link(tree: Tree) -> Path:
    # Without its `.git`, git would look upwards and work on whatever repository the directory happens to be in.
    link = tree.path / ".git"
    if tree.admin is None or not tree.admin.is_dir():
        return find_admin(tree)
    if not tree.path.exists():
        # Removing all, down to the directory itself, is an agent tidying up and no edit: what it had committed counts.
        tree.path.mkdir(parents=True)
        link.write_text(f"gitdir: {tree.admin}\n")
        await change("reset", "--hard", "--quiet", cwd=tree.path)
    elif not link.exists():
        link.write_text(f"gitdir: {tree.admin}\n")
    return find_admin(tree)


async def _attach(tree: Tree) -> None:
    """Be on the task's branch again, with all commits made meanwhile, without touching a file."""
    ours = f"refs/heads/{tree.branch}"
    current = await ask("symbolic-ref", "--quiet", "HEAD", cwd=tree.path)
    tip = await find_branch(tree.common, tree.branch)
    if current == ours and tip is not None:
        return
    head = (await git("rev-parse", "--verify", "HEAD", cwd=tree.path)).strip()
    if await _is_ancestor(tree, tip or tree.base, head):
        await change("update-ref", ours, head, tip or "", cwd=tree.path)
        await change("symbolic-ref", "HEAD", ours, cwd=tree.path)
        return
    reachable = current is not None or await _is_ancestor(tree, head, tip or tree.base)
    if await _is_dirty(tree) or not reachable:
        where = (current or f"commit {head[:12]}").removeprefix("refs/heads/")
        raise WorkspaceError(
            f"It was left on {where}, which does not go on from {tree.branch}. Commit and merge it there."
        )


async def _commit(tree: Tree) -> None:
    await change("add", "--all", cwd=tree.path)
    staged = await git("diff", "--cached", "--raw", "-z", "--no-renames", cwd=tree.path)
    entries = staged.split("\0")[:-1]
    for entry, file in zip(entries[::2], entries[1::2], strict=True):
        if entry.split()[1] == GITLINK:
            raise WorkspaceError(f"{file!r} is a repository of its own. Move it out, or push its commits somewhere.")
    message = f"Work of task {tree.task}\n\nCommitted by the orchestrator when the task's workspace was put away."
    identity = await find_identity(tree.path)
    await change(
        "commit", "--quiet", "--no-verify", "--cleanup=verbatim", "-m", message, cwd=tree.path, settings=identity
    )
    if await _is_dirty(tree):
        raise WorkspaceError("Some files could not be committed. See `git status` there.")


async def _is_dirty(tree: Tree) -> bool:
    return bool(await git("status", "--porcelain", "-z", "--untracked-files=normal", cwd=tree.path))


async def _is_ancestor(tree: Tree, old: str, new: str) -> bool:
    return await ask("merge-base", "--is-ancestor", old, new, cwd=tree.common, git_dir=tree.common) is not None
