"""The seam: what a workspace is, and what makes one."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class WorkspaceError(Exception):
    """A workspace could not be made, or not be put away. The message says which, why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceSpec:
    """What kind of workspace a task asks for: plain data, the same on every machine."""

    kind: str = "here"
    """`here`, `directory`, `worktree`, or the name of a provider of your own."""
    path: str | None = None
    """here: the existing directory to work in. directory: the one to make. worktree: a directory inside the repository.
    None: the current directory (here, worktree), or one of the task's own under the workspaces' home (directory)."""
    base: str | None = None
    """worktree: the commit or branch that the task's branch starts from. None: the repository's HEAD."""


@dataclass(slots=True, kw_only=True)
class Workspace:
    """A directory that one task works in. `changed` and `commit` are filled in when the provider closes it."""

    path: Path
    """Absolute."""
    branch: str | None = None
    """worktree: the branch that keeps the task's commits."""
    base: str | None = None
    """worktree: the full id of the commit that the branch started from."""
    commit: str | None = None
    """worktree: the full id of the branch's last commit, when the task made any."""
    changed: tuple[str, ...] = field(default=())
    """Files that were added, changed or deleted, relative to `path`, sorted; known for `directory` and `worktree`."""


class WorkspaceProvider(Protocol):
    """Makes workspaces of one kind. `check_provider` in `workspaces.testing` is its contract."""

    def open(self, spec: WorkspaceSpec, name: str) -> AbstractAsyncContextManager[Workspace]:
        """A workspace for the task `name` (`<run>/<task>`), put away on leaving the block, however it is left.

        Raises WorkspaceError when it cannot be made, and then leaves nothing half-made; or when it cannot be put away,
        and then says where the task's work is: leaving never loses any, but for files that git ignores (worktree).
        """
        ...
