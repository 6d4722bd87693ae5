"""Plans for tests of what they do in a run."""

from pathlib import Path
from typing import Any

from running import Stage

from orchestrator import Result, RunReport
from orchestrator.plan.loading import parse_plan

TYPED = {"type": "object"}


async def carry_out(stage: Stage, tasks: dict[str, Any], directory: Path, **rest: Any) -> dict[str, Result]:
    """Runs a plan of these tasks; the results of all its tasks, parts included, by id."""
    return dict((await report_of(stage, tasks, directory, **rest)).results)


async def report_of(stage: Stage, tasks: dict[str, Any], directory: Path, **rest: Any) -> RunReport:
    """Runs a plan of these tasks, and reports."""
    async with stage.open(directory=directory) as run:
        await run.plan(parse_plan({"tasks": tasks, **rest}, directory))
    return run.report()
