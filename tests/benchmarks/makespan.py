"""How long runs take in our order and in the order of arrival, beside what no order can beat: simulated, seeded.

The usual bound, max(longest path, work / width), cannot always be reached: while the first or the last tasks of a
graph are at work there is nothing for the other places to do. `reachable` finds a higher one, below which there is
no order either. Small graphs are solved exactly.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapreplace, nsmallest
from statistics import fmean, quantiles

from rich.console import Console
from rich.table import Table

from orchestrator.paths import Timed, critical_path, lower_bound
from orchestrator.schedule.forecast import simulate, spans
from orchestrator.schedule.order import Order

SEED, PER_SHAPE = 7, 40
WIDTHS = (2, 3, 4, 6, 8, 10, 12, 16)
SMALL, SMALL_WIDTHS = 8, (2, 3)

Shape = Callable[[random.Random], list[Timed]]


def long_tailed(dice: random.Random) -> float:
    """Seconds as agents take them: a median of a minute, one in a hundred above ten."""
    return dice.lognormvariate(4.1, 1.0)


def layered(dice: random.Random) -> list[Timed]:
    """Layers of 1 to 30 tasks, each waiting for up to three of the layer before."""
    tasks: list[Timed] = []
    before: list[str] = []
    for layer in range(dice.randint(3, 8)):
        names = [f"{layer}.{index}" for index in range(dice.randint(1, 30))]
        for name in names:
            needs = dice.sample(before, min(len(before), dice.randint(1, 3)))
            tasks.append(Timed(name, long_tailed(dice), needs))
        before = names
    return tasks


def scattered(dice: random.Random) -> list[Timed]:
    """Up to 150 tasks, each waiting for up to three of the earlier ones."""
    tasks: list[Timed] = []
    for index in range(dice.randint(20, 150)):
        needs = dice.sample(range(index), min(index, dice.choice([0, 0, 1, 2, 3])))
        tasks.append(Timed(f"{index}", long_tailed(dice), [f"{need}" for need in needs]))
    return tasks


def chains(dice: random.Random) -> list[Timed]:
    """Chains of 3 to 10 tasks that come last, behind up to 80 tasks that nothing waits for."""
    tasks = [Timed(f"side.{index}", long_tailed(dice)) for index in range(dice.randint(20, 80))]
    for chain in range(dice.randint(1, 4)):
        for index in range(dice.randint(3, 10)):
            needs = [f"chain.{chain}.{index - 1}"] if index else []
            tasks.append(Timed(f"chain.{chain}.{index}", long_tailed(dice), needs))
    return tasks


def one_long(dice: random.Random) -> list[Timed]:
    """Up to 100 tasks of a minute or so, the last of which takes ten times as long."""
    tasks = [Timed(f"{index}", dice.uniform(30, 90)) for index in range(dice.randint(30, 100))]
    return [*tasks, Timed("long", 600.0)]


def loops(dice: random.Random) -> list[Timed]:
    """As plans look: a few loops side by side, of up to 30 parts, each with a loop behind it, and a report last."""
    tasks: list[Timed] = []
    for branch in range(dice.randint(1, 3)):
        before: list[str] = []
        for name in (f"ask{branch}", f"check{branch}"):
            tasks.append(Timed(name, 0.0, before))
            parts = range(dice.randint(5, 30))
            tasks += [Timed(f"{name}[{index}]", long_tailed(dice), parent=name) for index in parts]
            before = [name]
    return [*tasks, Timed("report", long_tailed(dice), [f"check{branch}" for branch in range(branch + 1)])]


SHAPES: Mapping[str, Shape] = {
    "layers": layered,
    "random": scattered,
    "chains, side work": chains,
    "one long task": one_long,
    "loops, as in plans": loops,
}


@dataclass(frozen=True, slots=True)
class Measured:
    """The makespans of one graph, each divided by its bound."""

    exact: float
    learned: float
    arrival: float
    reachable: float
    """The higher bound."""
    tight: bool
    """Whether the longest path and work / width are within a quarter of each other: there orders differ most."""


def measure(tasks: Sequence[Timed], width: int, dice: random.Random) -> Measured:
    bound = lower_bound(tasks, width)
    path, work = critical_path(tasks)[0], sum(task.seconds for task in leaves(tasks)) / width
    noisy = {task.id: task.seconds * min(2.0, max(0.5, dice.lognormvariate(0.0, 0.5))) for task in tasks}
    return Measured(
        exact=simulate(tasks, width) / bound,
        learned=simulate(tasks, width, lambda task: noisy[task.id]) / bound,
        arrival=simulate(tasks, width, lambda task: 0.0) / bound,
        reachable=max(1.0, reachable(tasks, width) / bound),
        tight=min(path, work) >= 0.8 * max(path, work),
    )


def leaves(tasks: Sequence[Timed]) -> list[Timed]:
    groups = {task.parent for task in tasks}
    return [task for task in tasks if task.id not in groups]


def reachable(tasks: Sequence[Timed], width: int) -> float:
    """Seconds that every order takes at least: the highest bound over sets of tasks with late starts and long tails.

    Of a set that has more tasks than places, the places are empty until the set's first tasks can start, and once its
    last ones have ended there is still what comes behind these: (the `width` smallest heads + the work + the `width`
    smallest tails) / width.
    """
    heads, tails = heads_of(tasks), tails_of(tasks)
    work = {task.id: task.seconds for task in leaves(tasks)}
    best = 0.0
    for least_head in sorted({heads[task] for task in work})[:60]:
        chosen = sorted((task for task in work if heads[task] >= least_head), key=lambda task: -tails[task])
        first: list[float] = []
        total = 0.0
        for index, task in enumerate(chosen):
            first = nsmallest(width, [*first, heads[task]])
            total += work[task]
            last = [tails[each] for each in chosen[max(0, index + 1 - width) : index + 1]]
            if index + 1 >= width:
                best = max(best, (sum(first) + total + sum(last)) / width)
    return best


def tails_of(tasks: Sequence[Timed]) -> dict[str, float]:
    """Seconds of the longest path behind each task."""
    seconds = {task.id: task.seconds for task in tasks}
    order = Order(lambda task: seconds[task.id])
    order.add(tasks)
    return {task.id: order.rank(task.id) - task.seconds for task in tasks}


def heads_of(tasks: Sequence[Timed]) -> dict[str, float]:
    """Seconds before which each task cannot start, however many places there are."""
    return {task: span.start for task, span in spans(tasks, len(tasks)).items()}


def small(dice: random.Random) -> list[Timed]:
    """Few enough tasks to try every order."""
    tasks = []
    for index in range(SMALL):
        needs = dice.sample(range(index), min(index, dice.choice([0, 1, 2])))
        tasks.append(Timed(f"{index}", long_tailed(dice), [f"{need}" for need in needs]))
    return tasks


def optimum(tasks: Sequence[Timed], width: int) -> float:
    """The shortest makespan of all, by trying every order in which tasks can start."""
    tails = tails_of(tasks)
    best = simulate(tasks, width)

    def go_on(ends: Mapping[str, float], places: Sequence[float], latest: float) -> None:
        """`places`: when each is free, a heap; `latest`: the last start, before which no other start is tried."""
        nonlocal best
        if len(ends) == len(tasks):
            best = min(best, max(ends.values()))
        for task in tasks:
            if task.id in ends or not all(need in ends for need in task.needs):
                continue
            start = max(places[0], latest, *(ends[need] for need in task.needs))
            end, then = start + task.seconds, list(places)
            if end + tails[task.id] < best:
                heapreplace(then, end)
                go_on({**ends, task.id: end}, then, start)

    go_on({}, [0.0] * width, 0.0)
    return best


def figures(ratios: Sequence[float]) -> Iterator[str]:
    yield f"{fmean(ratios):.3f}"
    yield f"{quantiles(ratios, n=20, method='inclusive')[-1]:.3f}"
    yield f"{max(ratios):.3f}"


ORDERS = {
    "exact": "ours, times known",
    "learned": "ours, times x0.5 to 2",
    "arrival": "order of arrival",
    "reachable": "a higher bound",
}


def main() -> None:
    """Prints the tables."""
    measured = {name: list(measure_shape(name, shape)) for name, shape in SHAPES.items()}
    everything = [each for several in measured.values() for each in several]
    measured["all"] = everything
    measured["path and work alike"] = [each for each in everything if each.tight]
    table = Table(title=f"{len(everything)} graphs: seconds, as multiples of max(longest path, work / width)")
    for column in ("", "order", "mean", "p95", "max"):
        table.add_column(column, justify="left" if column in ("", "order") else "right")
    for name, several in measured.items():
        for field, label in ORDERS.items():
            heading = f"{name} ({len(several)})" if field == "exact" else ""
            table.add_row(heading, label, *figures([getattr(each, field) for each in several]))
        table.add_section()
    Console(width=110).print(table, small_table())


def measure_shape(name: str, shape: Shape) -> Iterator[Measured]:
    dice = random.Random(f"{SEED} {name}")
    for index in range(PER_SHAPE):
        yield measure(shape(dice), WIDTHS[index % len(WIDTHS)], dice)


def small_table() -> Table:
    dice = random.Random(SEED)
    rows = []
    for index in range(PER_SHAPE):
        tasks, width = small(dice), SMALL_WIDTHS[index % 2]
        rows.append((optimum(tasks, width), simulate(tasks, width), lower_bound(tasks, width)))
    table = Table(title=f"{PER_SHAPE} graphs of {SMALL} tasks, solved exactly")
    for column in ("", "mean", "p95", "max"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("the optimum / the bound", *figures([best / bound for best, _, bound in rows]))
    table.add_row("ours / the optimum", *figures([ours / best for best, ours, _ in rows]))
    table.add_row("ours / the bound", *figures([ours / bound for _, ours, bound in rows]))
    return table
