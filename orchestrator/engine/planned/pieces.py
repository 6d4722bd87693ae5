"""What a plan in a run consists of: its tasks, and what they unfold to, each with an id and what its templates see."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.engine.script.asking import Setting
from orchestrator.plan.graph import allows_of, needs_of
from orchestrator.plan.loading import LoadedPlan
from orchestrator.plan.specs import StageSpec, TaskSpec
from orchestrator.plan.spots import is_loop
from orchestrator.plan.views import View
from orchestrator.task import Outcome, Result

Scope = Mapping[str, Any]
"""What a template sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A task of a plan, a part of a loop, a stage, or a voter."""

    id: str
    spec: StageSpec
    kind: str
    """What it is as a node; the spec of a part still says what its loop is."""
    where: str
    """Its place in the plan, for errors: `tasks.check.pipeline.find`."""
    when: str | None = None
    """The condition that is judged for it."""
    local: Scope = field(default_factory=dict)
    """The names of its place: `item`, `index`, `outer`, `voter`, `goal`."""
    name: str = ""
    """Of a stage."""
    before: "tuple[Piece, ...]" = ()
    """Of a stage: those before it."""
    gate: Callable[[], str | None] | None = None
    """Why it cannot begin, asked when its turn comes."""
    wording: Callable[[Scope], str] | None = None
    """Makes its prompt, in place of the spec's template."""
    parent: str | None = None
    needs: tuple[str, ...] = ()
    allows: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    refers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInRun:
    """A plan inside a run, and what has become of it so far."""

    loaded: LoadedPlan
    results: Mapping[str, Result]
    """Of the run; fills while it goes on."""
    setting: Setting
    variables: Mapping[str, Any]
    prefix: str = ""
    """What its tasks' ids begin with: `part.` in a nested plan."""
    parent: str | None = None
    named: tuple[str, ...] = ()
    """What the whole of it needs without saying what of it is used."""
    refers: tuple[str, ...] = ()
    """What the whole of it refers to."""
    parts: dict[str, tuple[Piece, ...]] = field(default_factory=dict)
    """Of its groups that were unfolded."""
    inner: "dict[str, PlanInRun]" = field(default_factory=dict)
    """The plans in it that have begun, by their groups' ids."""
    views: dict[str, View] = field(default_factory=dict)
    """What templates see of tasks that have ended."""

    def task(self, name: str) -> Piece:
        """One entry under the plan's `tasks`."""
        spec = self.loaded.plan.tasks[name]
        kind, needs = kind_of(spec), self.ids(needs_of(spec))
        return Piece(
            id=f"{self.prefix}{name}",
            spec=spec,
            kind=kind,
            where=self.place(f"tasks.{name}"),
            when=None if kind == "loop" else spec.when,
            parent=self.parent,
            needs=needs,
            allows=self.ids(allows_of(spec)),
            named=(*self.named, *self.ids(spec.names)),
            refers=(*self.refers, *needs),
        )

    def ids(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The ids of its tasks of these names."""
        return tuple(f"{self.prefix}{name}" for name in names)

    def place(self, path: str) -> str:
        """A path in the plan, with the file's name where the plan is inside another."""
        return f"{self.loaded.file.name}: {path}" if self.parent and self.loaded.file else path


def kind_of(spec: StageSpec, *, part: bool = False) -> str:
    """What it is as a node; `part`: of its loop one part is meant."""
    if is_loop(spec) and not part:
        return "loop"
    forms: dict[str, Any] = {
        "pipeline": spec.pipeline if isinstance(spec, TaskSpec) else None,
        "plan": spec.plan,
        "write": spec.write,
        "vote": spec.vote,
        "group": spec.fan_out,
    }
    return next((kind for kind, form in forms.items() if form is not None), "agent")


def within(local: Scope, item: Any, index: int) -> dict[str, Any]:
    """The names in a part of a loop, where `local` are those around the loop."""
    outer = {name: local[name] for name in ("item", "index", "outer") if name in local}
    return {**local, "item": item, "index": index} | ({"outer": outer} if outer else {})


def loop_part(loop: Piece, item: Any, index: int) -> Piece:
    """One part of a loop."""
    return replace(
        loop,
        id=f"{loop.id}[{index}]",
        kind=kind_of(loop.spec, part=True),
        when=loop.spec.when,
        local=within(loop.local, item, index),
        gate=None,
        parent=loop.id,
        needs=(),
        allows=(),
    )


def stage_of(group: Piece, name: str, spec: StageSpec, where: str, before: tuple[Piece, ...], *, says: bool) -> Piece:
    """A stage of a group, after those before it; `says`: its prompt says what it takes of them."""
    kind, earlier = kind_of(spec), tuple(piece.id for piece in before)
    return Piece(
        id=f"{group.id}.{name}",
        spec=spec,
        kind=kind,
        where=where,
        when=None if kind == "loop" else spec.when,
        local=group.local,
        name=name,
        before=before,
        parent=group.id,
        needs=earlier[-1:],
        # It begins also after a stage that was passed over; what else it needs is its gate's to say.
        allows=earlier[-1:],
        named=group.named if says else (*group.named, *earlier[-1:]),
        refers=(*group.refers, *earlier),
    )


def barred(results: Mapping[str, Result], piece: Piece) -> str | None:
    """Why a stage cannot begin: the last stage before it that was not passed over failed, and may not."""
    allowed = {need.task for need in piece.spec.needs if need.allow}
    for before in reversed(piece.before):
        result = results[before.id]
        if result.ok or before.name in allowed or before.spec.allow_failure:
            return None
        if not is_passed_over(result):
            return f"it needs {before.id}, which is {result.outcome.status}"
    return None


def is_passed_over(result: Result) -> bool:
    """Whether a stage did nothing, so that the next goes on from the one before it."""
    return result.outcome is Outcome.SKIPPED
