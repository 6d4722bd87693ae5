"""A lock that lasts as long as a process: it is let go however the process ends."""

import fcntl
import os


def lock(file: int) -> bool:
    """Locks an open file for this process and all that inherit it. Gives False when others have. Raises OSError."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def try_lock(path: str) -> "int | None":
    """The file, made if need be, and locked; None while others have it. Raises OSError."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            free = lock(file)
            if free and is_still(path, file):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)
        if not free:
            return None


def is_still(path: str, file: int) -> bool:
    """Whether the file is the one that is there: who had it before may have removed it. Then it is nobody's lock."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))  # noqa: PTH116 - pathlib is slow to import
    except FileNotFoundError:
        return False


def give_back(path: str, file: int) -> None:
    """Removes the file and lets go of it. Raises OSError."""
    try:  # noqa: SIM105 - contextlib is slow to import
        os.unlink(path)  # noqa: PTH108 - while it is held: afterwards it would be somebody else's
    except FileNotFoundError:
        pass
    fcntl.flock(file, fcntl.LOCK_UN)  # closing alone would leave it to a forked child that has the same file
    os.close(file)
