"""A shell command with everything that it starts: none of it outlives the call."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import anyio
from anyio.abc import Process

from orchestrator.processes.bare import bare
from orchestrator.processes.den import end, private_folder

KEPT = 64 * 1024
"""Bytes of a command's output that are kept, the last ones."""
FOREIGN = ("ORCHESTRATOR_DROP", "ORCHESTRATOR_SESSION_LOCK")
"""Variables that tell a launcher what to do, and were meant for another one."""
numbers = count(1)


@dataclass(frozen=True, slots=True)
class Command:
    """How a command went."""

    exit_code: int | None
    """None when the time was over; the negative number of the signal that ended it."""
    output: str
    """The last 64 KiB of what it printed, stdout and stderr together, in order."""
    duration: float
    """Seconds."""


async def run_command(command: str, cwd: Path, timeout: float, lease: Path | None = None) -> Command:
    """Runs `/bin/sh -c command`, with nothing to read, for at most `timeout` seconds.

    It runs under the lease, if one is given, beside whatever else does: who ends the lease ends it too. When it has
    ended, for any reason, or this is cancelled, all that it started is ended.

    Raises OSError when `cwd` is no directory.
    """
    begun = time.monotonic()
    tail = Tail()
    code = None
    with own_lease(lease) as own:
        with anyio.CancelScope(shield=True):  # nobody would know of a process whose start was cancelled
            process = await start(command, cwd, own)
        try:
            with anyio.move_on_after(timeout):
                async with anyio.create_task_group() as group:
                    group.start_soon(tail.read, process)
                    code = await process.wait()
                    await end(own)  # whoever holds the pipe, if the launcher was killed
        finally:
            with anyio.CancelScope(shield=True):
                await end(own)
                await process.aclose()
    return Command(code, tail.text, time.monotonic() - begun)


@contextmanager
def own_lease(lease: Path | None) -> Iterator[Path]:
    """A lease for the command alone, which belongs to `lease` since its name begins so."""
    if lease is None:
        with private_folder() as folder:
            yield folder / "command.lease"
    else:
        own = lease.with_name(f"{lease.name}.{next(numbers)}.lease")
        try:
            yield own
        finally:
            own.unlink(missing_ok=True)


async def start(command: str, cwd: Path, lease: Path) -> Process:
    """The command below a launcher."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    ours = {"ORCHESTRATOR_LEASE": str(lease), "ORCHESTRATOR_PARENT": str(os.getpid())}
    return await anyio.open_process(
        [*bare("launcher"), "/bin/sh", "-c", command],
        cwd=cwd,
        env=kept | ours,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )


class Tail:
    """The end of what a process prints, however much that is."""

    def __init__(self) -> None:
        self._kept = bytearray()

    @property
    def text(self) -> str:
        """What is kept, without the rest of a character whose beginning is not."""
        kept = self._kept[-KEPT:]
        if len(kept) == KEPT:
            kept = kept[:3].lstrip(bytes(range(0x80, 0xC0))) + kept[3:]
        return kept.decode(errors="replace")

    async def read(self, process: Process) -> None:
        """Reads to the end."""
        assert process.stdout is not None
        async for chunk in process.stdout:
            self._kept += chunk
            if len(self._kept) > 4 * KEPT:
                del self._kept[:-KEPT]
