"""Clears away what orchestrators left that were killed, so that none of it is at work beside the next one."""

import os
import shutil
import stat
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

import anyio

from orchestrator.processes.owner import claim, is_dead
from orchestrator.processes.tree import end_all

PREFIX = "orchestrator-"
"""How the names of private folders begin."""
LONGEST = 10.0
"""Seconds after which no further folder is looked at, and nobody waits any longer."""


async def sweep_beside(folder: Path) -> None:
    """Sweeps the place that the folder is in. Cancelled, or after LONGEST, it goes on in the background.

    This process's end does not wait for it, as it would with a thread of anyio's.
    """
    thread = Thread(target=sweep, args=[folder.parent], name="sweep", daemon=True)
    thread.start()
    with anyio.move_on_after(LONGEST):
        while thread.is_alive():  # noqa: ASYNC110 - a thread that outlives the loop has nobody to tell
            await anyio.sleep(0.002)


def sweep(place: Path) -> None:
    """Ends all processes under the private folders in `place` whose owner is dead, and removes these folders.

    Those of other users are left alone, and those of a living orchestrator. Where somebody else is about it, as the
    guard of one that has just been killed, this waits until that is done.
    """
    deadline = time.monotonic() + LONGEST
    for folder in place.glob(f"{PREFIX}*"):
        if is_ours(folder):
            with suppress(OSError):  # what cannot be cleared away keeps nobody from starting
                clear(folder, deadline)


def clear(folder: Path, deadline: float) -> None:
    """Clears away what a dead owner left, or waits until somebody has; for a living one there is nothing to do."""
    while time.monotonic() < deadline:
        with claim(str(folder)) as dead:
            if dead:
                end_all(f"{folder}/")
                shutil.rmtree(folder, ignore_errors=True)
        if dead or not is_dead(str(folder)):
            return
        time.sleep(0.02)


def is_ours(folder: Path) -> bool:
    """Whether it is a folder, and no link to one, of this user."""
    with suppress(OSError):
        about = folder.lstat()
        return stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid()
    return False
