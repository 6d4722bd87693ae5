"""Warm processes: one that is done with a task begins a new conversation, and takes the next task of its kind.

Spares are started ahead, for tasks that are expected, and parked: they wait to be claimed for one of them.
"""

import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio import CapacityLimiter, to_thread
from anyio.abc import TaskGroup

from orchestrator.agents.kinds import Kinds
from orchestrator.agents.member import Member, claimed, dismiss, identity, is_at, is_sound, prepare, weigh
from orchestrator.agents.process import Process
from orchestrator.errors import bare_errors
from orchestrator.machine import cores, local_machine

MOST_TASKS = 50
"""Tasks that a process serves before another takes its place."""
LONGEST_IDLE = 60.0
"""Seconds that a process waits for another task."""
LOOK, SCARCE = 2.0, 0.1
"""Seconds from look to look whether the machine's memory is scarce: when less than that share of it can be had."""
LONGEST_START = 10.0
"""Seconds that a process may keep others from starting."""
CALM = 1.0
"""Seconds without the start of a process that somebody waits for, before one is started ahead."""
LONGEST_SPARE = 600.0
"""Seconds that a spare waits to be claimed: the next place may be free as late."""

Start = Callable[[], Awaitable[Process]]
"""Makes a process, which is not started yet."""


@dataclass(slots=True, eq=False)
class Waiter:
    """Somebody who can have no process yet."""

    kinds: Kinds
    woken: anyio.Event = field(default_factory=anyio.Event)
    """Set when there may be one for it, once."""


class Pool:
    """The processes of a run; make one with `open_pool`."""

    def __init__(self, group: TaskGroup) -> None:
        self._group = group
        self._all: set[Member] = set()
        self._idle: list[Member] = []
        """Those not in use; the one that waits longest comes first."""
        self._spares: list[Member] = []
        """Those started ahead, and parked."""
        self._busy = self._widest = self._starting = self._coming = 0
        self._waiting: deque[Waiter] = deque()
        self._wanted = -math.inf
        """When somebody last needed a process that was not there, on the event loop's clock (s)."""
        self._may_park, self._closing = True, False
        self._stirred = anyio.Event()
        self._thread = CapacityLimiter(1)

    @asynccontextmanager
    async def process(self, kinds: Kinds, directory: Path, start: Start) -> AsyncIterator[Process]:
        """A process for one task, as long as the block lasts. But for spares no more are kept than were ever in use.

        An idle one of the kind in that directory, or one that can be taken there, or a spare; else a new one, as soon
        as fewer than a process per core are starting. Raises what `start` does.
        """
        with self._counted():
            member = await self._take(kinds, directory, start)
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

    def expect(self, kind: str, directory: Path, start: Start, *, shared: bool) -> None:
        """Starts a spare of the kind in the directory, unless there are as many spares as cores, or memory is scarce.

        It is started once nobody waits for a start, with what `start` makes; none is started for whoever may share
        (`shared`) while there is a process of the kind: it will take that. Raises nothing.
        """
        if self._may_park and len(self._spares) + self._coming < cores() and not (shared and self._serves(kind)):
            if not self._all:  # whoever has the places is about to need processes, and comes first
                self._wanted = anyio.current_time()
            self._coming += 1
            self._group.start_soon(self._start_ahead, kind, directory, start, shared)

    def _serves(self, kind: str) -> bool:
        """Whether a process serves tasks for which a spare of the kind would do."""
        return any(each.kinds.shared and each.kinds.spare == kind for each in self._all)

    async def _start_ahead(self, kind: str, directory: Path, start: Start, shared: bool) -> None:
        try:
            if not await self._calm() or is_scarce() or (shared and self._serves(kind)):
                return
            member = await self._begin(Kinds(spare=kind), directory, start)
            self._spares.append(member)
            self._wake()
        except OSError:
            return  # no room for its state: whoever needs a process tells
        finally:
            self._coming -= 1
            self._stir()
        self._group.start_soon(self._keep, member, self._spares, LONGEST_SPARE)
        await member.process.began.wait()
        freed = await to_thread.run_sync(weigh, member, limiter=self._thread)
        if member in self._spares:
            member.spare = freed
            local_machine().spare += freed

    async def _calm(self) -> bool:
        """Returns once no start is waited for; False when no further process is wanted at all."""
        while not self._closing:
            rest = self._wanted + CALM - anyio.current_time()
            if rest <= 0 and not self._starting and not self._waiting:
                return True
            with anyio.move_on_after(rest if rest > 0 else math.inf):
                await self._stirred.wait()
        return False

    async def _take(self, kinds: Kinds, directory: Path, start: Start) -> Member:
        add = self._waiting.append
        while True:
            if member := self._choose(kinds.shared, directory):
                self._remove(member, self._idle)
                self._wake()
                try:
                    if await prepare(member, directory):
                        return member
                except BaseException:
                    self._retire(member)
                    raise
                self._retire(member)
            elif member := next((each for each in self._spares if each.kinds.spare == kinds.spare), None):
                self._remove(member, self._spares)
                self._wake()
                if await self._claim(member, kinds, directory):
                    return member
            elif self._starting < cores():
                self._make_room()
                self._wanted = anyio.current_time()
                return await self._begin(kinds, directory, start)
            else:
                add(waiter := Waiter(kinds))
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
        free, shared = self._starting < cores(), {each.kinds.shared for each in self._idle}
        spare = {each.kinds.spare for each in self._spares}
        for waiter in self._waiting:
            if free or waiter.kinds.shared in shared or waiter.kinds.spare in spare:
                self._waiting.remove(waiter)
                waiter.woken.set()
                return

    async def _claim(self, member: Member, kinds: Kinds, directory: Path) -> bool:
        """Takes a spare to the directory. If that fails once, the CLI is none that can do it."""
        try:
            if await claimed(member.process, directory):
                member.kinds, member.directory, member.place = kinds, directory, identity(directory)
                return True
        except BaseException:
            self._retire(member)
            raise
        self._may_park = False
        self._retire(member)
        for other in list(self._spares):
            self._send_away(other, self._spares)
        return False

    def _choose(self, kind: str | None, directory: Path) -> Member | None:
        """The best of the idle ones: in the directory already, idle for the shortest time."""
        alike = [each for each in reversed(self._idle) if kind is not None and each.kinds.shared == kind]
        there = (each for each in alike if is_at(each, directory))
        return next(there, None) or next(iter(alike), None)

    async def _begin(self, kinds: Kinds, directory: Path, start: Start) -> Member:
        self._starting += 1
        self._wake()
        try:
            member = Member(await start(), kinds, directory, identity(directory))
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
        self._stir()

    def _stir(self) -> None:
        self._stirred.set()
        self._stirred = anyio.Event()

    def _make_room(self) -> None:
        """Before a process more: of those that nobody wants just now so many go that there are never more than ever."""
        while self._idle and self._busy + len(self._idle) > self._widest:
            self._send_away(self._idle[0], self._idle)
        if (among := self._spares or self._idle) and is_scarce():
            self._send_away(among[0], among)

    def _remove(self, member: Member, among: list[Member]) -> None:
        among.remove(member)
        local_machine().spare -= member.spare

    def _send_away(self, member: Member, among: list[Member]) -> None:
        self._remove(member, among)
        self._retire(member)

    async def _put_back(self, member: Member) -> None:
        """Of a process that is no good for others nothing is left when this returns: the workspace may be put away."""
        member.tasks += 1
        kept = member.process.cleared and member.kinds.shared is not None and member.tasks < MOST_TASKS
        if not kept or not await to_thread.run_sync(is_sound, member, limiter=self._thread):
            await dismiss(member.process)
            return
        self._idle.append(member)
        local_machine().spare += member.spare
        self._group.start_soon(self._keep, member, self._idle, LONGEST_IDLE)
        self._wake()

    async def _keep(self, member: Member, among: list[Member], longest: float) -> None:
        """Sends it away when nobody wants it for so many seconds, or others want the memory."""
        tasks = member.tasks

        def waits() -> bool:
            return member in among and member.tasks == tasks

        with anyio.move_on_after(longest):
            while waits() and not member.process.over.is_set():
                with anyio.move_on_after(LOOK):
                    await member.process.over.wait()
                if is_scarce():
                    break
        if waits():
            self._send_away(member, among)

    def _retire(self, member: Member) -> None:
        self._group.start_soon(dismiss, member.process)

    async def close(self) -> None:
        """Ends all processes. Returns when none is left."""
        self._closing = True
        self._stir()
        while self._coming:  # one that is only just being made would live on, and nobody would end it
            await self._stirred.wait()
        for among in (self._idle, self._spares):
            for member in list(among):
                self._remove(member, among)
        async with anyio.create_task_group() as group:
            for member in self._all:
                group.start_soon(dismiss, member.process)


def is_scarce() -> bool:
    """Whether the machine has little memory left."""
    found = local_machine().look()
    return found.available < SCARCE * found.total


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
