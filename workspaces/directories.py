"""Kind `directory`: a plain directory, made when it is not there, kept afterwards."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from pathlib import Path

import anyio.to_thread

from workspaces.locks import claim
from workspaces.names import find_place, make_safe, spell
from workspaces.protocol import Workspace, WorkspaceError, WorkspaceSpec
from workspaces.shield import finish

MOST_FILES = 20_000
"""A directory with more files is not compared: its `changed` stays empty."""

Listing = dict[str, tuple[int, int]]
"""A file's path, relative to the directory: its size and mtime, bytes and ns."""


class Directories:
    """Works in `<home>/<name>`, or in the directory that the spec names; what is there already is gone on with.

    One below the home is its task's alone, and claimed. One that a spec names is the user's, and tasks may share it.
    """

    def __init__(self, home: Path) -> None:
        self.home = home

    @asynccontextmanager
    async def open(self, spec: WorkspaceSpec, name: str) -> AsyncIterator[Workspace]:
        path = find_place(spec.path) if spec.path else self.home.absolute() / make_safe(name)
        with nullcontext() if spec.path else claim_own(path):
            made = make_directory(path, name)
            try:
                before = await anyio.to_thread.run_sync(list_files, path)
            except BaseException:
                remove_empty(made)
                raise
            workspace = Workspace(path=path)
            try:
                yield workspace
            finally:
                await finish(lambda: fill_in(workspace, before))


@contextmanager
def claim_own(path: Path) -> Iterator[None]:
    """Claim the directory, made or not; folders made for the lock go with it when they hold nothing else.

    Raises InUseError when somebody else has it.
    """
    missing = [folder for folder in reversed(path.parents) if not folder.exists()]
    try:
        with claim(path):
            yield
    finally:
        remove_empty(missing)


async def fill_in(workspace: Workspace, before: Listing | None) -> None:
    """Write what changed since the listing `before` into `changed`."""
    workspace.changed = compare(before, await anyio.to_thread.run_sync(list_files, workspace.path))


def make_directory(path: Path, name: str) -> list[Path]:
    """The directories that had to be made for `path`, outermost first. Raises WorkspaceError, and then leaves none."""
    made: list[Path] = []
    try:
        for missing in reversed([part for part in (path, *path.parents) if not part.exists()]):
            missing.mkdir(exist_ok=True)
            made.append(missing)
        next(path.iterdir(), None)  # fails now when it is a file or may not be read
    except OSError as error:
        remove_empty(made)
        reason = f"{error.strerror}: {error.filename}"
        raise WorkspaceError(f"The directory {path} for task {name!r} cannot be made or read ({reason}).") from error
    return made


def remove_empty(made: list[Path]) -> None:
    """Take back directories that were made, outermost first, unless somebody has put something there meanwhile."""
    for directory in reversed(made):
        with suppress(OSError):
            directory.rmdir()


def list_files(directory: Path) -> Listing | None:
    """The files below `directory`, without `.git`; None when there are more than `MOST_FILES`."""
    listing: Listing = {}
    for file in _walk(directory):
        with suppress(FileNotFoundError):  # gone since it was listed
            status = os.lstat(file)
            listing[os.path.relpath(file, directory)] = (status.st_size, status.st_mtime_ns)
        if len(listing) > MOST_FILES:
            return None
    return listing


def _walk(directory: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(directory):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        folders[:] = [name for name in folders if name != ".git"]
        yield from (os.path.join(folder, name) for name in (*files, *links) if name != ".git")  # noqa: PTH118  # 20,000 times


def compare(before: Listing | None, after: Listing | None) -> tuple[str, ...]:
    """The files that were added, changed or deleted between two listings, sorted; none when one is not known."""
    if before is None or after is None:
        return ()
    return tuple(sorted(spell(file) for file in before.keys() | after.keys() if before.get(file) != after.get(file)))
