"""What waits for what."""

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from orchestrator.plan.model import Plan, TaskSpec
from orchestrator.plan.references import read_references
from orchestrator.plan.spots import spots_of

Needs = Mapping[str, tuple[str, ...]]
_MOST_CYCLES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A task in the graph of a plan."""

    name: str
    level: int
    """0 for a task that waits for nothing; else one more than the highest of those it waits for."""
    needs: tuple[str, ...]
    dependents: tuple[str, ...]
    under: str | None
    """Where it hangs in the tree: the need of the highest level, the last one of several."""
    children: tuple[str, ...]
    """The tasks that hang under this one."""
    also: tuple[str, ...]
    """The other tasks that it waits for."""


def needs_of(spec: TaskSpec) -> tuple[str, ...]:
    """The tasks that a task waits for: those it names, then those its templates refer to; each once."""
    texts = (text for spot in spots_of("", spec) for _, text in spot.templates())
    referred = (task.name for text in texts for task in read_references(text).tasks)
    return tuple(dict.fromkeys((*spec.names, *referred)))


def allows_of(spec: TaskSpec) -> tuple[str, ...]:
    """Those of its needs that need only have ended."""
    return tuple(dict.fromkeys(need.task for need in spec.needs if need.allow))


def all_needs(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Every task's needs, without names that are no tasks."""
    return {name: tuple(need for need in needs_of(spec) if need in plan.tasks) for name, spec in plan.tasks.items()}


def find_cycles(needs: Needs) -> list[tuple[str, ...]]:
    """Circles of tasks that wait for each other, one or more a knot, 20 at most. `(a, b)`: a needs b, b needs a."""
    left = dict(needs)
    found: list[tuple[str, ...]] = []
    while len(found) < _MOST_CYCLES:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            found.append(_turn(error.args[1], needs))
            seen = set(found[-1])
            left = {name: tuple(need for need in left[name] if need not in seen) for name in left if name not in seen}
        else:
            break
    return found


def _turn(cycle: list[str], needs: Needs) -> tuple[str, ...]:
    """Read from a task to its need, beginning with the one that comes first in the plan."""
    circle = cycle[:0:-1]
    places = {name: place for place, name in enumerate(needs)}
    first = min(range(len(circle)), key=lambda at: places[circle[at]])
    return (*circle[first:], *circle[:first])


def order(plan: Plan) -> tuple[str, ...]:
    """The tasks by level, so that each comes after all that it needs; within a level as in the plan."""
    levels = _measure(needs := all_needs(plan))
    return tuple(sorted(needs, key=levels.__getitem__))


def _measure(needs: Needs) -> dict[str, int]:
    levels: dict[str, int] = {}
    for name in TopologicalSorter(needs).static_order():
        levels[name] = 1 + max((levels[need] for need in needs[name]), default=-1)
    return levels


def tree(plan: Plan) -> dict[str, Node]:
    """The graph as a tree in which every task appears once, in the plan's order. Roots are under nothing."""
    needs = all_needs(plan)
    levels = _measure(needs)
    under = {name: max(reversed(needs[name]), key=levels.__getitem__, default=None) for name in needs}
    dependents: dict[str, list[str]] = {name: [] for name in needs}
    children: dict[str, list[str]] = {name: [] for name in needs}
    for name, wanted in needs.items():
        for need in wanted:
            dependents[need].append(name)
        if (parent := under[name]) is not None:
            children[parent].append(name)
    return {
        name: Node(
            name=name,
            level=levels[name],
            needs=wanted,
            dependents=tuple(dependents[name]),
            under=under[name],
            children=tuple(children[name]),
            also=tuple(need for need in wanted if need != under[name]),
        )
        for name, wanted in needs.items()
    }
