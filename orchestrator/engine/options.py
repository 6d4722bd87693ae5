"""What `open_run`, `run_plan` and `resume_run` are told by name: an option is written down here, once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, get_args

from orchestrator.engine.going_on.choosing import Reuse
from orchestrator.engine.script.asking import Setting, to_workspace
from orchestrator.errors import UsageError
from orchestrator.machine import Machine
from orchestrator.plan.model import Agent, Limits
from orchestrator.protocols import Executor, Journal, Traffic, View
from workspaces import WorkspaceSpec

NOTHING: Mapping[str, Any] = {}


class GoOnOptions(TypedDict, total=False):
    """What can be said anew when a run is gone on with."""

    agent: Agent | None
    limits: Limits | None
    journal: Journal | str | Path | None
    views: Sequence[View | str] | str
    executor: Executor | None
    fail_fast: bool
    rerun: Collection[str]
    pilot: int | None
    record: str | Path | None
    overwrite: bool
    replay: str | Path | None
    faults: Sequence[str] | str


class PlanOptions(GoOnOptions, total=False):
    """What can be said beside a plan."""

    workspace: WorkspaceSpec | str | Path
    upstream: str | None
    reuse: Reuse
    run: str | None
    directory: Path | None
    arguments: Mapping[str, Any]
    traffic: Traffic | None


class RunOptions(PlanOptions, total=False):
    """What can be said of any run. `open_run` tells what each means."""

    agents: Mapping[str, Agent]
    plan: str | None
    machine: Machine | None


def check_names(function: str, known: type[GoOnOptions], given: Collection[str]) -> None:
    """Raises TypeError for an option that there is not, as Python does."""
    for name in given:
        if name not in known.__annotations__:
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")


def setting_of(options: RunOptions) -> Setting:
    """What the run gives to tasks that do not say otherwise. Raises UsageError."""
    directory = (options.get("directory") or Path.cwd()).absolute()
    setting = to_setting(options.get("agent") or Agent(), options.get("workspace", "here"), directory)
    return replace(setting, agents=options.get("agents", NOTHING), pilot=check_pilot(options.get("pilot")))


def to_setting(agent: Agent, workspace: WorkspaceSpec | str | Path, directory: Path) -> Setting:
    bare = Setting(agent=agent, workspace=WorkspaceSpec(), directory=directory)
    return Setting(agent=agent, workspace=to_workspace(workspace, bare), directory=directory)


def check_pilot(pilot: int | None) -> int | None:
    """The number of items, or None. Raises UsageError for anything else."""
    if pilot is not None and (type(pilot) is not int or pilot < 1):
        raise UsageError(f"pilot: found {pilot!r}, expected how many items each loop is to take, 1 or more")
    return pilot


def limits_of(options: RunOptions) -> Limits:
    """The limits, or those of a run that names none. Raises UsageError for anything else."""
    limits = options.get("limits")
    if limits is not None and not isinstance(limits, Limits):
        raise UsageError(f"limits: found {limits!r}, expected Limits, as Limits(concurrent=10)")
    return limits or Limits()


def reuse_of(options: RunOptions) -> Reuse:
    """Where finished results are taken from. Raises UsageError for words that mean nothing here."""
    reuse, rerun = options.get("reuse", "unfinished"), options.get("rerun", ())
    if reuse == "none" and (options.get("run") or rerun):
        raise UsageError("reuse: found 'none' beside run or rerun, which go on with earlier results: leave one out")
    if reuse not in get_args(Reuse):
        raise UsageError(f"reuse: found {reuse!r}, expected one of {', '.join(get_args(Reuse))}")
    if isinstance(rerun, str):
        raise UsageError(f"rerun: found {rerun!r}, expected a list of tasks, as [{rerun!r}]")
    return reuse
