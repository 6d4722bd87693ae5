"""Commands and scripts as forks of one process that has imported what they need: 0.1 CPU-s a start, and not 0.6 to 2.

All else is as in a process of its own start: arguments, environment, directory, pipes, signals and exit code.
"""

import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from threading import Thread
from typing import IO

SERVER = Path(__file__).with_name("forking.py")


class Fork(subprocess.Popen[str]):
    """A command that is a fork, with the ways of a process that was started here, as far as tests go them.

    Its parent is a process of the server's, which tells its id and its exit code, and keeps the id taken until then.
    """

    def __init__(
        self,
        requests: socket.socket,
        arguments: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        terminal: int | None = None,
    ) -> None:
        self.args, self.returncode = list(arguments), None  # type: ignore[assignment]
        self._told, told = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.stdin = self.stdout = self.stderr = None
        ends = [] if terminal is None else [os.dup(terminal), os.dup(terminal)]
        if not ends:
            (out, out_end), (err, err_end) = os.pipe(), os.pipe()
            self.stdout, self.stderr, ends = os.fdopen(out), os.fdopen(err), [out_end, err_end]
        asked = json.dumps([self.args, str(cwd), dict(env), terminal is not None])
        socket.send_fds(requests, [asked.encode()], [*ends, told.fileno()])
        for end in (*ends, told.detach()):
            os.close(end)
        self.pid = int(self._told.recv(100))

    def poll(self) -> int | None:
        """The exit code, if it has ended."""
        return self.wait(0) if self.returncode is not None or self._is_told(0) else None

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended. Raises TimeoutExpired after so many seconds."""
        if self.returncode is None:
            if not self._is_told(timeout):
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            with self._told:
                self.returncode = int(self._told.recv(100))
        return self.returncode

    def _is_told(self, timeout: float | None) -> bool:
        return bool(select.select([self._told], [], [], timeout)[0])

    def send_signal(self, sig: int) -> None:
        """Sends it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def communicate(self, input: str | None = None, timeout: float | None = None) -> tuple[str, str]:
        """What it prints until its end. Raises TimeoutExpired after so many seconds; it can be asked again then."""
        assert input is None
        assert self.stdout is not None
        assert self.stderr is not None
        if not hasattr(self, "_readers"):
            self._readers = [Reader(self.stdout), Reader(self.stderr)]
        for reader in self._readers:
            reader.join(timeout)
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.wait(timeout)
        out, err = [reader.text for reader in self._readers]
        return out, err


class Reader(Thread):
    """Reads a file to its end, and closes it."""

    def __init__(self, file: IO[str]) -> None:
        super().__init__(daemon=True)
        self.text = ""
        self._file = file
        self.start()

    def run(self) -> None:
        """Of a file that was closed before there is no text."""
        if not self._file.closed:
            with self._file:
                self.text = self._file.read()


class Forks:
    """The process whose forks commands are. It ends with the process that has started it."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, str(SERVER), str(theirs.fileno())]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])

    def start(self, arguments: Sequence[str], cwd: Path, env: Mapping[str, str], terminal: int | None = None) -> Fork:
        """Python with these arguments: a script or `-m` with a module; with a terminal in its own session."""
        return Fork(self._requests, arguments, cwd, env, terminal)


@cache
def forks() -> Forks:
    """The one of this process."""
    return Forks()
