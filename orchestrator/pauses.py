"""The time in which an agent waits for its run, or for its turn at the API: for its clocks it does not pass."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import anyio

from orchestrator.events import Event, RequestDequeued, RequestQueued
from orchestrator.protocols import CallTool, Emit


class Pauses:
    """Those of one clock. They may overlap."""

    def __init__(self, over: Callable[[float], None]) -> None:
        """`over` is told the seconds of each stretch of pauses, when it is over."""
        self._over = over
        self._open = 0
        self._since = self._until = 0.0

    @property
    def on(self) -> bool:
        """Whether there is one now."""
        return self._open > 0

    @contextmanager
    def during(self, waited: float = 0.0) -> Iterator[None]:
        """A block that is one."""
        self._begin(waited)
        try:
            yield
        finally:
            self._end()

    def calling(self, call: CallTool) -> CallTool:
        """A `CallTool` whose calls are pauses: what the agent waits for there has clocks of its own."""

        async def call_on(tool: str, given: Mapping[str, Any]) -> Any:
            with self.during():
                return await call(tool, given)

        return call_on

    def heeding(self, emit: Emit) -> Emit:
        """An `emit` from whose events is known when a request waits in the gateway's queue."""

        def emit_on(event: Event) -> None:
            match event:
                case RequestQueued(queued_s=waited):
                    self._begin(waited)
                case RequestDequeued():
                    self._end()
            emit(event)

        return emit_on

    def _begin(self, waited: float) -> None:
        """One has begun so many seconds ago."""
        if not self._open:
            self._since = max(anyio.current_time() - waited, self._until)
        self._open += 1

    def _end(self) -> None:
        self._open -= 1
        if not self._open:
            self._until = anyio.current_time()
            self._over(self._until - self._since)
