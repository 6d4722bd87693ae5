"""The live view: one picture in the terminal, redrawn in place."""

import sys
import time
from collections.abc import AsyncIterator, Sequence

import anyio
from rich.console import Console
from rich.live import Live

from orchestrator.events import Record
from orchestrator.state import RunState
from orchestrator.views.frame import Room, picture

TICK = 0.25
"""Seconds between two pictures, whatever happens between them: drawing costs more than folding events."""


class LiveView:
    """Shows what every running agent does now; when the run ends the picture goes, and the summary takes its place."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._state = RunState()
        self._run = ""

    async def show(self, feed: AsyncIterator[Sequence[Record]]) -> None:
        """See `orchestrator.protocols.View`."""
        piped = not sys.stdout.isatty()  # then what the script prints belongs there, and not above the picture
        with Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            vertical_overflow="crop",
            redirect_stdout=not piped,
        ) as live:
            async with anyio.create_task_group() as group:
                group.start_soon(self._draw_forever, live)
                async for batch in feed:
                    self._run = batch[0].run
                    self._state.apply_all(batch)
                group.cancel_scope.cancel()

    async def _draw_forever(self, live: Live) -> None:
        while True:
            if self._state.started:
                room = Room(*self._console.size)
                live.update(picture(self._state, self._run, time.time(), room), refresh=True)
            await anyio.sleep(TICK)
