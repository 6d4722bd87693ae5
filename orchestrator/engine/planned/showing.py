"""What templates see of a plan in a run: tasks that have ended, stages, items."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.engine.patterns.votes import count_votes, is_tie
from orchestrator.engine.planned.pieces import Piece, PlanInRun, Scope, is_passed_over, within
from orchestrator.plan.expand import make_scope
from orchestrator.plan.graph import order
from orchestrator.plan.views import LoopView, PipelineView, PlanView, TaskView, View, VoteView
from orchestrator.task import Result, Status, plain


@dataclass(frozen=True, slots=True)
class TaskViews(Mapping[str, View]):
    """A template's `tasks`: made of the results when they are asked for."""

    plan: PlanInRun

    def __getitem__(self, name: str) -> View:
        if f"{self.plan.prefix}{name}" not in self.plan.results:
            raise KeyError(name)
        return view_of(self.plan, self.plan.task(name))

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.plan.loaded.plan.tasks if f"{self.plan.prefix}{name}" in self.plan.results)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def scope_of(plan: PlanInRun, piece: Piece) -> Scope:
    """What the templates of a piece see."""
    local = dict(piece.local)
    if piece.before:
        stages = {before.name: view_of(plan, before) for before in piece.before}
        ran = [before for before in piece.before if not is_passed_over(plan.results[before.id])]
        local |= {"stages": stages, "previous": stages[(ran or piece.before)[-1].name]}
    return make_scope(plan.variables, TaskViews(plan), plan.loaded.plan.name, **local)


def matrix_scope(plan: PlanInRun, piece: Piece) -> Scope:
    """What the lists of a matrix see: the outer loop is `outer` to them, since `item` has what comes before in it."""
    scope = dict(scope_of(plan, piece))
    if "outer" in (inside := within(piece.local, None, 0)):
        scope["outer"] = inside["outer"]
    scope.pop("index", None)
    return scope


def view_of(plan: PlanInRun, piece: Piece) -> View:
    """What templates see of a piece that has ended; it changes no more."""
    if piece.id not in plan.views:
        plan.views[piece.id] = make_view(plan, piece)
    return plan.views[piece.id]


def make_view(plan: PlanInRun, piece: Piece) -> View:
    result, parts = plan.results[piece.id], plan.parts.get(piece.id, ())
    seen: dict[str, Any] = base_view(result, piece.local.get("item") if piece.kind != "loop" else None)
    match piece.kind:
        case "loop":
            return loop_view(plan, result, parts)
        case "pipeline" | "group":
            stages = {part.name: view_of(plan, part) for part in parts if part.id in plan.results}
            return PipelineView(**seen, stages=stages)
        case "vote":
            return vote_view(plan, piece, parts, seen)
        case "plan":
            inner = plan.inner.get(piece.id)
            tasks = {name: view_of(inner, inner.task(name)) for name in order(inner.loaded.plan)} if inner else {}
            return PlanView(**seen, tasks=tasks)
    return TaskView(**seen)


def base_view(result: Result, item: Any) -> dict[str, Any]:
    return {
        "text": result.text,
        "value": plain(result.value),
        "ok": result.ok,
        "outcome": result.outcome,
        "session_id": result.session_id,
        "files": result.workspace.changed if result.workspace else (),
        "branch": result.workspace.branch if result.workspace else None,
        "error": result.error,
        "item": item,
    }


def loop_view(plan: PlanInRun, loop: Result, parts: tuple[Piece, ...]) -> LoopView:
    ended = [(plan.results[part.id], part_view(plan, part)) for part in parts]
    good = [part for part, _ in ended if part.ok]
    return LoopView(
        texts=tuple(part.text for part in good),
        values=tuple(plain(part.value) for part in good),
        failed=tuple(view for part, view in ended if has_failed(part)),
        results=tuple(view for _, view in ended),
        ok=loop.ok,
        outcome=loop.outcome,
        error=loop.error,
    )


def part_view(plan: PlanInRun, part: Piece) -> TaskView:
    view = view_of(plan, part)
    assert isinstance(view, TaskView)  # a part of a loop is none itself
    return view


def vote_view(plan: PlanInRun, vote: Piece, parts: tuple[Piece, ...], seen: dict[str, Any]) -> VoteView:
    voters = [part for part in parts if "voter" in part.local]
    results = [plan.results[voter.id] for voter in voters]
    counted = count_votes(results, vote.spec.vote.on if vote.spec.vote else None)
    good = [result for result in results if result.ok]
    return VoteView(
        **seen,
        texts=tuple(result.text for result in good),
        values=tuple(plain(result.value) for result in good),
        failed=tuple(part_view(plan, voter) for voter in voters if has_failed(plan.results[voter.id])),
        votes=tuple(
            {
                **({"text": each.text} if each.value is None else {"value": each.value}),
                "count": each.count,
                "tasks": list(each.tasks),
            }
            for each in counted
        ),
        tie=is_tie(counted),
    )


def has_failed(part: Result) -> bool:
    """Whether a part is to be told of: it did not succeed, though it should have."""
    return not part.ok and part.outcome.status is not Status.SKIPPED
