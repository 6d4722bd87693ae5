"""From the id of a task in a run back to what the plan says of it."""

import re

from orchestrator.plan.loading import LoadedPlan
from orchestrator.plan.specs import AskSpec, StageSpec, TaskSpec
from orchestrator.plan.spots import stages_of

_STEP = re.compile(r"(?P<name>[^.\[\]]+)|\[\d+\]|\.")


def find_spec(loaded: LoadedPlan, task: str) -> tuple[LoadedPlan, AskSpec]:
    """What `build.check[3].verify` does, and the plan, this one or one in it, that says so. Raises KeyError."""
    names = [found["name"] for found in _STEP.finditer(task) if found["name"]]
    spec: AskSpec = loaded.plan.tasks[names[0]]
    for name in names[1:]:
        loaded, spec = _step(loaded, spec, name)
    return loaded, spec


def _step(loaded: LoadedPlan, spec: AskSpec, name: str) -> tuple[LoadedPlan, AskSpec]:
    if not isinstance(spec, StageSpec):
        raise KeyError(name)
    if spec.plan is not None:
        inner = loaded.nested[spec.plan]
        return inner, inner.plan.tasks[name]
    if spec.fan_out is not None:
        return loaded, _or_of_task(stages_of(spec.fan_out)[name], spec)
    if spec.vote is not None and name == "judge":
        return loaded, _or_of_task(spec.vote.judge or AskSpec(), spec)
    stages = (spec.pipeline if isinstance(spec, TaskSpec) else None) or {}
    return loaded, stages[name]


def _or_of_task(spec: AskSpec, task: StageSpec) -> AskSpec:
    return spec if spec.agent else spec.model_copy(update={"agent": task.agent})
