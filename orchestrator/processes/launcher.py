"""Starts a CLI, and stays to see that nothing of it is left behind: run in place of the CLI, for every attempt.

    python -I -S bare.py launcher CLI [argument …]

It starts a session of its own, so that a Ctrl-C in the terminal reaches only the orchestrator; leaves its process id
in the file named by ORCHESTRATOR_LEASE; holds the lock named by ORCHESTRATOR_SESSION_LOCK, if any; drops the variables
that ORCHESTRATOR_DROP names; and runs the CLI with its own standard input and outputs.
"""

import os
import sys
import time

from orchestrator.processes.lock import try_lock
from orchestrator.processes.supervisor import PASSED_ON, WATCHED, pause, supervise
from orchestrator.processes.tree import VARIABLE, identity

TYPE_CHECKING = False  # `typing` has it too, but its import would be half of the start
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # without the enums made of it, which would be the other half

BUSY = 75
"""The exit code when another process drives the session. (EX_TEMPFAIL)"""
PATIENCE = 5.0
"""Seconds to wait for the session's lock: as long as it can take to end the CLI of an orchestrator that was killed."""


def main(command: list[str]) -> None:
    """Never returns."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    os.setsid()
    parent = int(os.environ.pop("ORCHESTRATOR_PARENT", os.getppid()))
    if lease := os.environ.get(VARIABLE):
        sign(lease)
    # The guard ends every lease that it finds when the parent dies; one that is written later is ours to notice.
    if os.getppid() != parent:
        sys.exit(143)
    if path := os.environ.pop("ORCHESTRATOR_SESSION_LOCK", None):
        take(path, parent)
    for name in os.environ.pop("ORCHESTRATOR_DROP", "").split():
        os.environ.pop(name, None)
    supervise(command, parent, before, lease)


def sign(lease: str) -> None:
    """Puts this process into the lease."""
    with open(f"{lease}.part", "w") as file:  # noqa: PTH123 - importing pathlib would double the start's cost
        file.write(identity(os.getpid()))
    os.replace(f"{lease}.part", lease)  # noqa: PTH105


def take(path: str, parent: int) -> None:
    """Takes the lock for as long as this process or the CLI lives, or ends this process if it cannot be had.

    The CLI inherits it: if this process alone is killed, the CLI still drives the session until it has ended.
    """
    deadline = time.monotonic() + PATIENCE
    while (file := try_lock(path)) is None:
        if time.monotonic() > deadline:
            sys.stderr.write("orchestrator: the session is being driven by another process\n")
            sys.exit(BUSY)
        if pause(0.1) in PASSED_ON or os.getppid() != parent:
            sys.exit(143)
    os.set_inheritable(file, True)
