"""Whose a private folder is: a file in it that its owner holds locked, as long as it lives, on whatever machine.

Who clears away what a dead owner left holds it locked too, and has emptied it.
"""

import os
from contextlib import contextmanager

from orchestrator.processes.lock import lock
from orchestrator.processes.tree import identity

TYPE_CHECKING = False  # `typing` has it too, but its import would be half of the start
if TYPE_CHECKING:
    from collections.abc import Iterator


def own(folder: str) -> int:
    """Makes this process the owner, until it dies or closes the file whose descriptor is given.

    A name alone, even with its start time, would look dead from another container that shares the folder.
    """
    file = os.open(f"{folder}/owner.part", os.O_RDWR | os.O_CREAT, 0o600)
    lock(file)
    os.write(file, identity(os.getpid()).encode())
    os.rename(f"{folder}/owner.part", f"{folder}/owner")  # noqa: PTH104 - nobody ever sees it without its lock
    return file


@contextmanager
def claim(folder: str) -> "Iterator[bool]":
    """For a block, makes this process the owner if the last one is dead, and gives whether. There has to be one."""
    try:
        file = os.open(f"{folder}/owner", os.O_RDWR)
    except OSError:
        yield False
        return
    try:
        dead = lock(file)
        if dead:
            os.truncate(file, 0)
        yield dead
    finally:
        os.close(file)


def is_dead(folder: str) -> bool:
    """Whether somebody has found the owner dead, and the folder is not cleared away yet."""
    try:
        return os.stat(f"{folder}/owner").st_size == 0  # noqa: PTH116 - pathlib is slow to import
    except OSError:
        return False
