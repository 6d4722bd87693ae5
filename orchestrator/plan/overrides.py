"""Values set from outside: `--set limits.concurrent=3`, `--set vars.topics=[a, b]`."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from orchestrator.errors import PlanError, UsageError
from orchestrator.plan.faults import model_at
from orchestrator.plan.model import Plan
from orchestrator.plan.scalars import resolve
from orchestrator.plan.source import Source, parse_source
from orchestrator.plan.words import Path, describe, did_you_mean, listed


def override(source: Source, values: Mapping[str, str]) -> Source:
    """`source` with `values` in place, by dotted path. Raises UsageError for a path that leads nowhere."""
    if not values or not isinstance(source.data, dict):
        return source
    data, settings = copy.deepcopy(source.data), {}
    for dotted_path, text in values.items():
        label = f"--set {dotted_path}"
        settings[_put(data, dotted_path.split("."), read_value(text, label), label)] = label
    return replace(source, data=data, settings=settings)


def read_value(text: str, label: str) -> Any:
    """A list, mapping or quoted text as YAML; anything else as an unquoted scalar, empty text included."""
    if not text.startswith(("[", "{", '"', "'")) or text.startswith(("{{", "{%")):
        try:
            return resolve(text) if text else ""
        except ValueError as error:
            raise UsageError(f"{label}: {error}") from None
    try:
        return parse_source(text, label).data
    except PlanError as error:
        raise UsageError(f"{label}: {error.faults[0].what}") from None


def _put(data: dict[str, Any], steps: list[str], value: Any, label: str) -> Path:
    path: Path = ()
    inside: Any = data
    for step in steps[:-1]:
        key = _key(inside, step, path, label)
        if isinstance(inside, dict) and inside.get(key) is None:
            inside[key] = {}
        inside, path = inside[key], (*path, key)
    key = _key(inside, steps[-1], path, label)
    inside[key] = value
    return (*path, key)


def _key(inside: Any, step: str, path: Path, label: str) -> str | int:
    if isinstance(inside, list):
        if step.isascii() and step.isdigit() and len(step) < 10 and int(step) < len(inside):
            return int(step)
        raise UsageError(f"{label}: found {describe(step)} for a list, expected a number below {len(inside)}")
    if not isinstance(inside, dict):
        raise UsageError(f"{label}: {'.'.join(map(str, path))} is {describe(inside)}, which has nothing inside")
    model = model_at(path, Plan)
    if step and path[:1] == ("vars",):
        return step
    known = list(model.model_fields) if model else list(inside)
    if step not in known:
        where = ".".join(map(str, path)) or "the plan"
        there = f"there is {listed(known, most=30)}" if known else "there is nothing in it"
        raise UsageError(
            f"{label}: {where} has no {describe(step).removeprefix('the text ')}{did_you_mean(step, known)}; {there}"
        )
    return step
