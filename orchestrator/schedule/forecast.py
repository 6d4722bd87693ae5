"""How long tasks will take together: they are gone through in our own order, on a clock that jumps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from orchestrator.paths import Placed, Point, Timed, own_seconds, points_before
from orchestrator.schedule.order import Order


@dataclass(frozen=True, slots=True)
class Span:
    """When a task is at work, in seconds from the beginning."""

    start: float
    end: float


def simulate(tasks: Sequence[Timed], width: int, expect: Callable[[Placed], float] | None = None) -> float:
    """Seconds that a run of these tasks takes with at most `width` (1 or more) at once.

    `expect` is what the order knows of a task's time; None: exactly what it takes. Time between tasks is not counted.
    Raises ValueError for tasks that wait for each other in a circle.
    """
    return max((span.end for span in spans(tasks, width, expect).values()), default=0.0)


def spans(tasks: Sequence[Timed], width: int, expect: Callable[[Placed], float] | None = None) -> dict[str, Span]:
    """When each task is at work, in such a run, in the order of their starts; groups that have parts are left out."""
    clock = _Clock(tasks, expect)
    while clock.go_on(width):
        pass
    if any(clock.waiting.values()):
        raise ValueError("these tasks wait for each other in a circle")
    return clock.spans


class _Clock:
    """A run that takes no time."""

    def __init__(self, tasks: Sequence[Timed], expect: Callable[[Placed], float] | None) -> None:
        self.spans: dict[str, Span] = {}
        before = points_before(tasks)
        self.waiting = {point: len(mine) for point, mine in before.items()}
        self._after: dict[Point, list[Point]] = {point: [] for point in before}
        self._seconds = own_seconds(tasks, before)
        self._free = {Point(task.id) for task in tasks if task.is_free} & self._seconds.keys()
        self._busy = 0
        self._now = 0.0
        self._ends: list[tuple[float, int, Point]] = []
        self._order: Order[Placed] = Order(expect or (lambda task: self._seconds.get(Point(task.id), 0.0)))
        self._order.add(tasks)
        for point, mine in before.items():
            for each in mine:
                self._after[each].append(point)
        for point in [point for point, count in self.waiting.items() if not count]:
            if not self._arrive(point):
                self._end(point)

    def go_on(self, width: int) -> bool:
        """Fills the free places, and lets the next task end; False when nothing is left."""
        while self._busy < width and (task := self._order.pop()) is not None:
            self._begin(Point(task))
        if not self._ends:
            return False
        self._now, _, point = heappop(self._ends)
        self._end(point)
        while self._ends and self._ends[0][0] <= self._now:
            self._end(heappop(self._ends)[2])
        return True

    def _begin(self, point: Point) -> None:
        end = self._now + self._seconds[point]
        heappush(self._ends, (end, len(self.spans), point))
        self.spans[point.task] = Span(self._now, end)
        self._busy += point not in self._free

    def _end(self, ended: Point) -> None:
        self._busy -= ended in self._seconds and ended not in self._free
        points = [ended]
        while points:
            for point in self._after[points.pop()]:
                self.waiting[point] -= 1
                if not self.waiting[point] and not self._arrive(point):
                    points.append(point)

    def _arrive(self, point: Point) -> bool:
        """Whether it takes time: then it starts now, or waits for a place. A group's start and end take none."""
        if point in self._free:
            self._begin(point)
        elif point in self._seconds:
            self._order.push(point.task)
        return point in self._seconds
