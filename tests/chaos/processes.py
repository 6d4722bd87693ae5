"""The processes of a round: all that have its HOME in their environment."""

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

SESSION = re.compile(r"--(session-id|resume)[=\0]([0-9a-f-]{36})")


@dataclass(frozen=True, slots=True)
class Process:
    """A live process."""

    pid: int
    parent: int
    program: str
    """The name of the file that it executes."""
    command: str
    """Its arguments, with NULs between them."""
    lease: bool
    """Whether it was started for an agent."""
    locks: bool
    """Whether it was started with the lock of its session: of a launcher whose CLI does one task alone."""

    @property
    def is_cli(self) -> bool:
        return self.program == "claude"

    @property
    def is_launcher(self) -> bool:
        return "bare.py\0launcher" in self.command

    @property
    def is_guard(self) -> bool:
        return "bare.py\0guard" in self.command

    @property
    def session(self) -> str | None:
        """The session that a CLI drives: that of a fork is its own."""
        found = dict(SESSION.findall(self.command))
        return found.get("session-id") or found.get("resume")

    def __str__(self) -> str:
        return f"{self.pid} {self.command[:160].replace(chr(0), ' ')}"


def processes_of(home: Path) -> list[Process]:
    """The live processes of the round with that HOME."""
    mark = b"\0" + os.fsencode(f"HOME={home}") + b"\0"
    return [found for pid in pids() if (found := look_at(pid, mark))]


def pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208


def look_at(pid: int, mark: bytes) -> Process | None:
    """The process, if its environment has the mark and it is no zombie."""
    folder = Path("/proc", str(pid))
    try:
        environment = b"\0" + (folder / "environ").read_bytes() + b"\0"
        if mark not in environment:
            return None
        state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        command = (folder / "cmdline").read_bytes().decode(errors="replace")
        program = (folder / "exe").readlink().name
    except OSError:
        return None
    lease, locks = (f"\0ORCHESTRATOR_{name}=".encode() in environment for name in ("LEASE", "SESSION_LOCK"))
    return None if state == "Z" else Process(pid, int(parent), program, command, lease, locks)


def kill(processes: Iterable[Process], number: signal.Signals = signal.SIGKILL) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


def wait_gone(home: Path, patience: float) -> tuple[list[Process], float]:
    """Waits until the round has no process left; those that are, and the seconds that it took."""
    begun = time.monotonic()
    while (left := processes_of(home)) and time.monotonic() - begun < patience:
        time.sleep(0.05)
    return left, time.monotonic() - begun


@dataclass
class Watch:
    """Looks again and again whether two CLI processes drive one session.

    Of those that do many tasks no argument tells the session; the orchestrator has its lock, which two cannot hold.
    """

    home: Path
    found: set[str] = field(default_factory=set)
    """The sessions that two drove."""
    _over: Event = field(default_factory=Event)

    def __enter__(self) -> "Watch":
        self._thread = Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.25):
            found = processes_of(self.home)
            locking = {process.pid for process in found if process.locks and not process.is_cli}
            # A child that a CLI has just forked still looks as its parent does.
            clis = [process for process in found if process.is_cli and process.parent in locking]
            driving = Counter(cli.session for cli in clis if cli.session)
            self.found.update(session for session, count in driving.items() if count > 1)
