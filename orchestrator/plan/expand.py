"""One entry of a plan to its parts: the items of a loop, their names, and what their templates see."""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.plan.render import TemplateError, evaluate
from orchestrator.plan.views import RunView, Views
from orchestrator.plan.words import describe

MOST_COMBINATIONS = 100_000


def items_of(foreach: str | list[Any], scope: Mapping[str, Any], name: str = "foreach") -> list[Any]:
    """The items of a loop. Raises TemplateError, which calls the template `name`, when there is no list."""
    found = evaluate(foreach, scope, name) if isinstance(foreach, str) else foreach
    if isinstance(found, list | tuple | range):
        return list(found)
    raise TemplateError(f"{name}: found {describe(found)}, expected a list")


def combinations_of(
    matrix: Mapping[str, str | list[Any]], scope: Mapping[str, Any], name: str = "matrix"
) -> list[dict[str, Any]]:
    """The items of a matrix: every combination of one value from each list, the last list's values changing first.

    Raises TemplateError when one is no list, and for more than 100,000 combinations.
    """
    found: list[dict[str, Any]] = [{}]
    for axis in matrix:
        found = list(_extended(found, axis, matrix[axis], scope, name))
    return found


def _extended(
    found: list[dict[str, Any]], axis: str, items: str | list[Any], scope: Mapping[str, Any], name: str
) -> Iterator[dict[str, Any]]:
    count = 0
    for earlier in found:
        for value in items_of(items, {**scope, "item": earlier}, f"{name}.{axis}"):
            count += 1
            if count > MOST_COMBINATIONS:
                raise TemplateError(f"{name}: found more than {MOST_COMBINATIONS:,} combinations, expected fewer")
            yield {**earlier, axis: value}


def make_scope(variables: Mapping[str, Any], tasks: Views, run: str, **local: Any) -> dict[str, Any]:
    """What a template sees; `local` are the names of its place, as `item` and `index` in the part of a loop."""
    return {"vars": variables, "tasks": tasks, "run": RunView(run)} | local
