"""Which tasks and groups of a run have a row in its summary, and where in the tree."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from orchestrator.report import RunReport
from orchestrator.task import Outcome, Status
from orchestrator.tree import relative
from orchestrator.views.words import plural

MOST_ROWS = 60
"""Beyond that only groups, and tasks that did not succeed, are listed one by one."""

LEFT_OUT = {Status.DONE: "succeeded", Status.SKIPPED: "were not needed", Status.PENDING: "wait"}
"""Which tasks may have no row."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A row to be."""

    task: str
    status: Status
    label: str
    """What it is called below the nearest listed task that it is a part of."""
    depth: int = 0
    """How many listed tasks it is a part of."""
    is_group: bool = False


def listed(report: RunReport) -> list[Listed]:
    """The rows of a run; loops that stand alone have none beside those of their parts."""
    if is_tree(report):
        return placed(report, kept(report))
    tasks = list(report.statuses.items())
    shown = tasks if len(tasks) <= MOST_ROWS else [each for each in tasks if each[1] is not Status.DONE]
    return [Listed(task, status, task) for task, status in shown]


def is_tree(report: RunReport) -> bool:
    """Whether there is more to show than tasks and the parts of loops."""
    return any(
        standing.depth > 1 or (standing.kind != "loop" and (standing.is_group or standing.parts))
        for standing in report.tree.values()
    )


def kept(report: RunReport) -> Collection[str]:
    """All; when these are very many, what did not succeed, and groups from the top down as far as there is room."""
    if len(report.tree) <= MOST_ROWS:
        return report.tree
    bad = {task for task in report.statuses if is_bad(report, task)}
    for deepest in range(max(standing.depth for standing in report.tree.values()), -1, -1):
        found = bad | {group for group, standing in report.groups.items() if standing.depth <= deepest}
        if len(found) <= MOST_ROWS:
            return found
    return bad | {group for group in report.groups if is_bad(report, group)}


def is_bad(report: RunReport, task: str) -> bool:
    """Whether it came to no good end, or is at work; a task that was no longer needed has come to a good one."""
    standing = report.tree[task]
    return standing.status not in (Status.DONE, Status.PENDING) and standing.outcome is not Outcome.UNNEEDED


def placed(report: RunReport, tasks: Collection[str]) -> list[Listed]:
    """Rows for these tasks, in the tree's order, each below the nearest of them that it is a part of."""
    rows: dict[str, Listed] = {}
    for task, standing in report.tree.items():
        if task in tasks:
            above = standing.parent
            while above is not None and above not in rows:
                above = report.tree[above].parent if above in report.tree else None
            depth = rows[above].depth + 1 if above is not None else 0
            rows[task] = Listed(task, standing.status, relative(task, above), depth, standing.is_group)
    return list(rows.values())


def left_out(report: RunReport, rows: Collection[Listed]) -> str:
    """`12 tasks that succeeded not listed`; empty when all are."""
    shown = {row.task for row in rows}
    hidden = Counter(status for task, status in report.statuses.items() if task not in shown)
    which = [words for status, words in LEFT_OUT.items() if hidden[status]]
    return f"{plural(hidden.total(), 'task')} that {' or '.join(which)} not listed" if hidden else ""
