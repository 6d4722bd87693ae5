"""Order: which of the tasks that are ready is next."""

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count, islice
from typing import Generic, TypeVar

from orchestrator.paths import Placed, in_order, points_before

Kind = TypeVar("Kind", bound=Placed)

REACH = 64
"""How many tasks added earlier are looked at, at most, for each task and each need that is added."""


@dataclass(slots=True, eq=False)
class _Spot:
    """A task with what is known of what comes behind it."""

    id: str
    seconds: float
    needs: "list[_Spot]"
    group: "_Spot | None"
    parts: "list[_Spot]" = field(default_factory=list)
    behind: float = 0.0
    """Seconds of the longest path through what waits for its end."""
    rank: float = 0.0
    """Seconds of the longest path from its start on."""
    number: int | None = None
    """Which of those that became ready it was."""
    lane: Hashable = None
    ranked: bool = False
    popped: bool = False


class Order(Generic[Kind]):
    """Tasks by rank: the one with the longest path still before it first; of equal ones, the first to be ready.

    A task's rank is its own expected time and the longest path through those that wait for it; behind a part of a group
    comes also what waits for the group, and for the group's group. A group counts with its own expected time, or with
    its parts' longest path where that is known and longer. With equal times it is the number of tasks on that path.

    Tasks that are added between two choices are one batch. Within a batch ranks are exact, by one pass from its last
    task to its first. What a batch changes in the ranks of tasks added before goes up from it, nearest first, and stops
    where nothing changes, at tasks that have been popped, and after `REACH` looks for each task and need of the batch.
    So time grows with tasks and needs, however they are added: a chain of 100,000, one at a time, would otherwise take
    five billion looks. A rank may then be too low, which costs time at most: what is started is ready all the same.
    """

    def __init__(self, expect: Callable[[Kind], float]) -> None:
        """`expect` gives the seconds that a task is expected to take. It is asked once for each."""
        self._expect = expect
        self._spots: dict[str, _Spot] = {}
        self._batch: list[Kind] = []
        """Tasks without ranks yet."""
        self._arrived: list[_Spot] = []
        """Those that are ready, and not in the heap yet."""
        self._heaps: dict[Hashable, list[tuple[float, int, _Spot]]] = {}
        """By lane. A task is in it again when its rank has grown; what has been popped may still be in it."""
        self._numbers = count()
        self._ready = 0

    def __len__(self) -> int:
        """How many are ready."""
        return self._ready

    def add(self, tasks: Sequence[Kind]) -> None:
        """Takes tasks whose needs and group were added before, or are among them; others count for nothing."""
        self._batch.extend(tasks)
        for task in tasks:
            self._spots[task.id] = _Spot(task.id, self._expect(task), [], None)

    def push(self, task: str, lane: Hashable = None) -> None:
        """The task, which has been added, is ready, in one of the lanes whose tasks may have to wait for each other.

        Raises KeyError for one that has not been added.
        """
        spot = self._spots[task]
        spot.number, spot.lane = next(self._numbers), lane
        self._arrived.append(spot)
        self._ready += 1

    def pop(self) -> str | None:
        """Takes out the ready task that is next; None when none is ready."""
        first = next(iter(self.firsts()), None)
        if first is not None:
            self.take(first)
        return first

    def firsts(self) -> list[str]:
        """Of each lane the ready task that is next in it, the best of them first."""
        if self._ready == 1 and self._arrived:
            return [self._arrived[0].id]  # no choice, so the ranks can wait
        self._rank_batch()
        for heap in self._heaps.values():
            while heap and heap[0][2].popped:
                heappop(heap)
        # No two have one number, so that spots are not compared.
        return [spot.id for _, _, spot in sorted(heap[0] for heap in self._heaps.values() if heap)]

    def next(self, number: int) -> list[str]:
        """At most so many of those that are ready, the best of them first, whatever their lanes; they stay there.

        There are fewer where many have been popped, or have got another rank, since they became ready.
        """
        self._rank_batch()
        heaps = list(self._heaps.values())
        fringe = [(heap[0], lane, 0) for lane, heap in enumerate(heaps) if heap]
        heapify(fringe)
        found: dict[str, None] = {}
        for _ in range(REACH):
            if not fringe or len(found) >= number:
                break
            (_, _, spot), lane, place = heappop(fringe)
            if not spot.popped:
                found[spot.id] = None
            below = heaps[lane][2 * place + 1 : 2 * place + 3]
            for offset, entry in enumerate(below, 1):
                heappush(fringe, (entry, lane, 2 * place + offset))
        return list(found)

    def take(self, task: str) -> None:
        """Takes out one of the `firsts`."""
        self._spots[task].popped = True
        self._ready -= 1
        if self._arrived:
            self._arrived.clear()  # it was the only one

    def rank(self, task: str) -> float:
        """Seconds of the longest path from its start on; of one that has been popped, as it was then."""
        self._rank_batch()
        return self._spots[task].rank

    def _rank_batch(self) -> None:
        batch, self._batch = self._batch, []
        for task in batch:
            self._link(task)
        changed: deque[_Spot] = deque()
        for spot in self._last_first(batch) if batch else ():
            self._pass_on(spot, changed)
        self._go_up(changed, REACH * sum(1 + len(task.needs) for task in batch))
        for spot in self._arrived:
            self._enter(spot)
        self._arrived.clear()

    def _link(self, task: Kind) -> None:
        spot = self._spots[task.id]
        spot.needs = [self._spots[need] for need in task.needs if need in self._spots]
        spot.group = self._spots.get(task.parent) if task.parent else None
        if spot.group:
            spot.group.parts.append(spot)
            spot.behind = spot.group.behind
        spot.rank = spot.seconds + spot.behind

    def _last_first(self, batch: Sequence[Kind]) -> list[_Spot]:
        """Each after all those that come behind it; a group before its parts, and once more after them."""
        if came_in_order(batch):
            return [self._spots[task.id] for task in reversed(batch)]
        return [self._spots[point.task] for point in reversed(in_order(points_before(batch)))]

    def _pass_on(self, spot: _Spot, changed: deque[_Spot], room: int | None = None) -> None:
        """Raises what comes before the task, its group and its parts, at most `room` of each."""
        spot.ranked = True
        for need in islice(spot.needs, room):
            self._raise(need, spot.rank, need.seconds + spot.rank, changed)
        for part in islice(spot.parts, room):
            self._raise(part, spot.behind, part.seconds + spot.behind, changed)
        if spot.group:
            self._raise(spot.group, 0.0, spot.rank, changed)

    def _raise(self, spot: _Spot, behind: float, rank: float, changed: deque[_Spot]) -> None:
        if (behind <= spot.behind and rank <= spot.rank) or (spot.popped and not spot.parts):
            return
        spot.behind = max(spot.behind, behind)
        if rank > spot.rank:
            spot.rank = rank
            self._enter(spot)
        if spot.ranked:
            changed.append(spot)  # its turn has been; of the others it comes

    def _go_up(self, changed: deque[_Spot], looks: int) -> None:
        while changed and looks > 0:
            spot = changed.popleft()
            self._pass_on(spot, changed, looks)
            looks -= 1 + len(spot.needs) + len(spot.parts)

    def _enter(self, spot: _Spot) -> None:
        if spot.number is not None and not spot.popped:
            heappush(self._heaps.setdefault(spot.lane, []), (-spot.rank, spot.number, spot))


def came_in_order(batch: Sequence[Placed]) -> bool:
    """Whether each task comes after those that it needs, and no group beside its parts: then nothing need be sorted."""
    to_come = {task.id for task in batch}
    if any(task.parent in to_come for task in batch):
        return False
    for task in batch:
        if not to_come.isdisjoint(task.needs):
            return False
        to_come.discard(task.id)
    return True
