"""Ends what an orchestrator leaves behind, however it dies: one small process per run.

    python -I -S bare.py guard FOLDER        with a pipe from the orchestrator as standard input

It waits for a byte, or for the pipe's end, which comes even when the orchestrator is killed; then it ends every process
that was started under a lease in FOLDER, and removes FOLDER.
"""

import shutil
import sys

from orchestrator.processes.owner import claim
from orchestrator.processes.tree import end_all


def main(arguments: list[str]) -> None:
    """Waits for the end of the orchestrator, then cleans up."""
    (folder,) = arguments
    sys.stdin.buffer.read(1)
    with claim(folder):
        end_all(f"{folder}/")
        shutil.rmtree(folder, ignore_errors=True)
