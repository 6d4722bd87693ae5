"""Locks that hold between the tasks of one process and between processes, and end with their process."""

import fcntl
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio

from workspaces.protocol import WorkspaceError

NAME = "claude-agent-orchestrator.lock"
SHORTEST, LONGEST = 0.002, 0.05
"""Seconds between two attempts."""


@asynccontextmanager
async def lock_repository(common: Path) -> AsyncIterator[None]:
    """Be the only one who changes the worktrees and branches of the repository whose common git directory this is.

    Waits for its turn; cancelling ends the wait. Raises WorkspaceError when the lock's file cannot be made.
    """
    wait = SHORTEST
    # Trying again instead of flock's own waiting: that would park a thread which no cancellation reaches.
    while (handle := _try_lock(common / NAME)) is None:
        await anyio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311  # spreads the attempts, guards nothing
        wait = min(wait * 1.5, LONGEST)
    try:
        yield
    finally:
        _unlock(handle)


class InUseError(WorkspaceError):
    """Somebody is at work in the directory."""


@contextmanager
def claim(path: Path) -> Iterator[None]:
    """Be the only one who works in the directory `path`; one whose process has ended claims it no more.

    Raises InUseError when somebody else has it.
    """
    file = _lock_of(path)
    handle = _try_lock_in_folder(file)
    if handle is None:
        raise InUseError(f"Somebody is at work in {path}. Wait for that task to end, or give this one another name.")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        _unlock(handle)


def is_claimed(path: Path) -> bool:
    """Whether somebody is at work in the directory. While this is found out, nobody else can claim it."""
    try:
        handle = os.open(_lock_of(path), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _try_lock_in_folder(file: Path) -> int | None:
    while True:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkspaceError(f"The directory {file.parent} cannot be made: {error.strerror}.") from error
        try:
            return _try_lock(file)
        except WorkspaceError as error:
            # Whoever cleans up may have taken the empty folder away between our mkdir and our lock.
            if not isinstance(error.__cause__, FileNotFoundError):
                raise


def _try_lock(file: Path) -> int | None:
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise WorkspaceError(
            f"The lock {file} cannot be made: {error.strerror}. Make its directory writable."
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever held it may have removed the file between our open and our lock: then ours is nobody's lock.
        if os.path.samestat(os.fstat(handle), file.stat()):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        os.close(handle)
        raise WorkspaceError(f"{file} cannot be locked: {error.strerror}. Use a file system that has locks.") from error
    os.close(handle)
    return None


def _unlock(handle: int) -> None:
    # Closing alone would leave it to a forked child that has the same handle.
    fcntl.flock(handle, fcntl.LOCK_UN)
    os.close(handle)
