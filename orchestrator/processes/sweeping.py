"""Clears away what orchestrators left that were killed together with their guards."""

import os
import shutil
import stat
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

from orchestrator.processes.owner import claim
from orchestrator.processes.tree import end_all

PREFIX = "orchestrator-"
"""How the names of private folders begin."""
LONGEST = 10.0
"""Seconds after which no further folder is looked at."""


def sweep_beside(folder: Path) -> Thread:
    """Sweeps the place that the folder is in, in the background. This process's end does not wait for it."""
    thread = Thread(target=sweep, args=[folder.parent], name="sweep", daemon=True)
    thread.start()
    return thread


def sweep(place: Path) -> None:
    """Ends all processes under the private folders in `place` whose owner is dead, and removes these folders.

    Those of other users are left alone, and those of a living orchestrator.
    """
    deadline = time.monotonic() + LONGEST
    for folder in place.glob(f"{PREFIX}*"):
        if time.monotonic() < deadline and is_ours(folder):
            with claim(str(folder)) as dead:
                if dead:
                    end_all(f"{folder}/")
                    shutil.rmtree(folder, ignore_errors=True)


def is_ours(folder: Path) -> bool:
    """Whether it is a folder, and no link to one, of this user."""
    with suppress(OSError):
        about = folder.lstat()
        return stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid()
    return False
