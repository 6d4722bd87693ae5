"""A lock that lasts as long as a process: it is let go however the process ends."""

import fcntl


def lock(file: int) -> bool:
    """Locks an open file for this process and all that inherit it. Gives False when others have."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
