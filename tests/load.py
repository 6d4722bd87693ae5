"""How loaded the machine is: what is said to be done soon is so on a machine of one's own."""

import os
from pathlib import Path

STRANGERS = 2.0
"""Even a machine that shows no load may share its cores with machines that it does not see."""


def at_most(seconds: float) -> float:
    """So many seconds, as on a machine of one's own; twice as many here, more where processes wait for a core."""
    minute, _, _, running, _ = Path("/proc/loadavg").read_text().split()
    wanting = max(float(minute), int(running.partition("/")[0]))
    return seconds * max(STRANGERS, wanting / len(os.sched_getaffinity(0)))
