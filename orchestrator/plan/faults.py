"""Pydantic's errors in our words."""

from collections.abc import Callable, Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.plan.places import WorkspaceKeys
from orchestrator.plan.words import Finding, Path, describe, did_you_mean, listed
from workspaces import WorkspaceSpec

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
    "too_short": lambda context: "at least one entry",
    "literal_error": lambda context: f"one of {context['expected']}".replace("'", "").replace(" or ", ", "),
}


def model_at(path: Path, top: type[BaseModel]) -> type[BaseModel] | None:
    """The model of the mapping at `path` inside `top`; None where the writer chooses the keys, or there is no mapping.

    Which model is below which key is read from the models themselves.
    """
    model: type[BaseModel] | None = top
    steps = iter(path)
    for step in steps:
        field = model.model_fields.get(str(step)) if model else None
        model, many = _model_in(field.annotation) if field else (None, False)
        if many and next(steps, None) is None:
            return None
    return model


def _model_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model that a field's values are, if any, and whether there are several, by names or in a list."""
    if annotation is WorkspaceSpec:
        return WorkspaceKeys, False
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    found = (_model_in(each) for each in get_args(annotation))
    model, many = next(((model, many) for model, many in found if model), (None, False))
    return model, many or get_origin(annotation) in (dict, tuple, list)


def explain(error: ValidationError, top: type[BaseModel]) -> Iterator[Finding]:
    """Every fault of the data of a plan, or of another model, by its path."""
    for details in error.errors(include_url=False):
        path = details["loc"]
        yield Finding(path[:-1] if path[-1:] == ("[key]",) else path, _say(path, details, top))


def _say(path: Path, details: ErrorDetails, top: type[BaseModel]) -> str:
    kind, context = details["type"], details.get("ctx", {})
    found: Any = details["input"]
    match kind:
        case "value_error":
            return str(context["error"])
        case "missing":
            return f"found nothing, expected {'a mapping of what is to be done' if path == ('tasks',) else 'text'}"
        case "extra_forbidden":
            return _unknown_key(path, top)
        case "string_pattern_mismatch" | "string_too_short":
            return _bad_name(path, found)
        case "string_too_long":
            return f"found a text of {len(found):,} characters, expected at most {context['max_length']:,}"
    expected = _BOUNDS[kind](context) if kind in _BOUNDS else _EXPECTED.get(kind, details["msg"])
    return f"found {describe(found)}, expected {expected}{_hint(kind, found)}"


def _unknown_key(path: Path, top: type[BaseModel]) -> str:
    model = model_at(path[:-1], top)
    known = list(model.model_fields) if model else []
    why = (
        "; a stage has no pipeline of its own: put its stages after it, or into a plan"
        if path[-1] == "pipeline"
        else ""
    )
    return f"unknown key{did_you_mean(str(path[-1]), known)}, expected one of {listed(known, most=30)}{why}"


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
