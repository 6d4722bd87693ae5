"""What a plan's models cannot see by themselves: names that must exist, fields that exclude each other, circles."""

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from orchestrator.plan.fields import TASK_NAME
from orchestrator.plan.graph import all_needs, find_cycles, templates_of
from orchestrator.plan.model import Plan, TaskSpec
from orchestrator.plan.references import read_references
from orchestrator.plan.schema_checks import SchemaChecks
from orchestrator.plan.template_checks import TemplateIn, check_template, say_no_task
from orchestrator.plan.words import Finding, Path, describe, did_you_mean, listed

_AGENT_ONLY = ("agent", "workspace", "returns", "timeout", "retries", "checks", "inputs", "fresh", "rehearsal")
_A_NAME = "a letter, then letters, digits, dashes and underscores, 64 at most"


def check_plan(plan: Plan, dropped: AbstractSet[Path] = frozenset()) -> Iterator[Finding]:
    """All that is wrong with a plan whose values are each right. What hangs on a `dropped` value is not judged."""
    yield from _check_agents(plan, dropped)
    schemas, broken = SchemaChecks(), {path[:2] for path in dropped}
    for name, spec in plan.tasks.items():
        place = ("tasks", name)
        if not re.fullmatch(TASK_NAME, name):
            yield Finding(place, f"found {describe(name)} as a task's name, expected {_A_NAME}")
        yield from _check_work(place, spec, place not in broken)
        yield from _check_needs(place, name, spec, plan)
        yield from schemas.check((*place, "returns"), spec.returns)
        for inside, text in templates_of(spec):
            yield from check_template(TemplateIn(plan, spec, name, (*place, *inside), text, dropped))
    yield from _check_circles(plan)
    yield from _check_defaults(plan, dropped)


def _check_agents(plan: Plan, dropped: AbstractSet[Path]) -> Iterator[Finding]:
    if ("agents",) in dropped:
        return
    named = [(("tasks", name, "agent"), spec.agent) for name, spec in plan.tasks.items()]
    spawned = [
        (("agents", name, "spawn", "agents", index), other)
        for name, agent in plan.agents.items()
        for index, other in enumerate(agent.spawn.agents if agent.spawn else ())
    ]
    for path, agent in [(("defaults", "agent"), plan.defaults.agent), *named, *spawned]:
        if agent is not None and agent not in plan.agents:
            there = f"expected one of {listed(plan.agents)}" if plan.agents else "and there is nothing under agents"
            yield Finding(path, f"found {describe(agent)}{did_you_mean(agent, plan.agents)}, {there}")


def _check_work(place: Path, spec: TaskSpec, whole: bool) -> Iterator[Finding]:
    if spec.prompt is None and spec.write is None:
        if whole:
            yield Finding(place, "found neither prompt nor write, expected one of them")
    elif spec.prompt is not None and spec.write is not None:
        yield Finding((*place, "write"), "found prompt and write, expected one of them")
    elif spec.prompt is not None and not spec.prompt.strip():
        yield Finding((*place, "prompt"), "found an empty text, expected what the agent is to do")
    yield from _check_lists(place, spec)
    if spec.write is None:
        return
    if not spec.write.path.strip():
        yield Finding((*place, "write", "path"), "found an empty text, expected the path of a file")
    for name in _AGENT_ONLY:
        if getattr(spec, name) != TaskSpec.model_fields[name].default:
            yield Finding(
                (*place, name),
                f"found {name} in a task that writes a file with no agent, expected it in a task with a prompt",
            )


def _check_lists(place: Path, spec: TaskSpec) -> Iterator[Finding]:
    for name, texts, expected in (
        ("checks", spec.checks, "a shell command, as pytest -q"),
        ("inputs", spec.inputs, "the path of a file or a folder"),
    ):
        for index, text in enumerate(texts):
            if not text.strip():
                yield Finding((*place, name, index), f"found an empty text, expected {expected}")


def _check_needs(place: Path, name: str, spec: TaskSpec, plan: Plan) -> Iterator[Finding]:
    for index, need in enumerate(spec.needs):
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
        yield Finding(path, f"the tasks wait for each other in a circle: {names} ({what}), expected none")


def _check_defaults(plan: Plan, dropped: AbstractSet[Path]) -> Iterator[Finding]:
    workspace = plan.defaults.workspace
    for key in ("path", "base") if workspace else ():
        text, path = getattr(workspace, key), ("defaults", "workspace", key)
        if text is None:
            continue
        yield from check_template(TemplateIn(plan, TaskSpec(), "", path, text, dropped))
        for task in read_references(text).tasks:
            yield Finding(
                path, f"found tasks.{task.name}, expected nothing of a task: every task would wait for it", task.line
            )
