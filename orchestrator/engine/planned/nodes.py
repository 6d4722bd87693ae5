"""A plan's tasks as nodes of a run: what they unfold to, and what they ask, is known when their turn comes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.engine.planned import electing, filling, splitting, unfolding
from orchestrator.engine.planned.filling import agent_name, agent_of, planned_agent
from orchestrator.engine.planned.pieces import Piece, PlanInRun, Scope
from orchestrator.engine.planned.showing import scope_of
from orchestrator.engine.script.asking import Setting, title
from orchestrator.engine.steps import Ask, Call, Expand, Node, Omit, Step, sum_up
from orchestrator.errors import UsageError
from orchestrator.plan.graph import order
from orchestrator.plan.loading import LoadedPlan, load_plan, parse_plan
from orchestrator.plan.model import Plan
from orchestrator.plan.render import TemplateError, evaluate
from orchestrator.plan.specs import StageSpec, TaskSpec
from orchestrator.plan.words import describe, did_you_mean, listed, shorten
from orchestrator.task import Result, plain

__all__ = ["as_loaded", "plan_nodes", "planned_agent"]


def plan_nodes(
    loaded: LoadedPlan,
    results: Mapping[str, Result],
    setting: Setting,
    *,
    prefix: str = "",
    parent: str | None = None,
    vars: Mapping[str, Any] | None = None,
) -> list[Node]:
    """A node per task of the plan, each after its needs.

    `results` fills while the run goes on; `setting` is what the run gives to tasks that do not say otherwise. For a
    plan in a group, `prefix` is what the tasks' ids begin with, as `part.`, and `parent` the group. `vars`: values in
    place of the plan's own. Raises UsageError for vars that the plan does not have.
    """
    known = loaded.plan.vars
    if unknown := [name for name in vars or {} if name not in known]:
        there = f"expected one of {listed(known)}" if known else "and it has no vars"
        guess = did_you_mean(unknown[0], known)
        raise UsageError(f"vars: found {unknown[0]!r}, which the plan does not have{guess}, {there}")
    values = {**known, **(vars or {})}
    plan = PlanInRun(loaded=loaded, results=results, setting=setting, variables=values, prefix=prefix, parent=parent)
    return PlanNodes(plan).all()


def as_loaded(plan: Plan | LoadedPlan | str | Path, directory: Path) -> LoadedPlan:
    """The plan, read from its file if need be, and checked; `directory` is where a Plan's relative paths start.

    Raises PlanError with all its faults, UsageError for what is no plan.
    """
    match plan:
        case LoadedPlan():
            return plan
        case Plan():
            return parse_plan(plan, directory)
        case str() | Path():
            return load_plan(plan)
    raise UsageError(f"plan: found {describe(plan)}, expected a Plan, or the path of a plan file")


@dataclass(frozen=True, slots=True)
class PlanNodes:
    """Makes the nodes of a plan in a run."""

    plan: PlanInRun

    def all(self) -> list[Node]:
        return [self.node(self.plan.task(name)) for name in order(self.plan.loaded.plan)]

    def node(self, piece: Piece) -> Node:
        runs = agent_of(self.plan, piece.spec) if piece.kind == "agent" else None
        return Node(
            id=piece.id,
            title=heading(piece.spec),
            kind=piece.kind,
            prepare=partial(self.prepare, piece),
            needs=piece.needs,
            allows=piece.allows,
            parent=piece.parent,
            allow_failure=piece.spec.allow_failure,
            agent=agent_name(self.plan, piece.spec) if runs else None,
            runs=runs,
            named=piece.named,
            refers=piece.refers,
            talk=runs is not None and runs.talk,
        )

    def prepare(self, piece: Piece) -> Step:
        """What the piece turns out to be. Raises TemplateError, with the item that does not fit."""
        try:
            if piece.gate and (why := piece.gate()):
                return Omit(why)
            return self.step(piece)
        except TemplateError as error:
            if "item" not in piece.local or piece.kind == "loop":
                raise
            raise TemplateError(f"{error}; the item of {piece.id} is {shown(piece.local['item'])}") from error

    def step(self, piece: Piece) -> Step:
        if piece.kind == "loop":
            return self.loop(piece)
        scope = scope_of(self.plan, piece)
        if piece.when is not None and not evaluate(piece.when, scope, f"{piece.where}.when"):
            return Omit("its condition is false")
        steps: dict[str, Callable[[Piece, Scope], Step]] = {
            "pipeline": self.pipeline,
            "group": self.fan_out,
            "plan": self.nested,
            "vote": self.vote,
            "write": self.write,
            "agent": self.ask,
        }
        return steps[piece.kind](piece, scope)

    def loop(self, piece: Piece) -> Expand:
        """All parts of a loop; in a pilot the first ones, with the number of all."""
        parts = unfolding.loop_parts(self.plan, piece)
        first = parts[: self.plan.setting.pilot]
        of = len(parts) if len(first) < len(parts) else None
        return replace(self.expand(piece, first, sum_up), of=of, over=unfolding.sources(self.plan, piece))

    def ask(self, piece: Piece, scope: Scope) -> Ask:
        return filling.ask(self.plan, piece.spec, scope, piece.where, piece.wording)

    def write(self, piece: Piece, scope: Scope) -> Call:
        assert piece.spec.write is not None
        return filling.write(self.plan, piece.spec.write, scope, piece.where)

    def pipeline(self, group: Piece, scope: Scope) -> Expand:
        stages = unfolding.pipeline_parts(self.plan, group)
        return self.expand(group, stages, partial(unfolding.sum_up_pipeline, stages))

    def fan_out(self, group: Piece, scope: Scope) -> Expand:
        dividing, stages = splitting.divide(self.plan, group, scope)
        self.plan.parts[group.id] = stages
        return dividing.expand(*map(self.node, stages))

    def nested(self, group: Piece, scope: Scope) -> Expand:
        inner = self.plan.inner[group.id] = unfolding.inner_plan(self.plan, group, scope)
        return Expand(tuple(PlanNodes(inner).all()), gather=partial(unfolding.sum_up_plan, inner))

    def expand(self, group: Piece, parts: Sequence[Piece], gather: Callable[[Sequence[Result]], Result]) -> Expand:
        """The group's parts, which templates know from now on."""
        self.plan.parts[group.id] = tuple(parts)
        return Expand(tuple(self.node(part) for part in parts), gather=gather)

    def vote(self, group: Piece, scope: Scope) -> Expand:
        """The voters, and the judge where there is one."""
        assert group.spec.vote is not None
        voters = self.plan.parts[group.id] = electing.voters_of(group, group.spec.vote)
        return electing.vote(self.plan, group, scope, [self.node(each) for each in voters])


def heading(spec: StageSpec) -> str:
    """What a task is about, in a line."""
    if isinstance(spec, TaskSpec) and spec.pipeline is not None:
        return title(" → ".join(spec.pipeline))
    if spec.plan is not None:
        return title(f"plan {spec.plan}")
    return title(spec.prompt or (f"write {spec.write.path}" if spec.write else ""))


def shown(item: Any) -> str:
    """An item for the end of a sentence."""
    return shorten(repr(plain(item)), 200)
