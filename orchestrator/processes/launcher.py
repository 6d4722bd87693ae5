"""Becomes the Claude CLI: run by path with a bare interpreter, in place of the CLI, for every attempt.

    python -I -S launcher.py CLI [argument …]

It starts a session of its own, so that a Ctrl-C in the terminal reaches only the orchestrator and the whole group can
be ended at once; leaves its process id in the file named by ORCHESTRATOR_LEASE, for the guard; drops the variables that
ORCHESTRATOR_DROP names; and then is the CLI: same process, same pipes. It costs about 0.01 s.
"""

import os
import sys


def main(command: list[str]) -> None:
    """Never returns."""
    os.setsid()
    lease, parent = os.environ["ORCHESTRATOR_LEASE"], int(os.environ.pop("ORCHESTRATOR_PARENT"))
    with open(f"{lease}.part", "w") as file:  # noqa: PTH123 - importing pathlib would double the start's cost
        file.write(str(os.getpid()))
    os.replace(f"{lease}.part", lease)  # noqa: PTH105
    # The guard ends every lease that it finds when the parent dies; one that is written later is ours to notice.
    if os.getppid() != parent:
        sys.exit(143)
    for name in os.environ.pop("ORCHESTRATOR_DROP", "").split():
        os.environ.pop(name, None)
    os.execv(command[0], command)  # noqa: S606 - to become a given program is what this is for


if __name__ == "__main__":
    main(sys.argv[1:])
