"""Whose a private folder is: a file in it that its owner holds locked, as long as it lives, on whatever machine."""

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
        yield lock(file)
    finally:
        os.close(file)
