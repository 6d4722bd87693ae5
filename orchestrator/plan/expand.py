"""One entry of a plan to its parts: the items of a loop, their names, and what their templates see."""

from collections.abc import Mapping
from typing import Any

from orchestrator.plan.render import TemplateError, evaluate
from orchestrator.plan.views import RunView, Views
from orchestrator.plan.words import describe


def items_of(foreach: str | list[Any], scope: Mapping[str, Any], name: str = "foreach") -> list[Any]:
    """The items of a loop. Raises TemplateError, which calls the template `name`, when there is no list."""
    found = evaluate(foreach, scope, name) if isinstance(foreach, str) else foreach
    if isinstance(found, list | tuple | range):
        return list(found)
    raise TemplateError(f"{name}: found {describe(found)}, expected a list")


def make_scope(
    variables: Mapping[str, Any], tasks: Views, run: str, *, item: Any = None, index: int | None = None
) -> dict[str, Any]:
    """What a template sees. `item` and `index` are there in the part of a loop alone, which has an index."""
    loop = {} if index is None else {"item": item, "index": index}
    return {"vars": variables, "tasks": tasks, "run": RunView(run)} | loop


def part_name(task: str, index: int) -> str:
    """`check[3]`: the fourth part of the loop `check`."""
    return f"{task}[{index}]"
