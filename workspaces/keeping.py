"""Whether what a task left is still there."""

from pathlib import Path

from workspaces.git import find_repository, git
from workspaces.names import find_place
from workspaces.protocol import WorkspaceError


async def is_kept(kind: str, path: str, origin: str | None, commit: str | None) -> bool:
    """Whether what a task left in its workspace is still there to go on from; nothing is raised.

    `path`: the workspace's. `origin`: the directory that its repository holds, the current one when it is None.
    `commit`: the full id of what a worktree's branch kept, None when it kept nothing. Of other kinds than `worktree`
    and `directory` nothing is known, and they count as kept.
    """
    try:
        if kind == "worktree" and commit:
            return await _is_reachable(find_place(origin), commit)
        return kind != "directory" or Path(path).is_dir()
    except (WorkspaceError, OSError):
        return False


async def _is_reachable(where: Path, commit: str) -> bool:
    """Whether a ref leads to the commit: one that none leads to is git's to delete. Raises WorkspaceError."""
    common = (await find_repository(where)).common
    return bool(await git("for-each-ref", "--count=1", f"--contains={commit}", cwd=common, git_dir=common))
