"""What a plan would take, before anything of it is started."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.engine.options import to_setting
from orchestrator.engine.planned.nodes import plan_nodes
from orchestrator.engine.steps import Expand, Node, Omit
from orchestrator.events import RunForecast
from orchestrator.plan.loading import LoadedPlan
from orchestrator.plan.model import Agent
from orchestrator.schedule.estimate import Estimates
from orchestrator.schedule.outlook import outlook, told_basis
from orchestrator.state import GROUPS

History = Callable[[str, str | None], Awaitable[Sequence[Mapping[str, Any]]]]
"""A journal's `history`."""


async def foresee(loaded: LoadedPlan, history: History) -> RunForecast | None:
    """The forecast for a plan, from its earlier runs, or those with the offline model where there are no others.

    None when there are none that succeeded in anything.
    """
    nodes = list(unfolded(plan_nodes(loaded, {}, to_setting(Agent(), "here", Path.cwd()))))
    for upstream in (None, "offline"):
        estimates = Estimates.of(await history(loaded.plan.name, upstream))
        basis = told_basis(len(estimates.runs)) + (f" with the {upstream} model" if upstream else "")
        if found := outlook(nodes, estimates, loaded.plan.limits.width, basis):
            return found
    return None


def unfolded(nodes: Sequence[Node]) -> Iterator[Node]:
    """The nodes, with the parts of those groups that wait for nothing; without what turns out to be nothing."""
    for node in nodes:
        step = None
        if node.kind in GROUPS and not node.needs:
            with suppress(Exception):  # a run will tell it; here the group is foreseen as one that waits
                step = node.prepare()
        if isinstance(step, Omit) or (isinstance(step, Expand) and not step.nodes):
            continue
        yield node
        if isinstance(step, Expand):
            yield from unfolded(step.nodes)
