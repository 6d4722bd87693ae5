"""Writing to a stream whose reader may be slow: in a thread, so that nobody but the view waits for it."""

from collections.abc import Sequence
from typing import TextIO

from anyio import CapacityLimiter, to_thread


class LineWriter:
    """Writes lines to a stream, in order."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    async def write(self, lines: Sequence[str]) -> None:
        """Returns when the lines have been taken. Raises OSError when nobody reads any more."""
        if lines:
            await to_thread.run_sync(self._write, lines, limiter=CapacityLimiter(1), abandon_on_cancel=True)

    def _write(self, lines: Sequence[str]) -> None:
        self._stream.write("".join(f"{line}\n" for line in lines))
        self._stream.flush()
