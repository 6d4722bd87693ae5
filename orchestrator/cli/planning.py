"""`plan check`, `plan show` and `plan schema`: look at a plan without starting anything."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import anyio

from orchestrator.cli.output import console, print_json
from orchestrator.cli.plan_tree import has_limits, inside, picture, plans_below
from orchestrator.cli.running import to_overrides
from orchestrator.engine.foreseeing import foresee
from orchestrator.engine.planned.pieces import kind_of
from orchestrator.errors import PlanError
from orchestrator.events import RunForecast
from orchestrator.journal.sqlite import SqliteJournal
from orchestrator.plan.graph import tree
from orchestrator.plan.loading import LoadedPlan, load_plan
from orchestrator.plan.schema import plan_schema
from orchestrator.plan.specs import StageSpec
from orchestrator.settings import home
from orchestrator.views.verdicts import forecast_words
from orchestrator.views.words import plural


def check(path: str, settings: Sequence[str], as_json: bool) -> int:
    """Reads the plan; its faults, if any, are raised."""
    try:
        loaded = load_plan(path, to_overrides(settings))
    except PlanError as error:
        if as_json:
            print_json({"ok": False, "faults": [asdict(fault) for fault in error.faults]})
        raise
    inner, count = [name for name, _ in plans_below(loaded)], len(loaded.plan.tasks)
    if as_json:
        print_json({"ok": True, "name": loaded.plan.name, "tasks": count, "plans": inner, "notes": list(notes(loaded))})
        return 0
    also = f", with {plural(len(inner), 'plan')} in it: {', '.join(inner)}" if inner else ""
    print(f"{path}: the plan {loaded.plan.name!r} is good: {plural(count, 'task')}{also}")
    for note in notes(loaded):
        print(f"note: {note}")
    return 0


def notes(loaded: LoadedPlan) -> Iterator[str]:
    """What is no fault, and may still surprise."""
    for name, nested in plans_below(loaded):
        if has_limits(nested):
            yield f"{name}: its limits do not count here: all tasks of a run are under the limits of the outermost plan"


def show(path: str, settings: Sequence[str], as_json: bool, with_forecast: bool = False) -> int:
    """Prints the graph: each task below the last of those that it waits for; and, if wanted, what it would take."""
    loaded = load_plan(path, to_overrides(settings))
    expected = anyio.run(expectation, loaded) if with_forecast else None
    if as_json:
        tasks, told = graph(loaded), expected.to_json() if expected else None
        print_json({"tasks": tasks, "forecast": told} if with_forecast else tasks)
        return 0
    console().print(picture(loaded))
    if expected:
        print(forecast_words(expected, loaded.plan.limits.width))
    elif with_forecast:
        print(f"forecast: none: no earlier run of {loaded.plan.name!r} tells anything; a first run may be a --pilot 1")
    return 0


async def expectation(loaded: LoadedPlan) -> RunForecast | None:
    """What the plan would take; None when the journal, if there is one, tells nothing of it."""
    path = home().journal
    return await foresee(loaded, SqliteJournal(path).history) if path.exists() else None


def schema() -> int:
    """Prints the JSON schema of plan files, for editors."""
    print_json(plan_schema())
    return 0


def graph(loaded: LoadedPlan) -> list[dict[str, Any]]:
    """The tasks of a plan, with their places in its graph and what is in them, as plain data."""
    tasks = loaded.plan.tasks
    return [asdict(node) | described(loaded, tasks[node.name]) for node in tree(loaded.plan).values()]


def described(loaded: LoadedPlan, spec: StageSpec) -> dict[str, Any]:
    """`kind` is what the engine makes of it, `part` what a part of a loop is; `parts` and `tasks` are what is in it."""
    found: dict[str, Any] = {"kind": kind_of(spec)}
    if found["kind"] == "loop":
        found["part"] = kind_of(spec, part=True)
    if parts := [{"name": name} | described(loaded, inner) for name, inner in inside(spec)]:
        found["parts"] = parts
    if spec.vote is not None:
        found["vote"] = spec.vote.model_dump(mode="json", include={"times", "by", "on"})
    if spec.plan is not None:
        found |= {"plan": spec.plan, "tasks": graph(loaded.nested[spec.plan])}
    return found
