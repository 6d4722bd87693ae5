"""A shell command, run to its end or to its time limit."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio


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

    Raises OSError when `cwd` is no directory.
    """
    begun, output = time.monotonic(), b""
    process = await anyio.open_process(
        ["/bin/sh", "-c", command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        with anyio.move_on_after(timeout) as limit:
            async for part in process.stdout:
                output = (output + part)[-64 * 1024 :]
            await process.wait()
    finally:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        with anyio.CancelScope(shield=True):
            await process.wait()
            await process.stdout.aclose()
    exit_code = None if limit.cancelled_caught else process.returncode
    return Command(exit_code, output.decode(errors="replace"), time.monotonic() - begun)
