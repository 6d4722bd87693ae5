"""What a command takes with all its descendants, and what the server saw of it."""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.request import Request, urlopen

from orchestrator.processes.tree import descendants, identity, stat
from tests.benchmarks.speed.contestants import ROOT, Contestant, Job

SET_CHILD_SUBREAPER = 36
LOOK = 0.2
"""Seconds from look to look at which processes there are; one that lives shorter may be missed."""
SHARE = 0.02
"""Of a core: more than this the reading of memory does not take."""
PATIENCE = 3.0
"""Seconds that what is left of a command has to end by itself, and again after SIGTERM."""


@dataclass(frozen=True, slots=True)
class Case:
    """How many agents of what kind."""

    agents: int
    reply: float
    """Seconds until a reply begins."""
    turns: int
    width: int

    @property
    def ideal(self) -> float:
        """Seconds that the replies alone take."""
        return -(-self.agents // self.width) * self.turns * self.reply


@dataclass(frozen=True, slots=True)
class Measured:
    """One command, once."""

    wall: float
    cpu: float
    """Seconds, of the command and of all that it started."""
    memory: int
    """Bytes at the peak: proportional set sizes."""
    processes: int
    status: int
    started: float
    """Seconds until the first request."""
    ended: float
    """Seconds from the end of the last reply until the command's own."""
    spread: float
    """Seconds from the first request until the last agent's first one."""
    requests: int
    """To the model."""
    other_requests: int
    finished: int
    """Agents."""
    refused: int
    """Tool calls that failed, which none should."""
    tokens: dict[str, int]
    """Of input, by how they are charged."""
    units: float


class Bench:
    """The server, and the processes that are no contestant's."""

    def __init__(self, server: "subprocess.Popen[str]", url: str) -> None:
        self.server, self.url = server, url

    def measure(self, contestant: Contestant, case: Case) -> Measured:
        """Runs the contestant once, in a folder of its own, and ends whatever it leaves behind."""
        with tempfile.TemporaryDirectory(prefix="speed", ignore_cleanup_errors=True) as folder:
            job = Job(Path(folder), self.url, case.agents, case.width)
            job.prepare()
            self.ask("/begin", {"reply": case.reply, "turns": case.turns, "file": str(job.file)})
            try:
                return self._measured(contestant, job, longest=60 + 10 * case.ideal + 5 * case.agents)
            except BaseException:
                self.end_all(patient=False)
                raise

    def _measured(self, contestant: Contestant, job: Job, longest: float) -> Measured:
        before = cpu_of_children()
        with watching(self.others) as watched, (job.folder / "output").open("wb") as output:
            began = time.monotonic()
            process = subprocess.Popen(
                contestant.command(job),
                cwd=job.work,
                env=job.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            with suppress(subprocess.TimeoutExpired):
                process.wait(longest)
            ended = time.monotonic()
        self.end_all()
        process.wait()
        if process.returncode:
            print(contestant.label, (job.folder / "output").read_text(errors="replace")[-2000:], file=sys.stderr)
        seen = self.ask("/figures", {})
        requests = seen["paths"].get("/v1/messages", 0)
        return Measured(
            wall=ended - began,
            cpu=cpu_of_children() - before,
            memory=watched.peak,
            processes=len(watched.seen),
            status=process.returncode,
            started=seen["first"] - began,
            ended=ended - seen["last"],
            spread=seen["latest_first"] - seen["first"],
            requests=requests,
            other_requests=sum(seen["paths"].values()) - requests,
            finished=seen["finished"],
            refused=seen["refused"],
            tokens=seen["charge"],
            units=seen["units"],
        )

    def ask(self, path: str, what: Any) -> Any:
        with urlopen(Request(self.url + path, json.dumps(what).encode())) as answer:
            return json.load(answer)

    def others(self) -> list[int]:
        """Live processes of a contestant; also those that have left their parents, since this process adopts them."""
        below = [pid for pid in descendants([os.getpid()]) if pid != self.server.pid]
        return [pid for pid in below if stat(pid)[:1] not in ([], ["Z"])]

    def end_all(self, patient: bool = True) -> None:
        """Waits for what a contestant left, then ends it: its CPU time counts once it is waited for."""
        for number in (0, signal.SIGTERM, signal.SIGKILL) if patient else (signal.SIGTERM, signal.SIGKILL):
            for pid in self.others():
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            deadline = time.monotonic() + PATIENCE
            while self.others() and time.monotonic() < deadline:
                reap(self.server.pid)
                time.sleep(0.02)
        reap(self.server.pid)


def reap(kept: int) -> None:
    """Waits for children that have ended, but for one."""
    for pid in descendants([os.getpid()]):
        if pid != kept and stat(pid)[:2] == ["Z", str(os.getpid())]:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def cpu_of_children() -> float:
    """Seconds of the children that were waited for, with all that they waited for themselves."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass
class Watched:
    """What was seen of processes."""

    peak: int = 0
    """Bytes."""
    seen: set[str] = field(default_factory=set)
    """Process ids with start times."""


@contextmanager
def watching(pids: Any) -> Iterator[Watched]:
    """Looks at processes in a thread."""
    watched, over = Watched(), Event()
    thread = Thread(target=watch, args=(pids, watched, over))
    thread.start()
    try:
        yield watched
    finally:
        over.set()
        thread.join()


def watch(pids: Any, watched: Watched, over: Event) -> None:
    """Memory is read where it may be at its peak, and no more often than `SHARE` allows: the kernel adds up pages."""
    next_look, largest = 0.0, 0
    while not over.wait(LOOK):
        there = pids()
        watched.seen |= {identity(pid) for pid in there}
        size = sum(map(resident, there))
        if time.monotonic() >= next_look and size >= 0.9 * largest:
            largest, began = max(largest, size), time.thread_time()
            watched.peak = max(watched.peak, sum(map(proportional, there)))
            next_look = time.monotonic() + (time.thread_time() - began) / SHARE


def resident(pid: int) -> int:
    """Pages."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0


def proportional(pid: int) -> int:
    """Bytes, of which those shared are divided among those that share them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


@contextmanager
def open_bench() -> Iterator[Bench]:
    """The server, and afterwards nothing: whatever was started ends with the block."""
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    command = [sys.executable, "-m", "tests.benchmarks.speed.server"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as server:
        assert server.stdout
        bench = Bench(server, server.stdout.readline().strip())
        try:
            yield bench
        finally:
            bench.end_all(patient=False)
            server.kill()
