"""Functions of the user's own that a plan names: whether their modules are there. Nothing of them is run."""

import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from orchestrator.plan.model import Plan
from orchestrator.plan.specs import StageSpec
from orchestrator.plan.spots import spots_of
from orchestrator.plan.words import Finding, describe


def check_functions(plan: Plan, directory: Path) -> Iterator[Finding]:
    """Votes by functions of modules that are nowhere; `directory` is where the plan's own modules are."""
    for name, spec in plan.tasks.items():
        for spot in spots_of(name, spec):
            vote = spot.spec.vote if isinstance(spot.spec, StageSpec) else None
            if vote is None or ":" not in vote.by:
                continue
            module = vote.by.partition(":")[0].partition(".")[0]
            if not is_there(module, directory):
                what = f"found {describe(vote.by)}, and there is no module {module} beside the plan or installed"
                yield Finding((*spot.path, "vote", "by"), f"{what}, expected a function as module:name")


def is_there(module: str, directory: Path) -> bool:
    if module in sys.modules or module in sys.builtin_module_names:
        return True
    return PathFinder.find_spec(module, [str(directory), *sys.path]) is not None
