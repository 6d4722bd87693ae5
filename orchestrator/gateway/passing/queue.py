"""Who goes next: requests wait here for what pacing allows, agent after agent, and none is ever refused.

An agent is a Claude session. Within one the order is kept. A request whose client has gone away costs nothing; since a
CLI that hangs up on a server that says nothing asks again, its session keeps its place for a while.
"""

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from orchestrator.gateway.passing.pacing import EVERYTHING, Key, Need, Pacing, Sent

KEPT = 60.0
"""Seconds that a session keeps its place whose request has left."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A request in the queue."""

    need: Need
    sent: "asyncio.Future[Sent]"


@dataclass(slots=True)
class Line:
    """The requests of one session."""

    requests: deque[Waiting] = field(default_factory=deque)
    kept_until: float = -math.inf


class Queue:
    """Of the gateway's event loop, which is asyncio's."""

    def __init__(self, pacing: Pacing) -> None:
        self.pacing = pacing
        self._lines: OrderedDict[str, Line] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(len(line.requests) for line in self._lines.values())

    async def turn(self, session: str, need: Need, *, again: bool = False) -> Sent:
        """Returns when the request may go; from then on it counts. With `again` it is before all others: it had its
        turn, and was refused."""
        loop = asyncio.get_running_loop()
        waiting = Waiting(need, loop.create_future())
        line = self._lines.setdefault(session, Line())
        if again:
            line.requests.appendleft(waiting)
            self._lines.move_to_end(session, last=False)
        else:
            line.requests.append(waiting)
        self.pump()
        try:
            return await waiting.sent
        except asyncio.CancelledError:
            self._leave(session, waiting)
            raise

    def pump(self) -> None:
        """Lets go what may go now, and looks again when more may."""
        now = asyncio.get_running_loop().time()
        while (chosen := self._choose(now)) is not None:
            session, line = chosen
            waiting = line.requests.popleft()
            self._lines.move_to_end(session)
            if not line.requests:
                del self._lines[session]
            waiting.sent.set_result(self.pacing.take(waiting.need, now))

    def _choose(self, now: float) -> tuple[str, Line] | None:
        """The first line whose request may go. What one waits for, no other takes before it."""
        blocked: set[Key] = set()
        earliest = math.inf
        for session, line in self._heads(now):
            due, lacking = self.pacing.due(line.requests[0].need, now)
            if due <= now and not any(key in blocked for key in self.pacing.keys(line.requests[0].need)):
                return session, line
            blocked |= lacking
            earliest = min(earliest, due)
            if EVERYTHING in blocked or any(not model for model, _ in blocked):
                break  # everybody needs that
        self._look_again(earliest)
        return None

    def _heads(self, now: float) -> Iterator[tuple[str, Line]]:
        for session, line in list(self._lines.items()):
            while line.requests and line.requests[0].sent.cancelled():  # its task has not noticed yet
                line.requests.popleft()
                line.kept_until = now + KEPT
            if line.requests:
                yield session, line
            elif line.kept_until < now:
                del self._lines[session]

    def _look_again(self, at: float) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if math.isfinite(at):
            self._timer = asyncio.get_running_loop().call_at(at, self.pump)

    def _leave(self, session: str, waiting: Waiting) -> None:
        """Drops a request whose client has gone away, also when it was just let go."""
        if waiting.sent.done() and not waiting.sent.cancelled():
            self.pacing.undo(waiting.sent.result())
        else:
            line = self._lines.setdefault(session, Line())
            with suppress(ValueError):  # dropped already
                line.requests.remove(waiting)
            line.kept_until = asyncio.get_running_loop().time() + KEPT
        self.pump()
