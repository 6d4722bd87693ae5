"""Runs that are stopped, and the same once more."""

from collections.abc import Sequence
from math import inf
from typing import Any

import anyio
from running import Stage

from orchestrator import Result, RunReport
from orchestrator.events import SessionStarted
from orchestrator.task import Attempt
from orchestrator.testing import Reply


def slow(*hanging: str) -> Any:
    """A script in which the tasks of these names never end, and the others say their prompt."""

    def script(attempt: Attempt) -> Reply:
        return Reply(f"did {attempt.prompt}", seconds=inf if attempt.task in hanging else 1, cost_usd=0.25)

    return script


async def stopped(stage: Stage, items: Sequence[Any], **same: Any) -> str:
    """A run of `map` over the items that is cancelled once nothing happens any more; its id."""
    with anyio.move_on_after(100):
        async with stage.open() as run:
            await run.map("{}", items, key="m", **same)
    return run.id


async def again(stage: Stage, items: Sequence[Any], script: Any = None, **same: Any) -> tuple[list[Result], RunReport]:
    """The same run once more, on the same journal."""
    stage.use(script or slow())
    options = {name: same.pop(name) for name in ("reuse", "rerun", "run") if name in same}
    async with stage.open(**options) as run:
        results = await run.map("{}", items, key="m", **same)
    return results, run.report()


def begins_session(stage: Stage, cut: Attempt) -> None:
    """As the real agent runner does once the CLI is up."""
    event = SessionStarted(task=cut.task, attempt=1, session_id=cut.session_id, directory="/", how="fresh")
    stage.journal.append(cut.run, event)
