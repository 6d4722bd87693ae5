"""Warm processes: one that is done with a task begins a new conversation, and takes the next task of its kind."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio import CapacityLimiter, to_thread
from anyio.abc import TaskGroup
from claude_agent_sdk import SystemMessage

from orchestrator.agents.moving import move
from orchestrator.agents.process import LONGEST_CLEAR, Process
from orchestrator.errors import bare_errors
from orchestrator.machine import cores, local_machine
from orchestrator.processes.company import find_cli
from orchestrator.processes.usage import private, resident

MOST_TASKS = 50
"""Tasks that a process serves before another takes its place."""
MOST_GROWTH = 200_000_000
"""Bytes that it may have grown by since its first task: twelve tasks of one turn made 15 MB."""
LONGEST_IDLE = 60.0
"""Seconds that a process waits for another task."""
LOOK, SCARCE = 2.0, 0.1
"""Seconds from look to look whether the machine's memory is scarce: when less than that share of it can be had."""
LAST_WORDS = 0.5
"""Seconds that an idle process has to go by its own accord: it takes 0.05 s."""
LONGEST_START = 10.0
"""Seconds that a process may keep others from starting."""

Start = Callable[[], Awaitable[Process]]
"""Makes a process, which is not started yet."""


@dataclass(slots=True, eq=False)
class Member:
    """A process of the pool."""

    process: Process
    kind: str | None
    """None: nobody else may have it."""
    directory: Path
    place: tuple[int, int] | None
    """What tells the directory from another that is called so later (device and inode)."""
    tasks: int = 0
    """How many it has served."""
    memory: int = 0
    """Bytes that its CLI had after the first of them."""
    spare: int = 0
    """Bytes that are free again when it goes."""


@dataclass(slots=True, eq=False)
class Waiter:
    """Somebody who can have no process yet."""

    kind: str | None
    woken: anyio.Event = field(default_factory=anyio.Event)
    """Set when there may be one for it, once."""


class Pool:
    """The processes of a run; make one with `open_pool`."""

    def __init__(self, group: TaskGroup) -> None:
        self._group = group
        self._all: set[Member] = set()
        self._idle: list[Member] = []
        """Those not in use; the one that waits longest comes first."""
        self._busy = self._widest = self._starting = 0
        self._waiting: deque[Waiter] = deque()
        self._thread = CapacityLimiter(1)

    @asynccontextmanager
    async def process(self, kind: str | None, directory: Path, start: Start) -> AsyncIterator[Process]:
        """A process for one task, as long as the block lasts. There are no more than were ever wanted at once.

        An idle one of the kind in that directory, or one that can be taken there; else a new one, as soon as fewer
        than a process per core are starting. Raises what `start` does.
        """
        with self._counted():
            member = await self._take(kind, directory, start)
            try:
                yield member.process
            finally:
                with anyio.CancelScope(shield=True):
                    await self._put_back(member)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._busy += 1
        self._widest = max(self._widest, self._busy)
        try:
            yield
        finally:
            self._busy -= 1

    async def _take(self, kind: str | None, directory: Path, start: Start) -> Member:
        add = self._waiting.append
        while True:
            if member := self._choose(kind, directory):
                self._remove(member)
                self._wake()
                try:
                    if await prepare(member, directory):
                        return member
                except BaseException:
                    self._retire(member)
                    raise
                self._retire(member)
            elif self._starting < cores():
                return await self._begin(kind, directory, start)
            else:
                add(waiter := Waiter(kind))
                await self._wait(waiter)
                add = self._waiting.appendleft  # should somebody have come before it: it still waits longest

    async def _wait(self, waiter: Waiter) -> None:
        try:
            await waiter.woken.wait()
        except BaseException:
            if waiter.woken.is_set():
                self._wake()
            else:
                self._waiting.remove(waiter)
            raise

    def _wake(self) -> None:
        """Wakes one that waits and can be served, who wakes the next. (All of a thousand would go back to sleep.)"""
        free, kinds = self._starting < cores(), {each.kind for each in self._idle}
        if waiter := next((each for each in self._waiting if free or each.kind in kinds), None):
            self._waiting.remove(waiter)
            waiter.woken.set()

    def _choose(self, kind: str | None, directory: Path) -> Member | None:
        """The best of the idle ones: in the directory already, idle for the shortest time."""
        alike = [each for each in reversed(self._idle) if kind is not None and each.kind == kind]
        there = (each for each in alike if is_at(each, directory))
        return next(there, None) or next(iter(alike), None)

    async def _begin(self, kind: str | None, directory: Path, start: Start) -> Member:
        self._make_room()
        self._starting += 1
        self._wake()
        try:
            member = Member(await start(), kind, directory, identity(directory))
        except BaseException:
            self._started()
            raise
        self._all.add(member)
        self._group.start_soon(self._live, member)
        self._group.start_soon(self._hold_place, member)
        return member

    async def _live(self, member: Member) -> None:
        await member.process.live()
        self._all.discard(member)

    async def _hold_place(self, member: Member) -> None:
        """Holds one of the places for processes that are starting, though not for long: a hook may take its time."""
        with anyio.move_on_after(LONGEST_START):
            await member.process.began.wait()
        self._started()

    def _started(self) -> None:
        self._starting -= 1
        self._wake()

    def _make_room(self) -> None:
        """Before a process more: of those that nobody wants just now so many go that there are never more than ever."""
        while self._idle and self._busy + len(self._idle) > self._widest:
            self._send_away(self._idle[0])
        if self._idle and is_scarce():
            self._send_away(self._idle[0])

    def _add(self, member: Member) -> None:
        self._idle.append(member)
        local_machine().spare += member.spare

    def _remove(self, member: Member) -> None:
        self._idle.remove(member)
        local_machine().spare -= member.spare

    def _send_away(self, member: Member) -> None:
        self._remove(member)
        self._retire(member)

    async def _put_back(self, member: Member) -> None:
        """Of a process that is no good for others nothing is left when this returns: the workspace may be put away."""
        member.tasks += 1
        kept = member.process.cleared and member.kind is not None and member.tasks < MOST_TASKS
        if not kept or not await to_thread.run_sync(is_sound, member, limiter=self._thread):
            await dismiss(member.process)
            return
        self._add(member)
        self._group.start_soon(self._keep, member, member.tasks)
        self._wake()

    async def _keep(self, member: Member, tasks: int) -> None:
        """Sends it away when nobody wants it for long, or others want the memory."""

        def idle() -> bool:
            return member in self._idle and member.tasks == tasks

        with anyio.move_on_after(LONGEST_IDLE):
            while idle() and not member.process.over.is_set():
                with anyio.move_on_after(LOOK):
                    await member.process.over.wait()
                if is_scarce():
                    break
        if idle():
            self._send_away(member)

    def _retire(self, member: Member) -> None:
        self._group.start_soon(dismiss, member.process)

    async def close(self) -> None:
        """Ends all processes. Returns when none is left."""
        for member in list(self._idle):
            self._remove(member)
        async with anyio.create_task_group() as group:
            for member in self._all:
                group.start_soon(dismiss, member.process)


async def prepare(member: Member, directory: Path) -> bool:
    """Takes it to the directory; gives whether it is there, and good for another task."""
    if not is_quiet(member.process):
        return False
    if not is_at(member, directory) and not await take_to(member.process, directory):
        return False
    member.directory, member.place = directory, identity(directory)
    return not member.process.over.is_set()


def is_at(member: Member, directory: Path) -> bool:
    """Whether it works there. One whose directory was removed, and made again, sits in what is no more."""
    return member.directory == directory and member.place == identity(directory)


def identity(directory: Path) -> tuple[int, int] | None:
    """What the directory is, whatever it is called; None where there is none."""
    try:
        found = directory.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_quiet(process: Process) -> bool:
    """Whether it is there, and has done nothing that nobody asked for."""
    while not process.over.is_set():
        try:
            message = process.messages.receive_nowait()
        except anyio.WouldBlock:
            return True
        if not isinstance(message, SystemMessage):
            return False
    return False


async def take_to(process: Process, directory: Path) -> bool:
    """Has an idle process begin a new conversation in that directory; gives whether that went well."""
    try:
        with anyio.move_on_after(LONGEST_CLEAR):
            if await move(process.client, directory) and await process.settle():
                process.clear()
                return await process.settle()
    except Exception:  # whatever the SDK raises
        return False
    return False


def is_sound(member: Member) -> bool:
    """Whether the CLI is alone, and has not grown too much."""
    cli = find_cli(member.process.lease)
    if cli is None:
        return False
    memory = resident(cli)
    member.memory, member.spare = member.memory or memory, private(cli)
    return memory - member.memory < MOST_GROWTH


def is_scarce() -> bool:
    """Whether the machine has little memory left."""
    found = local_machine().look()
    return found.available < SCARCE * found.total


async def dismiss(process: Process) -> None:
    """Lets it go, or ends it if it does not. Returns when nothing of it is left."""
    try:
        process.finish()
        with anyio.move_on_after(LAST_WORDS):
            await process.ended.wait()
        await process.destroy()
    finally:
        process.messages.close()


@asynccontextmanager
async def open_pool() -> AsyncIterator[Pool]:
    """A pool whose processes are all ended when the block is left."""
    with bare_errors():
        async with anyio.create_task_group() as group:
            pool = Pool(group)
            try:
                yield pool
            finally:
                with anyio.CancelScope(shield=True):
                    await pool.close()
