"""Whether loops are over lists, and templates fit their items, where the plan alone can tell."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from orchestrator.plan.expand import combinations_of, items_of
from orchestrator.plan.model import Plan
from orchestrator.plan.references import has_marks, read_references
from orchestrator.plan.render import TemplateError, render
from orchestrator.plan.specs import StageSpec
from orchestrator.plan.spots import spots_of
from orchestrator.plan.words import Finding, Path, shorten

MOST_TRIED = 1_000
"""How many items of a loop are filled in before the run begins."""


def check_lists(plan: Plan, task: str, dropped: AbstractSet[Path]) -> Iterator[Finding]:
    """Loops of the task over vars that are no lists, matrices of too many combinations, items that fit no template."""
    if ("vars",) in dropped:
        return
    scope = {"vars": plan.vars}
    for spot in spots_of(task, plan.tasks[task]):
        if not isinstance(spec := spot.spec, StageSpec):
            continue
        try:
            items = _items(plan, spec, scope)
        except TemplateError as error:
            where, _, what = str(error).partition(": ")
            yield Finding((*spot.path, *where.split(".", 1)), what)
        else:
            if items and not spot.outside:
                yield from _check_items(plan, task, items, dropped)


def _items(plan: Plan, spec: StageSpec, scope: Mapping[str, Any]) -> list[Any]:
    """The items of a loop that are known already. Raises TemplateError for what is no list."""
    if spec.matrix:
        return list[Any](combinations_of(spec.matrix, scope)) if _is_known_matrix(plan, spec.matrix) else []
    if spec.foreach is None or (isinstance(spec.foreach, str) and not _is_known(plan, spec.foreach)):
        return []
    return items_of(spec.foreach, scope)


def _check_items(plan: Plan, task: str, items: Sequence[Any], dropped: AbstractSet[Path]) -> Iterator[Finding]:
    """Prompts that are filled in with each item, where one cannot be; of each prompt the first item is told."""
    if plan.tasks[task].when is not None or any(path[:2] == ("tasks", task) for path in dropped):
        return
    for spot in spots_of(task, plan.tasks[task]):
        skipped = isinstance(spot.spec, StageSpec) and spot.spec.when is not None
        looped = spot.loops and bool(spot.outside)  # its own items are others
        if spot.spec.prompt is None or skipped or looped or not _hangs_on_items(plan, spot.spec.prompt):
            continue
        for index, item in enumerate(items[:MOST_TRIED]):
            try:
                render(spot.spec.prompt, {"vars": plan.vars, "item": item, "index": index}, "prompt")
            except TemplateError as error:
                what = str(error).partition(": ")[2]
                yield Finding((*spot.path, "prompt"), f"{what}; item {index} is {shorten(repr(item), 200)}")
                break


def _hangs_on_items(plan: Plan, template: str) -> bool:
    """Whether the template is right, and hangs on the item, and on nothing else that is not in the plan."""
    found = read_references(template)
    names = {name for name, _, _ in found.names}
    known = "item" in names and names <= {"item", "index"} and all(name.name in plan.vars for name in found.variables)
    return known and not (found.tasks or found.stages or found.computed or found.wrong)


def _is_known_matrix(plan: Plan, matrix: Mapping[str, str | list[Any]]) -> bool:
    axes = list(matrix)
    return all(
        isinstance(items, list) or _is_known(plan, items, axes[:index]) for index, items in enumerate(matrix.values())
    )


def _is_known(plan: Plan, template: str, earlier: Collection[str] = ()) -> bool:
    """Whether the template is right, and hangs on nothing but vars and the lists that come before it in a matrix."""
    found = read_references(template)
    names = [name for name, _, attribute in found.names if name != "item" or attribute not in earlier]
    elsewhere = names or found.tasks or found.stages or found.computed or found.wrong
    return has_marks(template) and not elsewhere and all(name.name in plan.vars for name in found.variables)
