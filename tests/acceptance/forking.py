"""The process whose forks commands are, started by `forks`: `python forking.py FILE`.

Requests come through the socket with that number: as JSON the arguments, the directory, the environment and whether it
is in a terminal; with that three files: where stdout and stderr go, and a socket that is told the command's process id
and, once it has ended, its exit code.

A module that can be imported only after another would not be noticed here: `test_starting` starts each command anew.
"""

import fcntl
import gc
import json
import os
import runpy
import signal
import socket
import sys
import termios
from importlib import import_module
from pathlib import Path

NEEDED = (
    *(f"cli.{name}" for name in ("app", "exits", "housekeeping", "inspecting", "planning", "resuming", "running")),
    *("agents.claude", "executors.local", "journal.sqlite", "gateway.server", "gateway.model.offline"),
    *("views.jsonl", "views.lines", "views.live"),
)
"""Modules of ours that import all others which commands need."""
LONGEST = 200_000
"""Bytes of a request; the kernel's own bound is a little above."""


def main() -> None:
    """Imports, then carries requests out, each in a fork, until there is nobody left to ask."""
    for name in NEEDED:
        import_module(f"orchestrator.{name}")
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        asked, files = serve(requests)
    if asked:
        carry_out(*json.loads(asked), *files)


def serve(requests: socket.socket) -> tuple[bytes, list[int]]:
    """In a fork, what is asked of it, and the files with that; nothing in the server itself, at its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system forgets ended forks by itself
    while True:
        asked, files, _, _ = socket.recv_fds(requests, LONGEST, 3)
        if not asked or not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return asked, files
        for file in files:
            os.close(file)


def carry_out(
    arguments: list[str], cwd: str, env: dict[str, str], terminal: bool, out: int, err: int, told: int
) -> None:
    """Has a fork of the fork be the command, and tells of that one's end."""
    if pid := os.fork():
        tell(pid, told, out, err)
    os.close(told)
    if terminal:
        os.setsid()
        fcntl.ioctl(out, termios.TIOCSCTTY, 0)  # Ctrl-C needs it
    for file, number in ((os.dup(out) if terminal else os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
        os.dup2(file, number)
        os.close(file)
    # What Python made of the server's files knows what these were, as whether one can seek in them.
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    if arguments[0] == "-m":
        sys.path[0], sys.argv[:] = cwd, arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.path[0], sys.argv[:] = str(Path(arguments[0]).parent), arguments
        runpy.run_path(arguments[0], run_name="__main__")


def tell(pid: int, told: int, *files: int) -> None:
    """Waits for the command's end, and ends itself."""
    for file in files:
        os.close(file)
    os.write(told, b"%d" % pid)
    end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert end is not None
    os.write(told, b"%d" % (end.si_status if end.si_code == os.CLD_EXITED else -end.si_status))
    os.read(told, 1)  # until whoever asked has read that, and kills nobody any more, the id stays taken
    os._exit(0)


if __name__ == "__main__":
    main()
