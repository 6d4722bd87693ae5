"""Goals of a plan that agents split, work on in parts, and join."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from orchestrator.engine.patterns.dividing import Dividing
from orchestrator.engine.planned.filling import based_on
from orchestrator.engine.planned.pieces import Piece, PlanInRun, Scope, stage_of
from orchestrator.engine.planned.unfolding import mentions
from orchestrator.plan.render import TemplateError, render
from orchestrator.plan.specs import FanOutSpec, NeedSpec, StageSpec
from orchestrator.plan.spots import stages_of
from orchestrator.prompts import PartDone, join_prompt, missing_parts, part_prompt, parts_schema, split_prompt


def divide(plan: PlanInRun, group: Piece, scope: Scope) -> tuple[Dividing, tuple[Piece, Piece, Piece]]:
    """Who splits, a loop over the parts, and who joins. Raises TemplateError for a goal that cannot be filled in."""
    assert group.spec.fan_out is not None
    goal = render(group.spec.prompt or "", scope, f"{group.where}.prompt")
    if not goal.strip():
        raise TemplateError(f"{group.where}.prompt: filled in, it is empty, expected the goal that is to be split")
    at = replace(group, local={**group.local, "goal": goal})
    found: list[Piece] = []
    for name, spec in step_specs(group.spec, group.spec.fan_out).items():
        where = f"{group.where}.fan_out.{name}"
        found.append(stage_of(at, name, spec, where, tuple(found), says=spec.prompt is None or mentions(spec)))
    split, loop, join = found
    dividing = Dividing(name=group.id, results=plan.results, titles=partial(titles, plan, loop))
    return dividing, (
        worded(split, lambda _: split_prompt(goal, most_of(group))),
        worded(loop, lambda scope: part_prompt(goal, scope["item"])),
        replace(join, wording=partial(word_join, goal, join, lambda: dividing.done(loop.id))),
    )


def most_of(group: Piece) -> int:
    """How many parts there may be."""
    return group.spec.fan_out.most if group.spec.fan_out else 0


def titles(plan: PlanInRun, loop: Piece) -> list[str]:
    return [str(part.local["item"]["title"]) for part in plan.parts.get(loop.id, ())]


def step_specs(task: StageSpec, fan_out: FanOutSpec) -> dict[str, StageSpec]:
    """The specs of the three, with what the task says of its agent where they say nothing."""
    steps = stages_of(fan_out)
    join = {"returns": steps["join"].returns or task.returns, "needs": (NeedSpec(task="part", allow="failed"),)}
    more: dict[str, dict[str, Any]] = {
        "split": {"returns": parts_schema(fan_out.most)},
        "part": {"checks": steps["part"].checks or task.checks, "rehearsal": steps["part"].rehearsal or task.rehearsal},
        "join": join,
    }
    return {name: based_on(spec, task, **more[name]) for name, spec in steps.items()}


def worded(stage: Piece, wording: Callable[[Scope], str]) -> Piece:
    """The stage with our own prompt where the plan has none."""
    return stage if stage.spec.prompt is not None else replace(stage, wording=wording)


def word_join(goal: str, stage: Piece, done: Callable[[], Sequence[PartDone]], scope: Scope) -> str:
    """What the joiner is asked; what failed is told in any case."""
    if stage.spec.prompt is None:
        return join_prompt(goal, done())
    return render(stage.spec.prompt, scope, f"{stage.where}.prompt") + missing_parts(done())
