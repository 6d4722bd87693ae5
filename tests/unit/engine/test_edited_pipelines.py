"""Pipelines of a plan that was edited after a run: what is done again, and what is not."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from running import Stage

from orchestrator import Outcome
from orchestrator.plan.loading import parse_plan
from orchestrator.task import Attempt
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio


def echo(attempt: Attempt) -> str:
    return f"<{attempt.prompt}>"


def plan(items: list[str], find: str = "find", verify: str = "verify") -> dict[str, Any]:
    """Items through two stages, and a report on them; beside it a task of its own."""
    stages = {"find": {"prompt": f"{find} {{{{ item }}}}"}, "verify": {"prompt": f"{verify} {{{{ previous.text }}}}"}}
    report = "report {{ tasks.check.texts | join(',') }}"
    tasks = {"check": {"foreach": items, "pipeline": stages}, "report": {"prompt": report}, "other": {"prompt": "o"}}
    return {"tasks": tasks}


async def asked_of(stage: Stage, wanted: dict[str, Any], directory: Path) -> set[str]:
    """What is asked when the plan is run, with all that there is from before."""
    before = len(stage.asked)
    async with stage.open(directory=directory, reuse="any") as run:
        await run.plan(parse_plan(wanted, directory))
    return set(stage.asked[before:])


@pytest.mark.parametrize(
    ("edited", "again"),
    [
        (plan(["a", "b"]), set()),
        (plan(["a", "b"], verify="judge"), {"check[0].verify", "check[1].verify", "report"}),
        (
            plan(["a", "b"], find="seek"),
            {"check[0].find", "check[1].find", "check[0].verify", "check[1].verify", "report"},
        ),
        (plan(["x", "a", "b"]), {"check[0].find", "check[0].verify", "report"}),
        (plan(["b"]), {"report"}),
    ],
    ids=["nothing", "last stage", "first stage", "an item more", "an item less"],
)
async def test_what_is_done_again(edited: dict[str, Any], again: set[str], tmp_path: Path) -> None:
    """A stage that was changed, what follows it, and items that are new are done; all else is there already."""
    stage = Stage(echo)
    await asked_of(stage, plan(["a", "b"]), tmp_path)
    asked = await asked_of(stage, edited, tmp_path)
    # The items' own places moved: whose result is taken is known by what was asked.
    assert len(asked) == len(again)
    assert {task.rpartition(".")[2] for task in asked} == {task.rpartition(".")[2] for task in again}


async def test_the_stage_that_failed_is_told(tmp_path: Path) -> None:
    """Where a run is ended from outside, an item tells of the stage that it was at, not of those that never began."""
    stage = Stage(lambda attempt: Reply(seconds=1e6 if attempt.task == "check[0].find" else 0))
    async with stage.open(directory=tmp_path) as run, anyio.create_task_group() as group:
        group.start_soon(run.plan, parse_plan(plan(["a"]), tmp_path))
        while "check[0].find" not in stage.asked:
            await anyio.sleep(0.01)
        run._core.cancel("check[0]")
    result = run.report().results["check[0]"]
    assert (result.outcome, result.error) == (Outcome.CANCELLED, "stage find: it was cancelled")
