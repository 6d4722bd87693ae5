"""Who drives a run: a lock that the kernel takes back when its process ends, in whatever way."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.journal.database import explained
from orchestrator.processes.lock import give_back, try_lock


@contextmanager
def drive(file: Path) -> Iterator[bool]:
    """Has the lock `file` as long as the block lasts; gives whether nobody else has it.

    The file's folder is made, the one above it is not. Raises JournalError when the file cannot be made or locked.
    """
    try:
        file.parent.mkdir(exist_ok=True, mode=0o700)
        lock = try_lock(str(file))
    except OSError as error:
        raise explained(error, file) from error
    try:
        yield lock is not None
    finally:
        if lock is not None:
            give_back(str(file), lock)
