"""The way in: from a plan file, plain data or a `Plan` to a plan that is right throughout, or to all its faults."""

import copy
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from orchestrator.errors import Fault, PlanError, UsageError
from orchestrator.plan import words
from orchestrator.plan.checks import check_plan
from orchestrator.plan.faults import explain
from orchestrator.plan.functions import check_functions
from orchestrator.plan.inner_checks import check_inner
from orchestrator.plan.model import Plan
from orchestrator.plan.nesting import Nested, Way, load_nested
from orchestrator.plan.overrides import override
from orchestrator.plan.source import Source, read_source
from orchestrator.plan.words import Finding, describe, did_you_mean, listed

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class LoadedPlan:
    """A plan that is right throughout, and where it came from."""

    plan: Plan
    directory: Path
    """What relative paths in the plan start from; absolute."""
    file: Path | None = None
    nested: "Mapping[str, LoadedPlan]" = field(default_factory=dict)
    """The plans that its tasks name with `plan`, by those paths as they are written."""


Known = dict[Path, LoadedPlan]
"""By their files."""


def load_plan(path: str | os.PathLike[str], overrides: Mapping[str, str] = _NOTHING) -> LoadedPlan:
    """The plan file at `path`, with the values of `overrides` (`{"limits.concurrent": "3"}`) in place.

    Raises PlanError with all faults at once, also of the plans in it; UsageError for an override that leads nowhere.
    """
    file = Path(path)
    read = read_source(file)
    source = override(read, overrides)
    loaded = _load(source, file, file.absolute().parent, (Path(os.path.realpath(file)),), {})
    _check_new_variables(file, read, overrides)
    return loaded


def _check_new_variables(file: Path, read: Source, overrides: Mapping[str, str]) -> None:
    """Raises UsageError for a variable that the plan neither has nor speaks of: what is set there would do nothing."""
    known = list((read.data.get("vars") or {}) if isinstance(read.data, dict) else {})
    given = [path.split(".")[1] for path in overrides if path.startswith("vars.")]
    for name in given:
        if name not in known and not re.search(rf"\b{re.escape(name)}\b", file.read_text("utf-8", "replace")):
            there = f"there is {listed(known)}" if known else "there is nothing under vars"
            raise UsageError(
                f"--set vars.{name}: the plan speaks of no such variable{did_you_mean(name, known)}; {there}"
            )


def parse_plan(plan: Plan | Mapping[str, Any], directory: str | os.PathLike[str] = "") -> LoadedPlan:
    """A plan made in Python, checked as a file is. `directory` is where relative paths start. Raises PlanError."""
    base = Path(directory).absolute()
    if not isinstance(plan, Plan):
        return _load(Source("plan", dict(plan)), None, base, (base,), {})
    nested = _nested(plan, base, None, (base,), {})
    findings = [*check_functions(plan, base), *nested.findings, *check_inner(plan, nested)]
    faults = [*check(plan), *_place(Source("plan", None), findings), *nested.faults]
    if faults:
        raise PlanError(faults)
    return LoadedPlan(plan, base, nested=nested)


def check(plan: Plan) -> list[Fault]:
    """All that is wrong with a plan made in Python, but for plans in it: its faults have no lines."""
    return _place(Source("plan", None), check_plan(plan))


def _load(source: Source, file: Path | None, directory: Path, way: Way, known: Known) -> LoadedPlan:
    """The plan of the source. `way` leads to it, its own file included; `known` are plans that were read before."""
    if not isinstance(source.data, dict):
        found = source.fault((), f"found {describe(source.data)}, expected a plan: a mapping with tasks")
        raise PlanError(source.faults or [found])
    context, inside = {"directory": directory}, len(way) > 1
    try:
        plan = Plan.model_validate(source.data, context=context)
    except ValidationError as error:
        findings = list(explain(error, Plan))
        faults = _place(source, [*findings, *_check_rest(source.data, findings, context, inside=inside)])
        raise PlanError(_all_faults(source, faults)) from None
    nested = _nested(plan, directory, file, way, known)
    findings = [*check_plan(plan, inside=inside), *check_functions(plan, directory), *nested.findings]
    findings += check_inner(plan, nested)
    faults = [*_place(source, findings), *nested.faults]
    if source.faults or faults:
        raise PlanError(_all_faults(source, faults))
    return LoadedPlan(plan, directory, file and file.absolute(), nested)


def _nested(plan: Plan, directory: Path, file: Path | None, way: Way, known: Known) -> Nested[LoadedPlan]:
    """The plans in a plan that is in `file`, whose path begins as faults are to name it."""

    def load(path: Path, way: Way) -> LoadedPlan:
        whole = Path(os.path.realpath(path))
        if whole not in known:
            shown = path if file is None else Path(os.path.normpath(file.parent / os.path.relpath(path, directory)))
            known[whole] = _load(read_source(shown), shown, path.parent.absolute(), (*way, whole), known)
        return known[whole]

    return load_nested(plan, directory, way, load, lambda loaded: loaded.plan.vars)


def _all_faults(source: Source, faults: Sequence[Fault]) -> list[Fault]:
    own = [each for each in faults if each.file != source.file or not _follows(each, source.faults)]
    return list(dict.fromkeys([*source.faults, *own]))


def _follows(fault: Fault, from_yaml: Sequence[Fault]) -> bool:
    """Whether a fault may be there only because YAML at or below its place could not be read."""
    below = [each.path[len(fault.path) :] for each in from_yaml if each.path.startswith(fault.path)]
    return any(rest[:1] in ("", ".", "[") for rest in below)


def _place(source: Source, findings: Any) -> list[Fault]:
    return [source.fault(finding.path, finding.what, finding.line) for finding in findings]


def _check_rest(
    data: dict[str, Any], findings: list[Finding], context: dict[str, Any], *, inside: bool
) -> list[Finding]:
    """What else is wrong, judged on what is left of the plan without its wrong values."""
    dropped = {_unit(finding.path) for finding in findings}
    left = _without(data, dropped)
    try:
        return list(check_plan(Plan.model_validate(left, context=context), dropped, inside=inside))
    except ValidationError:
        # Too little is left: the tasks themselves are missing, or their names are wrong.
        return []


def _unit(path: words.Path) -> words.Path:
    """What is dropped for a fault at `path`: a field of a task, an agent, `limits` or `defaults`, or all of it."""
    return path[:3] if path[:1] in {("tasks",), ("agents",)} else path[:2]


def _without(data: dict[str, Any], dropped: set[words.Path]) -> dict[str, Any]:
    left = {key: copy.copy(value) for key, value in data.items()}
    for path in dropped:
        match path:
            case (top,):
                left.pop(str(top), None)
            case (("tasks" | "agents") as top, name):
                left[top][name] = {}
            case (("tasks" | "agents") as top, name, key) if left[top][name]:
                left[top][name] = {other: value for other, value in left[top][name].items() if other != key}
            case (top, key):
                left[str(top)].pop(key, None)
    return left
