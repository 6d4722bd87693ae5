"""Files of a worktree that git ignores: no branch can keep them."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import anyio.to_thread

from workspaces.git import git

CACHES = {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", "node_modules", ".venv"}
"""What tools make again when it is gone."""


class Ignored(NamedTuple):
    """How much git ignores, without what is in caches."""

    files: int = 0
    size: int = 0
    """Bytes."""


NOTHING = Ignored()


async def find_ignored(path: Path, admin: Path) -> Ignored:
    """What git ignores in the worktree at `path` with the git directory `admin`. Raises WorkspaceError."""
    if not path.exists():
        return NOTHING
    there = None if (path / ".git").exists() else admin
    args = ("ls-files", "--others", "--ignored", "--exclude-standard", "-z")
    listed = await git(*args, cwd=path, git_dir=there)
    return await anyio.to_thread.run_sync(_measure, path, listed.split("\0")[:-1])


def _measure(top: Path, names: Iterable[str]) -> Ignored:
    files, size = 0, 0
    for file in (file for name in names if CACHES.isdisjoint(name.split("/")) for file in _list(top / name)):
        files += 1
        with suppress(OSError):  # gone since it was listed
            size += file.lstat().st_size
    return Ignored(files, size)


def _list(path: Path) -> Iterator[Path]:
    """The files below a directory: git lists them one by one but for a repository of its own."""
    if path.is_symlink() or not path.is_dir():
        yield path
        return
    for folder, _, files in os.walk(path):
        yield from (Path(folder, file) for file in files)
