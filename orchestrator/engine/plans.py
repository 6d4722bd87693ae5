"""run_plan and resume_run: a plan as a run of its own."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Unpack, cast

from anyio import to_thread

from orchestrator.engine.opening import GATEWAY, open_journal, open_run
from orchestrator.engine.options import NOTHING, GoOnOptions, PlanOptions, RunOptions, check_names
from orchestrator.engine.planned.nodes import as_loaded
from orchestrator.errors import UsageError
from orchestrator.events import Record, RunStarted
from orchestrator.plan.loading import LoadedPlan, load_plan
from orchestrator.plan.model import Agent, Limits, Plan
from orchestrator.protocols import Traffic
from orchestrator.report import RunReport
from orchestrator.task import plain
from workspaces import WorkspaceSpec

PRIVATE = {"env", "mcp_servers"}
"""Options of an agent that may hold secrets."""


async def run_plan(plan: Plan | LoadedPlan | str | Path, **options: Unpack[PlanOptions]) -> RunReport:
    """Runs a plan from a file, or one made in Python, and reports on it; the options are those of `open_run`.

    `limits` replaces the plan's own. Raises PlanError, with all the plan's faults, before anything is started.
    """
    check_names("run_plan", PlanOptions, options)
    loaded = await to_thread.run_sync(as_loaded, plan, Path.cwd())
    opening: RunOptions = {
        **cast("RunOptions", options),
        "limits": options.get("limits") or loaded.plan.limits,
        "plan": str(loaded.file) if loaded.file else None,
        "arguments": {**told_of(options), **options.get("arguments", {})},
    }
    async with open_run(loaded.plan.name, **opening) as opened:
        await opened.plan(loaded)
    return opened.report()


def told_of(options: PlanOptions) -> dict[str, Any]:
    """What must be known to go on with the run: written down without what may be secret."""
    agent, workspace, limits = options.get("agent"), options.get("workspace", "here"), options.get("limits")
    place = WorkspaceSpec(kind="here", path=str(workspace)) if isinstance(workspace, Path) else workspace
    told: dict[str, Any] = {"fail_fast": options.get("fail_fast", False), "workspace": plain(place)}
    if limits is not None:
        told["limits"] = limits.model_dump(mode="json", exclude_none=True)
    if agent is not None:
        told["agent"] = agent.model_dump(mode="json", exclude=PRIVATE, exclude_defaults=True)
        told["private"] = [name for name in sorted(PRIVATE) if getattr(agent, name)]
    return told


async def resume_run(
    run: str, *, workspace: WorkspaceSpec | str | Path | None = None, **options: Unpack[GoOnOptions]
) -> RunReport:
    """Goes on with a run of a plan file, as that file is now: what has finished is taken from the journal.

    `agent`, `workspace`, `limits`, `fail_fast`, `record`, `replay`: in place of those that it was started with. Raises
    UsageError when there is no such run, when it is being driven by another process, when it was not started from a
    plan file (then run its script again), or when something has to be given again since it was not written down;
    PlanError when the plan is wrong.
    """
    check_names("resume_run", GoOnOptions, options)
    limits = options.get("limits")
    async with AsyncExitStack() as stack:
        journal = await open_journal(stack, options.get("journal"))
        begun = last_start(run, await journal.read(run, messages=False))
        loaded = await to_thread.run_sync(load_again, run, begun)
        again: PlanOptions = {
            **cast("PlanOptions", options),
            "agent": options.get("agent") or agent_told(run, begun),
            "workspace": workspace or workspace_told(begun),
            "limits": limits or limits_told(loaded, begun),
            "journal": journal,
            "upstream": upstream_told(begun),
            "fail_fast": options.get("fail_fast", bool(begun.arguments.get("fail_fast"))),
            "run": run,
            "directory": Path(begun.directory),
            "traffic": traffic_told(begun),
            "arguments": {
                "settings": begun.arguments.get("settings", {}),
                "limits": limits.model_dump(mode="json", exclude_none=True)
                if limits
                else begun.arguments.get("limits", {}),
            },
        }
        return await run_plan(loaded, **again)


def upstream_told(begun: RunStarted) -> str | None:
    """What answers the run: the gateway, where its requests passed that."""
    return GATEWAY if begun.gateway else begun.upstream


def traffic_told(begun: RunStarted) -> Traffic:
    """Where the run is recorded, or answered from."""
    told = begun.arguments
    record, replay = (Path(told[name]) if told.get(name) else None for name in ("record", "replay"))
    return Traffic(record=record, texts=bool(told.get("texts", True)), replay=replay)


def limits_told(loaded: LoadedPlan, begun: RunStarted) -> Limits:
    """The plan's limits as they are now, with those in place that were given beside the plan."""
    return Limits.model_validate(loaded.plan.limits.model_dump() | dict(begun.arguments.get("limits", {})))


def agent_told(run: str, begun: RunStarted) -> Agent | None:
    """The agent that the run was started with. Raises UsageError when a part of it was not written down."""
    if private := begun.arguments.get("private"):
        parts = " and ".join(private)
        raise UsageError(f"run {run}: its agent's {parts}, maybe secret, was not written down: give agent= once more")
    told = begun.arguments.get("agent")
    return None if told is None else Agent.model_validate(told)


def workspace_told(begun: RunStarted) -> WorkspaceSpec | str:
    """Where the run's tasks work that say nothing else."""
    told = begun.arguments.get("workspace", "here")
    return WorkspaceSpec(**told) if isinstance(told, Mapping) else str(told)


def last_start(run: str, records: Sequence[Record]) -> RunStarted:
    """How the run was last started. Raises UsageError when there is no such run."""
    for record in reversed(records):
        if isinstance(record.event, RunStarted):
            return record.event
    raise UsageError(f"run {run}: there is no such run in this journal")


def load_again(run: str, begun: RunStarted, more: Mapping[str, str] = NOTHING) -> LoadedPlan:
    """The plan of a run, as its file is now, with the settings of the command line, then and now.

    Raises UsageError and PlanError.
    """
    if begun.plan is None:
        again = f"run the script {begun.script} again" if begun.script else "run the script that started it again"
        raise UsageError(f"run {run}: it was not started from a plan file: {again}, and it goes on by itself")
    settings = dict(begun.arguments.get("settings", {})) | dict(more)
    if missing := [name for name in begun.arguments.get("withheld", ()) if name not in settings]:
        raise UsageError(f"run {run}: --set {missing[0]}=… was not written down: give it once more")
    return load_plan(begun.plan, settings)
