"""Groups of a plan to their parts, and what they come to: loops, pipelines, plans in plans."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from orchestrator.engine.planned.filling import evaluated
from orchestrator.engine.planned.pieces import Piece, PlanInRun, Scope, barred, is_passed_over, loop_part, stage_of
from orchestrator.engine.planned.showing import has_failed, matrix_scope, scope_of
from orchestrator.engine.steps import carried, sum_up, sum_up_stages
from orchestrator.plan.expand import combinations_of, items_of
from orchestrator.plan.graph import needs_of, order
from orchestrator.plan.references import read_references
from orchestrator.plan.specs import StageSpec, TaskSpec
from orchestrator.plan.spots import Spot
from orchestrator.task import Outcome, Result


def loop_parts(plan: PlanInRun, loop: Piece) -> list[Piece]:
    """A part per item. Raises TemplateError for what is no list."""
    if loop.spec.matrix is not None:
        items = list[object](combinations_of(loop.spec.matrix, matrix_scope(plan, loop), f"{loop.where}.matrix"))
    else:
        items = items_of(loop.spec.foreach or [], scope_of(plan, loop), f"{loop.where}.foreach")
    return [loop_part(loop, item, index) for index, item in enumerate(items)]


def sources(plan: PlanInRun, loop: Piece) -> tuple[str, ...]:
    """The tasks whose results a loop's items are made of."""
    lists = [loop.spec.foreach, *(loop.spec.matrix or {}).values()]
    read = [read_references(text) for text in lists if isinstance(text, str)]
    tasks = plan.ids(tuple(found.name for each in read for found in each.tasks))
    stages = tuple(f"{loop.parent}.{found.name}" for each in read for found in each.stages)
    return tuple(dict.fromkeys(tasks + stages))


def pipeline_parts(plan: PlanInRun, group: Piece) -> list[Piece]:
    """A part per stage, each after the one before."""
    assert isinstance(group.spec, TaskSpec)
    found: list[Piece] = []
    for name, spec in (group.spec.pipeline or {}).items():
        where = f"{group.where}.pipeline.{name}"
        found.append(gated(plan, stage_of(group, name, spec, where, tuple(found), says=mentions(spec))))
    return found


def gated(plan: PlanInRun, stage: Piece) -> Piece:
    return replace(stage, gate=partial(barred, plan.results, stage))


def mentions(spec: StageSpec) -> bool:
    """Whether the templates of a stage say what they take of those before it."""
    return any(
        found.stages or any(name in ("previous", "stages") for name, *_ in found.names)
        for found in (read_references(text) for _, text in Spot(path=(), spec=spec).templates())
    )


def sum_up_pipeline(stages: Sequence[Piece], results: Sequence[Result]) -> Result:
    """What a pipeline comes to: what its last stage gave, of those that were not passed over."""
    ran = [(stage, each) for stage, each in zip(stages, results, strict=True) if not is_passed_over(each)]
    if ran and is_let_pass(ran[-1][0].spec, last := ran[-1][1]):
        return replace(carried(last), outcome=Outcome.OK, note=f"stage {ran[-1][0].name}: {last.error}")
    return sum_up_stages(results)


def is_let_pass(spec: StageSpec, result: Result) -> bool:
    """Whether a part of it failed, and the plan says that what is there will do."""
    return spec.allow_failure and result.outcome is Outcome.PARTIAL


def inner_plan(plan: PlanInRun, group: Piece, scope: Scope) -> PlanInRun:
    """The plan that a task is. Raises TemplateError for vars that cannot be filled in."""
    loaded = plan.loaded.nested[group.spec.plan or ""]
    given = {name: evaluated(value, scope, f"{group.where}.vars.{name}") for name, value in group.spec.vars.items()}
    return PlanInRun(
        loaded=loaded,
        results=plan.results,
        setting=plan.setting,
        variables={**loaded.plan.vars, **given},
        prefix=f"{group.id}.",
        parent=group.id,
        named=group.named,
        refers=group.refers,
    )


def sum_up_plan(plan: PlanInRun, results: Sequence[Result]) -> Result:
    """What a plan in a plan comes to: the values of its tasks, or texts; the text of its last task.

    It fails when a task of it does, other than one with `allow_failure`.
    """
    tasks = plan.loaded.plan.tasks
    by_name = dict(zip(order(plan.loaded.plan), results, strict=True))
    needed = {need for spec in tasks.values() for need in needs_of(spec)}
    final = [result for name, result in by_name.items() if name not in needed]
    let_pass = [by_name[name].task for name, spec in tasks.items() if spec.allow_failure and has_failed(by_name[name])]
    # In the plan's own order; what is done is told by name, whatever else failed.
    done = [name for name, spec in tasks.items() if by_name[name].ok or is_let_pass(spec, by_name[name])]
    return replace(
        sum_up([result for result in results if result.task not in let_pass]),
        text=final[0].text if len(final) == 1 else "",
        value={name: worth(plan, plan.task(name)) for name in done},
        note=f"failed, as they may: {', '.join(let_pass)}" if let_pass else None,
    )


def worth(plan: PlanInRun, piece: Piece) -> Any:
    """What a task gave: its value, or its text where it has none; of a loop a list of them."""
    if piece.kind == "loop":
        return [worth(plan, part) for part in plan.parts.get(piece.id, ()) if plan.results[part.id].ok]
    result = plan.results[piece.id]
    return result.text if result.value is None else result.value
