"""Who drives a run: a lock that the kernel takes back when its process ends, in whatever way."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.journal.database import explained


@contextmanager
def hold(file: Path) -> Iterator[bool]:
    """Holds the lock `file` as long as the block lasts; gives whether nobody else has it.

    The file's folder is made, the one above it is not. Raises JournalError when the file cannot be made or locked.
    """
    try:
        file.parent.mkdir(exist_ok=True, mode=0o700)
        handle = take(file)
    except OSError as error:
        raise explained(error, file) from error
    try:
        yield handle is not None
    finally:
        if handle is not None:
            give_back(file, handle)


def take(file: Path) -> int | None:
    """The handle that holds the lock; None when somebody else has one."""
    while True:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_still(file, handle):
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def is_still(file: Path, handle: int) -> bool:
    """Whether the handle is of the file that is there now: the one who held it may have removed it since our open."""
    try:
        return os.path.samestat(os.fstat(handle), file.stat())
    except FileNotFoundError:
        return False


def give_back(file: Path, handle: int) -> None:
    file.unlink(missing_ok=True)  # while it is held: afterwards it would be somebody else's
    fcntl.flock(handle, fcntl.LOCK_UN)  # closing alone would leave it to a forked child that has the same handle
    os.close(handle)
