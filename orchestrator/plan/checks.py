"""What a plan's models cannot see by themselves: names that must exist, fields that exclude each other, circles."""

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from orchestrator.plan.body_checks import check_body, check_stage_needs
from orchestrator.plan.fields import TASK_NAME
from orchestrator.plan.graph import all_needs, find_cycles
from orchestrator.plan.list_checks import check_lists
from orchestrator.plan.model import Plan, TaskSpec
from orchestrator.plan.references import read_references
from orchestrator.plan.schema_checks import SchemaChecks
from orchestrator.plan.spots import Spot, spots_of
from orchestrator.plan.template_checks import TemplateIn, check_template, say_no_task
from orchestrator.plan.words import Finding, Path, describe, did_you_mean, listed

_A_NAME = "a letter, then letters, digits, dashes and underscores, 64 at most"


def check_plan(plan: Plan, dropped: AbstractSet[Path] = frozenset(), *, inside: bool = False) -> Iterator[Finding]:
    """All that is wrong with a plan whose values are each right. What hangs on a `dropped` value is not judged.

    `inside`: it is a part of another plan, which may give its vars.
    """
    yield from _check_agents(plan, dropped)
    schemas = SchemaChecks()
    for name, spec in plan.tasks.items():
        place = ("tasks", name)
        if not re.fullmatch(TASK_NAME, name):
            yield Finding(place, f"found {describe(name)} as a task's name, expected {_A_NAME}")
        yield from _check_bodies(place, spec, dropped)
        yield from _check_needs(place, name, spec, plan)
        for spot in spots_of(name, spec):
            yield from schemas.check((*spot.path, "returns"), spot.spec.returns)
            yield from _check_templates(plan, spot, dropped)
        if not inside:
            yield from check_lists(plan, name, dropped)
    yield from _check_circles(plan)
    yield from _check_defaults(plan, dropped)


def _check_agents(plan: Plan, dropped: AbstractSet[Path]) -> Iterator[Finding]:
    if ("agents",) in dropped:
        return
    named: list[tuple[Path, str | None]] = [(("defaults", "agent"), plan.defaults.agent)]
    for name, spec in plan.tasks.items():
        named += [((*spot.path, "agent"), spot.spec.agent) for spot in spots_of(name, spec)]
    for name, options in plan.agents.items():
        spawned = options.spawn.agents if options.spawn else ()
        named += [(("agents", name, "spawn", "agents", index), other) for index, other in enumerate(spawned)]
    for path, agent in named:
        if agent is not None and agent not in plan.agents:
            there = f"expected one of {listed(plan.agents)}" if plan.agents else "and there is nothing under agents"
            yield Finding(path, f"found {describe(agent)}{did_you_mean(agent, plan.agents)}, {there}")


def _check_bodies(place: Path, spec: TaskSpec, dropped: AbstractSet[Path]) -> Iterator[Finding]:
    yield from check_body(place, spec, place not in {path[:2] for path in dropped})
    for name, stage in (spec.pipeline or {}).items():
        inside = (*place, "pipeline", name)
        if not re.fullmatch(TASK_NAME, name):
            yield Finding(inside, f"found {describe(name)} as a stage's name, expected {_A_NAME}")
        yield from check_body(inside, stage, whole=True)
        yield from check_stage_needs(inside, name, stage, spec.pipeline or {})


def _check_templates(plan: Plan, spot: Spot, dropped: AbstractSet[Path]) -> Iterator[Finding]:
    for inside, text in spot.templates():
        yield from check_template(TemplateIn(plan, spot, inside, text, dropped))


def _check_needs(place: Path, name: str, spec: TaskSpec, plan: Plan) -> Iterator[Finding]:
    for index, need in enumerate(spec.names):
        path = (*place, "needs", index)
        if need == name:
            yield Finding(path, f"the task {name} needs itself, expected another task")
        elif need not in plan.tasks:
            yield Finding(path, say_no_task(need, name, plan))


def _check_circles(plan: Plan) -> Iterator[Finding]:
    needs = {name: tuple(need for need in wanted if need != name) for name, wanted in all_needs(plan).items()}
    for circle in find_cycles(needs):
        names = listed((*circle, circle[0]), most=50).replace(", ", " -> ")
        what = f"{circle[0]} needs {circle[1]}" if len(circle) > 1 else "it needs itself"
        path = ("tasks", circle[0], "needs") if plan.tasks[circle[0]].needs else ("tasks", circle[0])
        yield Finding(
            path, f"the tasks wait for each other in a circle: {names} ({what}): take one of these needs away"
        )


def _check_defaults(plan: Plan, dropped: AbstractSet[Path]) -> Iterator[Finding]:
    workspace = plan.defaults.workspace
    for key in ("path", "base") if workspace else ():
        text, path = getattr(workspace, key), ("defaults", "workspace", key)
        if text is None:
            continue
        spot = Spot(path=("defaults",), spec=TaskSpec())
        yield from check_template(TemplateIn(plan, spot, path[1:], text, dropped))
        for task in read_references(text).tasks:
            yield Finding(
                path, f"found tasks.{task.name}, expected nothing of a task: every task would wait for it", task.line
            )
