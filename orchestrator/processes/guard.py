"""Ends what an orchestrator leaves behind, however it dies: one small process per run.

    python -I -S guard.py FOLDER        with a pipe from the orchestrator as standard input

It waits for a byte, or for the pipe's end, which comes even when the orchestrator is killed; then it ends every process
that was started under a lease in FOLDER, and removes FOLDER. The standard library is all it needs;
`orchestrator.processes.den` uses the same functions for a single attempt.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL: the CLI ends its tools and its transcript in 0.03 to 1.5 s."""
PROC = Path("/proc")


def processes_under(lease: str) -> list[int]:
    """Live processes that were started under a lease (a file, or a folder of them), with all their descendants.

    Found by the ORCHESTRATOR_LEASE in their environment, which tools that start a session of their own inherit too.
    Without /proc only the CLIs themselves are found.
    """
    return list(_marked(lease) if PROC.joinpath("self", "environ").exists() else _leased(Path(lease)))


def _marked(lease: str) -> Iterator[int]:
    mark = b"\0ORCHESTRATOR_LEASE=" + os.fsencode(lease)
    for entry in PROC.iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                environment = b"\0" + entry.joinpath("environ").read_bytes()
                if mark in environment and not _is_zombie(entry):
                    yield int(entry.name)
            except OSError:
                continue  # it has ended, or is another user's


def _is_zombie(entry: Path) -> bool:
    return entry.joinpath("stat").read_text().rpartition(")")[2].split()[0] == "Z"


def _leased(lease: Path) -> Iterator[int]:
    for file in lease.glob("*.lease") if lease.is_dir() else [lease]:
        try:
            pid = int(file.read_text())
            os.kill(pid, 0)
        except (OSError, ValueError):
            continue
        yield pid


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Sends a signal to each process and, where it leads a group, to the group."""
    for pid in pids:
        for kill in (os.killpg, os.kill):
            try:
                kill(pid, number)
            except OSError:
                continue  # it has ended, or leads no group


def end_all(lease: str) -> None:
    """Ends every process under a lease: SIGTERM, and SIGKILL after the grace. Returns when none is left."""
    send(processes_under(lease), signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    while (left := processes_under(lease)) and time.monotonic() < deadline + GRACE:
        if time.monotonic() > deadline:
            send(left, signal.SIGKILL)
        time.sleep(0.02)


def main(folder: str) -> None:
    """Waits for the end of the orchestrator, then cleans up."""
    sys.stdin.buffer.read(1)
    end_all(folder)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
