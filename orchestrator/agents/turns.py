"""Whose turn it is: within one process a session is driven by one attempt at a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

import anyio


class Turns:
    """A queue for each session, as long as anybody stands in it."""

    def __init__(self) -> None:
        self._queues: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def take(self, session_id: str) -> AsyncIterator[None]:
        """Waits for the session, and has it as long as the block lasts."""
        queue = self._queues.setdefault(session_id, anyio.Lock())
        async with queue:
            yield
