"""Runs a program below this process. When it has ended, or nobody is left to want it, all that it started is ended."""

import os
import sys
import time

from orchestrator.processes.tree import HAS_PROC, Ending, descendants, empty

TYPE_CHECKING = False  # `typing` has it too, but its import would be half of the start
if TYPE_CHECKING:
    import signal
    from collections.abc import Collection, Iterable
    from typing import Never
else:
    import _signal as signal  # without the enums made of it, which would be the other half

SET_PDEATHSIG, SET_CHILD_SUBREAPER = 1, 36
PASSED_ON = {
    # One that is ignored, as `nohup` has it, stays ignored.
    number
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    if signal.getsignal(number) != signal.SIG_IGN
}
PATIENCE = 1.0
"""Seconds that the command has to end once it is told to. Whoever told it ends this process 5 s later (the SDK does),
and then nobody would be left who knows of its orphans."""
WATCHED = {signal.SIGCHLD, *PASSED_ON}


def supervise(command: list[str], parent: int, mask: "Iterable[int]", lease: str | None = None) -> "Never":
    """Runs the command with the given signals blocked, and ends as it has ended.

    WATCHED have to be blocked already. Once `parent` is not the parent any more, everything is ended. When nothing is
    left beneath this process, its lease is emptied.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, as one can inherit it, there would be nothing to wait for
    prctl(SET_CHILD_SUBREAPER, 1)
    prctl(SET_PDEATHSIG, signal.SIGCHLD)  # no more than a hint: it comes as well when a mere thread of the parent ends
    here = os.getpid()
    child = os.fork()
    if child == 0:
        become(command, here, mask)
    let_go()
    status, left = watch(child, parent)
    if lease and not left:
        empty(lease)
    end_as(status)


def prctl(option: int, value: int) -> None:
    """Linux alone has it; elsewhere orphans get away."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - it is not everywhere

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def become(command: list[str], parent: int, mask: "Iterable[int]") -> "Never":
    """Replaces this process by the command. It gets a SIGTERM when the parent, which cannot pass it on then, dies."""
    try:
        prctl(SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(143)
        for number in {signal.SIGPIPE, signal.SIGXFSZ, *PASSED_ON}:  # this interpreter ignores or handles them
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.execv(command[0], command)  # noqa: S606 - to become a given program is what this is for
    except BaseException as error:
        os.write(2, f"orchestrator: cannot start {command[0]}: {error}\n".encode())
    os._exit(127)


def let_go() -> None:
    """Leaves the pipes to the command alone, so that they end when it does."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.close(nothing)


def watch(child: int, parent: int) -> tuple[int, bool]:
    """Waits until the child and all its descendants have ended. Gives the child's status, and whether any are left."""
    status, left = reap(child)
    ending = told = None
    while left:
        late = told is not None and time.monotonic() - told > PATIENCE
        if status is not None or late or os.getppid() != parent:
            ending = ending or Ending()
            if not ending.step(beneath(child, status)):
                break
        number = pause(0.02 if ending else 0.1 if told else 1.0)
        if number in PASSED_ON and status is None:
            os.kill(child, number)
            told = told or (time.monotonic() if number != signal.SIGINT else None)
        found, left = reap(child)
        status = found if status is None else status
    return signal.SIGKILL if status is None else status, left


def beneath(child: int, status: int | None) -> "Collection[int]":
    """What is to be ended. At least the child itself, as long as it lives."""
    if HAS_PROC:
        return descendants([os.getpid()])
    return [child] if status is None else []


def reap(child: int) -> tuple[int | None, bool]:
    """Collects whoever has ended. Gives the child's status if it is among them, and whether there are others left.

    Without children there are no descendants: orphans among them are children of this process.
    """
    status = None
    while True:
        try:
            pid, found = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status, False
        if pid == 0:
            return status, True
        if pid == child:
            status = found


def pause(seconds: float) -> int | None:
    """Waits for a signal of WATCHED, and gives it; None when none came in time."""
    if hasattr(signal, "sigtimedwait"):
        info = signal.sigtimedwait(WATCHED, seconds)
        return info and info.si_signo
    time.sleep(min(seconds, 0.1))
    pending = signal.sigpending() & WATCHED
    return signal.sigwait(pending) if pending else None


def end_as(status: int) -> "Never":
    """Ends this process with the exit code, or by the signal, that a status tells of."""
    if not HAS_PROC:
        os.killpg(0, signal.SIGTERM)  # what is left of the group; it is blocked here
    if not os.WIFSIGNALED(status):
        os._exit(os.WEXITSTATUS(status))
    import resource  # noqa: PLC0415 - seldom needed

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the core is the child's to leave
    number = os.WTERMSIG(status)
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # not reached
