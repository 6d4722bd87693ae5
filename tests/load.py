"""How loaded the machine is: what is said to be done soon is so on a machine of one's own."""

import os
from pathlib import Path


def at_most(seconds: float) -> float:
    """So many seconds; more where more processes want to run than there are cores."""
    minute, _, _, running, _ = Path("/proc/loadavg").read_text().split()
    wanting = max(float(minute), int(running.partition("/")[0]))
    return seconds * max(1.0, wanting / len(os.sched_getaffinity(0)))
