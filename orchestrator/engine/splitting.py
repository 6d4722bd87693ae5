"""Goals of a plan that agents split, work on in parts, and join."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from orchestrator.engine.filling import based_on
from orchestrator.engine.pieces import Piece, PlanInRun, Scope, stage_of
from orchestrator.engine.unfolding import carried, gated, mentions
from orchestrator.plan.render import TemplateError, render
from orchestrator.plan.specs import FanOutSpec, NeedSpec, StageSpec
from orchestrator.plan.spots import stages_of
from orchestrator.prompts import PartDone, join_prompt, missing_parts, part_prompt, parts_schema, split_prompt
from orchestrator.task import Result, plain


def fan_out_parts(plan: PlanInRun, group: Piece, scope: Scope) -> list[Piece]:
    """Who splits, a loop over the parts, and who joins. Raises TemplateError for a goal that cannot be filled in."""
    assert group.spec.fan_out is not None
    goal = render(group.spec.prompt or "", scope, f"{group.where}.prompt")
    if not goal.strip():
        raise TemplateError(f"{group.where}.prompt: filled in, it is empty, expected the goal that is to be split")
    at = replace(group, local={**group.local, "goal": goal})
    found: list[Piece] = []
    for name, spec in step_specs(group.spec, group.spec.fan_out).items():
        where = f"{group.where}.fan_out.{name}"
        stage = stage_of(at, name, spec, where, tuple(found), says=spec.prompt is None or mentions(spec))
        found.append(gated(plan, stage))
    return [worded(plan, goal, group.spec.fan_out.most, found, stage) for stage in found]


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


def worded(plan: PlanInRun, goal: str, most: int, stages: Sequence[Piece], stage: Piece) -> Piece:
    """The stage with our own prompt where the plan has none; and whoever joins is told what failed in any case."""
    own = stage.spec.prompt
    if stage.name == "join":
        return replace(
            stage,
            gate=partial(may_join, plan, stages),
            wording=partial(word_join, plan, goal, stages, own, stage.where),
        )
    if own is not None:
        return stage
    if stage.name == "part":
        return replace(stage, wording=lambda scope: part_prompt(goal, scope["item"]))
    return replace(stage, wording=lambda scope: split_prompt(goal, most))


def may_join(plan: PlanInRun, stages: Sequence[Piece]) -> str | None:
    """Why nothing is to be joined."""
    split, loop = stages[0], stages[1]
    if not plan.results[split.id].ok:
        return f"it needs {split.id}, which is {plan.results[split.id].outcome.status}"
    done = [plan.results[part.id].ok for part in plan.parts.get(loop.id, ())]
    return None if any(done) else "no part succeeded"


def word_join(plan: PlanInRun, goal: str, stages: Sequence[Piece], own: str | None, where: str, scope: Scope) -> str:
    done = [part_done(plan, part) for part in plan.parts[stages[1].id]]
    if own is None:
        return join_prompt(goal, done)
    return render(own, scope, f"{where}.prompt") + missing_parts(done)


def part_done(plan: PlanInRun, part: Piece) -> PartDone:
    result = plan.results[part.id]
    text = result.text if result.value is None else json.dumps(plain(result.value), ensure_ascii=False)
    error = None if result.ok else result.error or result.outcome.value
    return PartDone(str(part.local["item"]["title"]), text, error)


def sum_up_fan_out(plan: PlanInRun, stages: Sequence[Piece], results: Sequence[Result]) -> Result:
    """What a goal came to: what the joiner gave, and a note on the parts that failed."""
    split, loop, join = results
    if not split.ok:
        return carried(split, f"split: {split.error}")
    parts = [plan.results[part.id] for part in plan.parts.get(stages[1].id, ())]
    failed = [part for part in parts if not part.ok]
    named = "; ".join(f"{part.task}: {part.error}" for part in failed)
    if len(failed) == len(parts):
        ends = {part.outcome for part in parts}
        outcome = ends.pop() if len(ends) == 1 else loop.outcome
        why = f"none of its {len(parts)} parts succeeded: {named}" if parts else f"parts: {loop.error}"
        return Result(task="", outcome=outcome, error=why)
    note = f"{len(parts) - len(failed)} of {len(parts)} parts succeeded{f'; {named}' if failed else ''}"
    return carried(join, None if join.ok else f"join: {join.error}", note)
