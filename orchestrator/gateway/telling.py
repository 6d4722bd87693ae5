"""Carries events from the gateway's thread to the run's: in order, and without either waiting for the other."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from anyio.lowlevel import current_token

from orchestrator.errors import bare_errors
from orchestrator.events import Event
from orchestrator.protocols import Emit

Soon = Callable[[Callable[[], None]], Any]


class Telling:
    """Events on their way. Made in the run's event loop, which may be asyncio's or trio's."""

    def __init__(self) -> None:
        self._soon = call_soon()
        self._underway: deque[tuple[Emit, Event]] = deque()
        self._woken = anyio.Event()

    def carried(self, emit: Emit) -> Emit:
        """The same `emit`, to be called from any thread: it happens in the run's, a little later."""

        def tell(event: Event) -> None:
            self._underway.append((emit, event))
            with suppress(RuntimeError):  # the loop has ended: nobody is there to be told
                self._soon(self._wake)

        return tell

    async def run(self) -> None:
        """Tells what has come, until it is cancelled."""
        while True:
            await self._woken.wait()
            self._woken = anyio.Event()
            self.flush()

    def flush(self) -> None:
        """Tells what has come so far."""
        while self._underway:
            emit, event = self._underway.popleft()
            emit(event)

    def _wake(self) -> None:
        self._woken.set()


@asynccontextmanager
async def open_telling() -> AsyncIterator[Telling]:
    """Tells as long as the block lasts, and at its end the rest."""
    telling = Telling()
    with bare_errors():
        async with anyio.create_task_group() as group:
            group.start_soon(telling.run)
            try:
                yield telling
            finally:
                group.cancel_scope.cancel()
                telling.flush()


def call_soon() -> Soon:
    """What has the current event loop call something, from any thread, without waiting for it."""
    loop: Any = current_token().native_token
    soon: Soon = loop.run_sync_soon if hasattr(loop, "run_sync_soon") else loop.call_soon_threadsafe
    return soon
