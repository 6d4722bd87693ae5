"""run_plan and resume_run: a plan as a run of its own."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from anyio import to_thread

from orchestrator.engine.choosing import Reuse
from orchestrator.engine.opening import NOTHING, open_journal, open_run
from orchestrator.engine.planned import as_loaded
from orchestrator.errors import UsageError
from orchestrator.events import Record, RunStarted
from orchestrator.plan.loading import LoadedPlan, load_plan
from orchestrator.plan.model import Agent, Limits, Plan
from orchestrator.protocols import Executor, Journal, View
from orchestrator.report import RunReport
from workspaces import WorkspaceSpec


async def run_plan(
    plan: Plan | LoadedPlan | str | Path,
    *,
    agent: Agent | None = None,
    workspace: WorkspaceSpec | str | Path = "here",
    limits: Limits | None = None,
    journal: Journal | str | Path | None = None,
    views: Sequence[View | str] | str = (),
    upstream: str | None = None,
    executor: Executor | None = None,
    fail_fast: bool = False,
    reuse: Reuse = "unfinished",
    rerun: Collection[str] = (),
    run: str | None = None,
    directory: Path | None = None,
    arguments: Mapping[str, Any] = NOTHING,
) -> RunReport:
    """Runs a plan from a file, or one made in Python, and reports on it; the arguments are those of `open_run`.

    `limits` replaces the plan's own. Raises PlanError, with all the plan's faults, before anything is started.
    """
    loaded = await to_thread.run_sync(as_loaded, plan, Path.cwd())
    async with open_run(
        loaded.plan.name,
        agent=agent,
        workspace=workspace,
        directory=directory,
        limits=limits or loaded.plan.limits,
        journal=journal,
        views=views,
        upstream=upstream,
        executor=executor,
        fail_fast=fail_fast,
        reuse=reuse,
        rerun=rerun,
        run=run,
        plan=str(loaded.file) if loaded.file else None,
        arguments=arguments,
    ) as opened:
        await opened.plan(loaded)
    return opened.report()


async def resume_run(
    run: str,
    *,
    limits: Limits | None = None,
    journal: Journal | str | Path | None = None,
    views: Sequence[View | str] | str = (),
    executor: Executor | None = None,
    rerun: Collection[str] = (),
) -> RunReport:
    """Goes on with a run of a plan file, as that file is now: what has finished is taken from the journal.

    `limits` replaces those that it ran under. Raises UsageError when there is no such run, when it is being driven by
    another process, or when it was not started from a plan file (then run its script again); PlanError when the plan
    is wrong.
    """
    async with AsyncExitStack() as stack:
        opened = await open_journal(stack, journal)
        begun = last_start(run, await opened.read(run, messages=False))
        loaded = await to_thread.run_sync(load_again, run, begun)
        return await run_plan(
            loaded,
            limits=limits or Limits(concurrent=begun.concurrent, usd=begun.usd),
            journal=opened,
            views=views,
            upstream=begun.upstream,
            executor=executor,
            fail_fast=bool(begun.arguments.get("fail_fast")),
            rerun=rerun,
            run=run,
            directory=Path(begun.directory),
            arguments=begun.arguments,
        )


def last_start(run: str, records: Sequence[Record]) -> RunStarted:
    """How the run was last started. Raises UsageError when there is no such run."""
    for record in reversed(records):
        if isinstance(record.event, RunStarted):
            return record.event
    raise UsageError(f"run {run}: there is no such run in this journal")


def load_again(run: str, begun: RunStarted) -> LoadedPlan:
    """The plan of a run, as its file is now, with the settings of the command line. Raises UsageError and PlanError."""
    if begun.plan is None:
        again = f"run the script {begun.script} again" if begun.script else "run the script that started it again"
        raise UsageError(f"run {run}: it was not started from a plan file: {again}, and it goes on by itself")
    return load_plan(begun.plan, begun.arguments.get("settings", {}))
