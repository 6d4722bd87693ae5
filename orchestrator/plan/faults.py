"""Pydantic's errors in our words."""

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.plan.model import Agent, Defaults, Limits, Plan, TaskSpec, Write
from orchestrator.plan.places import WorkspaceKeys
from orchestrator.plan.words import Finding, Path, describe, did_you_mean, listed

_EXPECTED: dict[str, str] = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "a mapping",
    "string_type": "text",
    "tuple_type": "a list",
}
_BOUNDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "greater_than": lambda context: f"more than {context['gt']:g}",
    "greater_than_equal": lambda context: f"{context['ge']:g} or more",
    "less_than_equal": lambda context: f"{context['le']:g} or less",
    "missing": lambda context: "a mapping of what is to be done",
    "too_short": lambda context: "at least one entry",
    "literal_error": lambda context: f"one of {context['expected']}".replace("'", "").replace(" or ", ", "),
}


_MODELS: dict[Path, type[BaseModel]] = {
    (): Plan,
    ("limits",): Limits,
    ("defaults",): Defaults,
    ("defaults", "workspace"): WorkspaceKeys,
    ("agents",): Agent,
    ("tasks",): TaskSpec,
    ("tasks", "write"): Write,
    ("tasks", "workspace"): WorkspaceKeys,
}


def model_at(path: Path) -> type[BaseModel] | None:
    """The model of the mapping at `path`; None where the plan's writer chooses the keys, or there is no mapping."""
    if path[:1] in (("agents",), ("tasks",)):
        # The second step is a name.
        path = (*path[:1], *path[2:]) if len(path) > 1 else ("names",)
    return _MODELS.get(path)


def explain(error: ValidationError) -> Iterator[Finding]:
    """Every fault of a plan's data, by its path."""
    for details in error.errors(include_url=False):
        path = details["loc"]
        yield Finding(path[:-1] if path[-1:] == ("[key]",) else path, _say(path, details))


def _say(path: Path, details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    # What pydantic shows as the input of a missing key is the mapping around it.
    found: Any = None if kind == "missing" else details["input"]
    match kind:
        case "value_error":
            return str(context["error"])
        case "extra_forbidden":
            return _unknown_key(path)
        case "string_pattern_mismatch" | "string_too_short":
            return _bad_name(path, found)
        case "string_too_long":
            return f"found a text of {len(found):,} characters, expected at most {context['max_length']:,}"
    expected = _BOUNDS[kind](context) if kind in _BOUNDS else _EXPECTED.get(kind, details["msg"])
    return f"found {describe(found)}, expected {expected}{_hint(kind, found)}"


def _unknown_key(path: Path) -> str:
    model = model_at(path[:-1])
    known = list(model.model_fields) if model else []
    return f"unknown key{did_you_mean(str(path[-1]), known)}, expected one of {listed(known, most=30)}"


def _bad_name(path: Path, found: Any) -> str:
    if path[-1] == "name":
        return f"found {describe(found)}, expected letters, digits, dots, dashes and underscores, 64 at most"
    if path[-1] == "kind":
        return f"found {describe(found)}, expected here, directory, worktree or the name of a provider"
    return f"found {describe(found)}, expected text"


def _hint(kind: str, found: Any) -> str:
    if kind == "tuple_type" and isinstance(found, str) and found.isprintable() and len(found) < 60:
        return f", as [{found}]"
    if kind == "string_type" and isinstance(found, bool | int | float):
        return "; quote it"
    return ""
