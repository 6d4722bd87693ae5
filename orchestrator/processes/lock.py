"""A lock that lasts as long as a process: it is let go however the process ends."""

import fcntl
import os


def lock(file: int) -> bool:
    """Locks an open file for this process and all that inherit it. Gives False when others have."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def try_lock(path: str) -> "int | None":
    """The file, locked; None while others have it. Who had it before may have removed it: then it is nobody's lock."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if lock(file) and os.path.samestat(os.fstat(file), os.stat(path)):  # noqa: PTH116 - pathlib is slow to import
            return file
    except FileNotFoundError:
        pass
    os.close(file)
    return None
