"""Outlook: what a run is expected to take from here on, those tasks included that its groups have yet to make."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.events import RunForecast
from orchestrator.paths import Timed, critical_path, work_of
from orchestrator.schedule.estimate import Basis, Estimates, Expected
from orchestrator.schedule.forecast import simulate
from orchestrator.state import FREE_KINDS, GROUPS

NOTHING: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A task that is to come."""

    id: str
    kind: str = "agent"
    agent: str | None = None
    needs: Sequence[str] = ()
    parent: str | None = None

    @classmethod
    def of(cls, task: Expected) -> "Foreseen":
        """A copy, which stays as it is while the run goes on."""
        return cls(task.id, task.kind, task.agent, tuple(task.needs), task.parent)


def outlook(
    tasks: Sequence[Expected], estimates: Estimates, width: int, basis: str, done: Collection[str] = NOTHING
) -> RunForecast | None:
    """The forecast for these tasks, `width` agents at once; None when nothing is known of how long any agent takes.

    Groups without parts get those that the newest group alike had; one of which nothing is known gets one, a guess.
    `done`: tasks whose results are there already: they count when something that they wait for is still to be done.
    """
    everything = still_open([*tasks, *unmade(tasks, estimates)], done)
    leaves = [task for task in everything if task.kind not in GROUPS]
    guessed = sum(is_guessed(task, estimates) for task in leaves)
    if guessed == sum(task.kind not in FREE_KINDS for task in leaves):
        return None
    timed = [to_timed(task, estimates) for task in everything]
    critical_s, critical = critical_path(timed)
    work_s = work_of(timed)
    return RunForecast(
        tasks=len(leaves),
        known=len(leaves) - guessed,
        wall_s=simulate(timed, width),
        work_s=work_s,
        critical_s=critical_s,
        critical=critical,
        bound_s=max(critical_s, work_s / width),
        usd=sum(estimates.usd(task.id, task.agent, task.kind).value for task in leaves)
        if estimates.has_costs
        else None,
        basis=basis,
    )


def still_open(tasks: Sequence[Expected], done: Collection[str]) -> Sequence[Expected]:
    """Those that are not done, or that wait for such, with their groups."""
    if not done:
        return tasks
    behind: dict[str, list[str]] = defaultdict(list)
    """What waits for each: those that need it, and its group."""
    for task in tasks:
        for need in task.needs:
            behind[need].append(task.id)
        if task.parent is not None:
            behind[task.id].append(task.parent)
    found = dict.fromkeys(task.id for task in tasks if task.kind not in GROUPS and task.id not in done)
    waiting = list(found)
    while waiting:
        more = [each for each in behind[waiting.pop()] if each not in found]
        found.update(dict.fromkeys(more))
        waiting += more
    return [task for task in tasks if task.id in found]


def unmade(tasks: Sequence[Expected], estimates: Estimates) -> Iterator[Expected]:
    """The parts that the groups among the tasks have yet to make, with theirs."""
    groups = {task.parent for task in tasks}
    for group in tasks:
        if group.kind in GROUPS and group.id not in groups:
            yield from parts_of(group, estimates)


def parts_of(group: Expected, estimates: Estimates) -> Sequence[Expected]:
    parts = estimates.parts(group.id)
    return [Foreseen(f"{group.id}[0]", agent=group.agent, parent=group.id)] if parts is None else parts


def is_guessed(task: Expected, estimates: Estimates) -> bool:
    """Whether nothing is known of the task itself, of its loop, or of an agent that is named as its own."""
    found = estimates.seconds(task.id, task.agent, task.kind).basis
    return found in (Basis.ANY, Basis.GUESS) or (found is Basis.AGENT and task.agent is None)


def to_timed(task: Expected, estimates: Estimates) -> Timed:
    """A group takes the time of its parts alone."""
    seconds = 0.0 if task.kind in GROUPS else estimates.expect(task)
    return Timed(task.id, seconds, task.needs, task.parent, is_free=task.kind in FREE_KINDS)


def told_basis(runs: int, *, own: bool = False) -> str:
    """`3 earlier runs`; `own`: the run itself, which is gone on with, is another."""
    earlier = f"{runs} earlier run" if runs == 1 else f"{runs} earlier runs"
    return " and ".join(filter(None, [earlier if runs else "", "its own beginning" if own else ""]))
