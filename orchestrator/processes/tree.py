"""Which processes belong to a lease, and how they are ended. The standard library, without pathlib, is all it needs.

A lease is a file that holds the process id and the start time of a launcher, beneath which a CLI and its tools run. It
is empty once the launcher has seen the last of them end: else what is left of each of a thousand agents would be looked
for among all processes of the machine.
Without /proc only the launchers themselves are found; each ends what is beneath it as well as it can.
"""

import os
import time

TYPE_CHECKING = False  # `typing` has it too, but its import would be half of the start
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Collection, Iterable, Iterator
else:
    import _signal as signal  # without the enums made of it, which would be the other half

GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL: the CLI ends its tools and its transcript in 0.03 to 1.5 s."""
MOMENT = 0.005
"""Seconds to wait for a process amid execve, before it is looked at again."""
MOMENTS = 100
"""How often it is looked at before it is taken to have no environment."""
HAS_PROC = os.path.exists("/proc/self/environ")  # noqa: PTH110
HAS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")  # noqa: PTH110
"""Whether the kernel lists the children of a process: where it does not, all processes are looked at."""
LOOKS = 5
"""How often the children are read at most, until they are the same twice."""
VARIABLE = "ORCHESTRATOR_LEASE"


def processes_under(lease: str) -> tuple[list[int], list[int]]:
    """Live processes that belong to a lease, or to one whose name begins so; and the launchers they were started by.

    With `FOLDER/` these are all in that folder.

    Found as descendants of a launcher, which those that clear their environment stay, since it adopts orphans; and,
    unless each launcher lives or has seen the last of them end, by the ORCHESTRATOR_LEASE in their environment, which
    tools that start a session of their own inherit too.
    """
    leases = list(leases_under(lease))
    leading = [pid for path in leases if (pid := read_identity(path))]
    found = dict.fromkeys(descendants(leading))
    if not leases or len(leading) + sum(map(is_over, leases)) < len(leases):
        found |= dict.fromkeys(marked(lease))
    return [pid for pid in found if pid not in (*leading, os.getpid())], leading


def leases_under(lease: str) -> "Iterator[str]":
    """The lease, and those whose name begins so, as far as they are signed."""
    folder, beginning = os.path.split(lease)
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except OSError:
        return
    yield from (f"{folder}/{name}" for name in names if name.startswith(beginning) and name.endswith(".lease"))


def are_over(lease: str) -> bool:
    """Whether nothing can be left under the lease, and those whose name begins so: it need not be looked for."""
    leases = list(leases_under(lease))
    return bool(leases) and all(map(is_over, leases))


def is_over(lease: str) -> bool:
    """Whether the lease's launcher has seen the last of what was beneath it end."""
    try:
        return os.stat(lease).st_size == 0  # noqa: PTH116 - pathlib is slow to import
    except OSError:
        return False


def empty(lease: str) -> None:
    """Makes it one that is over; one that is put away already stays so."""
    try:
        os.truncate(lease, 0)
    except OSError:
        return


def identity(pid: int) -> str:
    """The process id and, where it can be had, the start time, since ids are used again."""
    return f"{pid} {' '.join(stat(pid)[19:20])}"


def read_identity(path: str) -> int | None:
    """The process that a file names by its identity; None if that has ended."""
    try:
        with open(path) as file:  # noqa: PTH123
            text = file.read()
        pid = int(text.split()[0])
        os.kill(pid, 0)
    except (OSError, ValueError, IndexError):
        return None
    return pid if text == identity(pid) and stat(pid)[:1] != ["Z"] else None


def stat(pid: int) -> list[str]:
    """The fields of a process's stat behind its name: state, parent, and so on. Empty when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123
            return file.read().rpartition(b")")[2].decode().split()
    except OSError:
        return []


def pids() -> "Iterator[int]":
    if HAS_PROC:
        yield from (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208


def marked(lease: str) -> "Iterator[int]":
    """Live processes that have the lease, or one whose name begins so, in their environment."""
    mark = b"\0" + os.fsencode(f"{VARIABLE}={lease}")
    for pid in pids():
        if mark in environment(pid) and stat(pid)[:1] != ["Z"]:
            yield pid


def environment(pid: int) -> bytes:
    """The variables of a process, a zero byte before each. Nothing when it has ended, or is another user's.

    For a moment amid execve a process shows none (1 of 7 looks right after a start, with both cores busy): it is waited
    for, lest it be overlooked. That it has none is believed when it was whole before and after the look.
    """
    whole = False
    for _ in range(MOMENTS):
        try:
            with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:  # noqa: PTH123
                found = file.read()
        except OSError:
            break
        if found:
            return b"\0" + found
        was_whole, whole = whole, not is_amid_exec(stat(pid))
        if was_whole and whole:
            break
        if not whole:
            time.sleep(MOMENT)
    return b""


def is_amid_exec(fields: "list[str]") -> bool:
    """Whether a process has its new arguments (arg_start, field 48 of proc_pid_stat(5)) and no environment (50) yet.

    A kernel thread has neither.
    """
    return fields[45:46] != ["0"] and fields[47:48] == ["0"]


def descendants(roots: "Collection[int]") -> list[int]:
    """Live processes below the roots, each behind its parent."""
    if not roots:
        return []
    below = children if HAS_CHILDREN else all_children()
    found = dict.fromkeys(roots)
    ahead = list(found)
    for pid in ahead:  # which grows
        new = [child for child in below(pid) if child not in found]
        found |= dict.fromkeys(new)
        ahead += new
    return [pid for pid in ahead if pid not in roots and stat(pid)[:1] not in ([], ["Z"])]


def children(pid: int) -> "Collection[int]":
    """Its children, as the kernel lists them. That may leave one out as another ends, hence at least two looks."""
    before, found = None, list_children(pid)
    for _ in range(LOOKS):
        if found == before:
            break
        before, found = found, list_children(pid)
    return found


def list_children(pid: int) -> list[int]:
    """Each thread has those that it has started."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:  # noqa: PTH123
                found += map(int, file.read().split())
    except OSError:  # it has ended, or that thread has: then its children are another's at the next look
        pass
    return found


def all_children() -> "Callable[[int], Collection[int]]":
    """The same by one look at all processes."""
    table: dict[int, list[int]] = {}
    for pid in pids():
        if fields := stat(pid):
            table.setdefault(int(fields[1]), []).append(pid)
    return lambda pid: table.get(pid, ())


class Ending:
    """Ends processes, step by step: SIGTERM to each that is seen, SIGKILL after the grace, and launchers last.

    They are told in the order given. With parents first, no shell goes on because what it waited for was ended.
    A launcher ends by itself once nothing is left beneath it, with the status of its CLI.
    """

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._told: set[int] = set()

    def step(self, pids: "Collection[int]", leading: "Collection[int]" = ()) -> bool:
        """Sends the signals that are due. Gives whether to go on: not once all have ended, or after twice the GRACE."""
        waited = time.monotonic() - self._begun
        if not (pids or leading) or waited > 2 * GRACE:
            return False
        if waited > GRACE:
            send(pids, signal.SIGKILL)
        # A launcher that has nobody beneath it may be waiting for a session, or have just been started.
        self._tell(pids or leading)
        if waited > 1.25 * GRACE:
            send([each for pid in leading for each in (-pid, pid)], signal.SIGKILL)
        return True

    def _tell(self, pids: "Collection[int]") -> None:
        send([pid for pid in pids if pid not in self._told], signal.SIGTERM)
        self._told.update(pids)


def send(pids: "Iterable[int]", number: int) -> None:
    """Sends a signal to each process, or, for a negative id, to each of the group."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            continue  # it has ended


def end_all(lease: str) -> None:
    """Ends all that `processes_under` the lease finds. Returns when none is left, or after twice GRACE."""
    ending = Ending()
    while ending.step(*processes_under(lease)):
        time.sleep(0.02)
