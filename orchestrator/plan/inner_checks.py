"""Whether what templates refer to inside of plans in the plan is there: `tasks.build.tasks.tests.text`."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from orchestrator.plan.model import Plan
from orchestrator.plan.references import read_references
from orchestrator.plan.spots import is_loop, spots_of
from orchestrator.plan.template_checks import view_of
from orchestrator.plan.views import names_of
from orchestrator.plan.words import Finding, did_you_mean, listed


class HasPlan(Protocol):
    """A plan with the plans in it."""

    @property
    def plan(self) -> Plan: ...
    @property
    def nested(self) -> "Mapping[str, HasPlan]": ...


def check_inner(plan: Plan, nested: Mapping[str, HasPlan]) -> Iterator[Finding]:
    """What templates of the plan want of tasks of the plans in it that are not there."""
    for name, spec in plan.tasks.items():
        for spot in spots_of(name, spec):
            for inside, text in spot.templates():
                for chain, line in read_references(text).chains:
                    if chain[0] in plan.tasks and (what := _find_fault(plan, nested, chain)):
                        yield Finding((*spot.path, *inside), what, line)


def _find_fault(plan: Plan, nested: Mapping[str, HasPlan], chain: tuple[str, ...], above: str = "") -> str | None:
    """What is wrong with `build`, `tasks`, `tests`, `text`; None where nothing is, or nobody can say it yet."""
    name, *rest = chain
    spec, so_far = plan.tasks[name], f"{above}tasks.{name}"
    known = names_of(view_of(spec))
    if above and rest and rest[0] not in known:
        guess = did_you_mean(rest[0], known)
        return f"found {so_far}.{rest[0]}, which is not there{guess}, expected one of {listed(known)}"
    inner = nested.get(spec.plan or "")
    if inner is None or is_loop(spec) or len(rest) < 2 or rest[0] != "tasks":
        return None
    if rest[1] in inner.plan.tasks:
        return _find_fault(inner.plan, inner.nested, tuple(rest[1:]), f"{so_far}.")
    guess, there = did_you_mean(rest[1], inner.plan.tasks), f"expected one of {listed(inner.plan.tasks)}"
    return f"found {so_far}.tasks.{rest[1]}, which {spec.plan} does not have{guess}, {there}"
