"""Whose turn it is: a session is driven, and a workspace is open, for one attempt at a time."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from weakref import WeakValueDictionary

import anyio

from orchestrator.processes.lock import give_back, try_lock


class Turns:
    """Within this process: a queue for each session, or each workspace, as long as anybody stands in it."""

    def __init__(self) -> None:
        self._queues: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def take(self, name: str) -> AsyncIterator[None]:
        """Waits for what is called so, and has it as long as the block lasts."""
        queue = self._queues.setdefault(name, anyio.Lock())
        async with queue:
            yield


@contextmanager
def borrow(path: Path | None) -> Iterator[bool]:
    """Keeps other processes from driving the session whose lock that is; gives whether none does. Raises OSError.

    Nothing of it is left afterwards: a launcher makes it anew. Without a path nothing is known of others.
    """
    if path is None:
        yield True
        return
    file = try_lock(str(path))
    try:
        yield file is not None
    finally:
        if file is not None:
            give_back(str(path), file)
