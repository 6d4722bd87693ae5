"""Plans in plans: the files that tasks name with `plan`, each read once, and never in a circle."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.errors import Fault, PlanError
from orchestrator.plan.files import read_text
from orchestrator.plan.model import Plan
from orchestrator.plan.references import has_marks
from orchestrator.plan.source import MOST_BYTES
from orchestrator.plan.specs import StageSpec
from orchestrator.plan.spots import spots_of
from orchestrator.plan.words import Finding, describe, did_you_mean, listed
from orchestrator.plan.words import Path as Place

MOST_DEPTH = 10
"""How deep plans may be in plans."""
Loaded = TypeVar("Loaded")
Way = tuple[Path, ...]
"""The files from the outermost plan to the one that is being read, absolute."""


class Nested(dict[str, Loaded]):
    """The plans inside a plan, by the paths that it calls them by, and what is wrong with those paths, and in them."""

    def __init__(self) -> None:
        super().__init__()
        self.findings: list[Finding] = []
        self.faults: list[Fault] = []


def plans_in(plan: Plan) -> Iterator[tuple[Place, StageSpec, str]]:
    """Where other plans are named, by whom, and their paths as they are written."""
    for name, spec in plan.tasks.items():
        for spot in spots_of(name, spec):
            if isinstance(spot.spec, StageSpec) and spot.spec.plan is not None:
                yield spot.path, spot.spec, spot.spec.plan


def load_nested(
    plan: Plan,
    directory: Path,
    way: Way,
    load: Callable[[Path, Way], Loaded],
    variables: Callable[[Loaded], Mapping[str, Any]],
) -> Nested[Loaded]:
    """All plans that the plan names; `directory` is that of its file. `load` reads one, and raises PlanError."""
    found: Nested[Loaded] = Nested()
    judged: dict[str, bool] = {}
    for place, spec, name in plans_in(plan):
        path = directory / Path(name).expanduser()
        if what := _refuse(name, path, way):
            found.findings.append(Finding((*place, "plan"), what))
            continue
        if name not in judged:
            judged[name] = _take(found, name, path, way, load)
        if judged[name]:
            found.findings += _check_vars(place, spec, variables(found[name]))
    return found


def _take(found: Nested[Loaded], name: str, path: Path, way: Way, load: Callable[[Path, Way], Loaded]) -> bool:
    try:
        found[name] = load(path, way)
    except PlanError as error:
        found.faults += error.faults
    return name in found


def _refuse(name: str, path: Path, way: Way) -> str | None:
    """Why the path cannot be that of a plan in this one."""
    if has_marks(name):
        return f"found {describe(name)}, expected the path of a plan as it stands: it is read before the run begins"
    file = Path(os.path.realpath(path))
    if file in way:
        circle = " -> ".join(each.name for each in (*way[way.index(file) :], file))
        return f"the plans contain each other in a circle: {circle}: take one of them out"
    if len(way) >= MOST_DEPTH:
        whole = " -> ".join(each.name for each in (*way, file))
        return f"the plans are more than {MOST_DEPTH} deep in each other: {whole}, expected fewer levels"
    try:
        read_text(path, MOST_BYTES)
    except ValueError as error:
        return (
            f"{describe(name).removeprefix('the text ')}: {error}; expected the path of a plan, from this file's folder"
        )
    return None


def _check_vars(place: Place, spec: StageSpec, known: Mapping[str, Any]) -> Iterator[Finding]:
    for name in spec.vars:
        if name not in known:
            there = f"expected one of {listed(known)}" if known else "and it has no vars"
            what = f"found vars.{name}, which {spec.plan} does not have{did_you_mean(name, known)}, {there}"
            yield Finding((*place, "vars", name), what)
