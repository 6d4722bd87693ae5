"""Many Claude Code agents, run as one durable, bounded, observable computation.

Importing this does nothing; a name is imported when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.engine.opening import open_run
    from orchestrator.engine.patterns.votes import Candidate, Vote, majority
    from orchestrator.engine.plans import resume_run, run_plan
    from orchestrator.engine.script.handles import Handle, Results
    from orchestrator.engine.script.questions import Waited
    from orchestrator.engine.script.run import Run
    from orchestrator.errors import (
        Fault,
        InternalError,
        JournalError,
        OrchestratorError,
        PlanError,
        TaskFailed,
        UsageError,
    )
    from orchestrator.plan.model import Agent, Limits, Plan, Spawn
    from orchestrator.report import RunReport
    from orchestrator.task import Outcome, Result, Spent, Status, Task, Usage, WorkspaceInfo
    from workspaces import WorkspaceSpec

__all__ = [
    "Agent",
    "Candidate",
    "Fault",
    "Handle",
    "InternalError",
    "JournalError",
    "Limits",
    "OrchestratorError",
    "Outcome",
    "Plan",
    "PlanError",
    "Result",
    "Results",
    "Run",
    "RunReport",
    "Spawn",
    "Spent",
    "Status",
    "Task",
    "TaskFailed",
    "Usage",
    "UsageError",
    "Vote",
    "Waited",
    "WorkspaceInfo",
    "WorkspaceSpec",
    "majority",
    "open_run",
    "resume_run",
    "run_plan",
]

_HOMES = {
    "engine.opening": ("open_run",),
    "engine.plans": ("resume_run", "run_plan"),
    "report": ("RunReport",),
    "engine.script.handles": ("Handle", "Results"),
    "engine.script.questions": ("Waited",),
    "engine.script.run": ("Run",),
    "engine.patterns.votes": ("Candidate", "Vote", "majority"),
    "errors": ("Fault", "InternalError", "JournalError", "OrchestratorError", "PlanError", "TaskFailed", "UsageError"),
    "plan.model": ("Agent", "Limits", "Plan", "Spawn"),
    "task": ("Outcome", "Result", "Spent", "Status", "Task", "Usage", "WorkspaceInfo", "WorkspaceSpec"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"orchestrator.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
