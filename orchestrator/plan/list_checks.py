"""Whether loops are over lists, where the plan alone can tell."""

from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from orchestrator.plan.expand import combinations_of, items_of
from orchestrator.plan.model import Plan
from orchestrator.plan.references import has_marks, read_references
from orchestrator.plan.render import TemplateError
from orchestrator.plan.specs import StageSpec
from orchestrator.plan.spots import spots_of
from orchestrator.plan.words import Finding, Path


def check_lists(plan: Plan, task: str, dropped: AbstractSet[Path]) -> Iterator[Finding]:
    """Loops of the task over vars that are no lists, and matrices of too many combinations."""
    if ("vars",) in dropped:
        return
    scope = {"vars": plan.vars}
    for spot in spots_of(task, plan.tasks[task]):
        if not isinstance(spec := spot.spec, StageSpec):
            continue
        try:
            if isinstance(spec.foreach, str) and _is_known(plan, spec.foreach):
                items_of(spec.foreach, scope)
            if spec.matrix and _is_known_matrix(plan, spec.matrix):
                combinations_of(spec.matrix, scope)
        except TemplateError as error:
            where, _, what = str(error).partition(": ")
            yield Finding((*spot.path, *where.split(".", 1)), what)


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
