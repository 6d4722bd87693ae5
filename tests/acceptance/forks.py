"""Commands as forks of one process that has imported what they need: a start costs 10 ms and not 0.6 to 2 CPU-s.

All else is as in a process of its own start: arguments, environment, directory, pipes, signals and exit code.
"""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path

SERVER = Path(__file__).with_name("forking.py")

Finished = subprocess.CompletedProcess[str]


class Forks:
    """The process whose forks commands are. It ends with the process that has started it."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, str(SERVER), str(theirs.fileno())]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])

    def run(self, arguments: Sequence[str], cwd: Path, env: Mapping[str, str], patience: float) -> Finished:
        """Runs `orchestrator` to its end. One that takes longer than `patience`, in s, is killed.

        Raises:
            subprocess.TimeoutExpired: With what it had printed.
        """
        with ExitStack() as stack:
            (out, out_end), (err, err_end) = os.pipe(), os.pipe()
            replies, replies_end = socket.socketpair()
            asked = json.dumps([list(arguments), str(cwd), dict(env)])
            socket.send_fds(self._requests, [asked.encode()], [out_end, err_end, replies_end.fileno()])
            for end in (out_end, err_end, replies_end.detach()):
                os.close(end)
            for file in (out, err):
                stack.callback(os.close, file)
            told = stack.enter_context(stack.enter_context(replies).makefile())
            pid = int(told.readline())
            try:
                texts = read_all([out, err], patience)
                return subprocess.CompletedProcess(arguments, int(told.readline()), *texts)
            except BaseException as error:
                os.kill(pid, signal.SIGKILL)  # its parent waits for us to have read its code: the id is its own still
                if isinstance(error, subprocess.TimeoutExpired):
                    error.cmd = list(arguments)
                raise


def read_all(files: Sequence[int], patience: float) -> list[str]:
    """What comes from each file until its end. Raises TimeoutExpired."""
    deadline = time.monotonic() + patience
    found = dict.fromkeys(files, b"")
    with selectors.DefaultSelector() as selector:
        for file in files:
            selector.register(file, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(deadline - time.monotonic())
            if not ready:
                raise subprocess.TimeoutExpired("", patience, *found.values())
            for key, _ in ready:
                part = os.read(key.fd, 65536)
                found[key.fd] += part
                if not part:
                    selector.unregister(key.fd)
    return [text.decode() for text in found.values()]


@cache
def forks() -> Forks:
    """The one of this process."""
    return Forks()
