"""Whether what templates refer to is there."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from orchestrator.plan.model import Plan, TaskSpec
from orchestrator.plan.references import Name, References, has_marks, read_references
from orchestrator.plan.specs import StageSpec
from orchestrator.plan.spots import LOOP, Spot, is_loop
from orchestrator.plan.views import RUN_NAMES, LoopView, PipelineView, PlanView, TaskView, View, VoteView, names_of
from orchestrator.plan.words import Finding, Path, describe, did_you_mean, listed, shorten

_PARTS = "; item and index are there in a task with foreach or matrix, other than in foreach itself"
_STAGES = "; it is there in the stages of a pipeline, from the second on"
_WHERE = {
    "item": _PARTS,
    "index": _PARTS,
    "previous": _STAGES,
    "stages": _STAGES,
    "outer": "; it is there in a loop inside a loop, for the item and the index of the outer one",
    "voter": "; it is there in a task with vote",
    "goal": "; it is there in the split, part and join of a fan_out",
}
_FORMS = ("foreach", "matrix", "pipeline", "vote", "fan_out", "plan")
"""Keys that say what a template sees of a task."""


@dataclass(frozen=True, slots=True)
class TemplateIn:
    """A template, and where in which plan it stands."""

    plan: Plan
    spot: Spot
    inside: Path
    """Its path inside the spot."""
    text: str
    dropped: AbstractSet[Path]
    """Values that are wrong and therefore missing here: what hangs on them is not judged."""

    @property
    def path(self) -> Path:
        return (*self.spot.path, *self.inside)

    @property
    def task(self) -> str:
        """The task that it is in; empty for none."""
        return str(self.spot.path[1]) if self.spot.path[0] == "tasks" else ""

    @property
    def names(self) -> frozenset[str]:
        """What it sees besides vars, tasks and run."""
        names = self.spot.names(self.inside)
        lost = {(*self.spot.path[:2], key) for key in ("foreach", "matrix", "vote")} & self.dropped
        return names | LOOP | {"outer", "voter"} if lost and self.inside[0] not in ("foreach", "matrix") else names

    def find(self, what: str, line: int) -> Finding:
        """A finding at a line of this template."""
        return Finding(self.path, what, line)


def check_template(template: TemplateIn) -> Iterator[Finding]:
    """All that is wrong with one template."""
    yield from _check_marks(template)
    references = read_references(template.text)
    yield from (template.find(what, line) for line, what in references.wrong)
    yield from _check_names(template, references)
    if ("vars",) not in template.dropped:
        yield from _check_variables(template, references)
    for stage in references.stages if "stages" in template.names else ():
        yield from _check_stage(template, stage)
    for task in references.tasks:
        yield from _check_task(template, task)
    spec = template.plan.tasks.get(template.task, TaskSpec())
    if references.computed and not (spec.needs or ("tasks", template.task, "needs") in template.dropped):
        what = "found tasks by a name that is made at run time, expected needs: to name those it waits for"
        yield template.find(what, references.computed)


def _check_marks(template: TemplateIn) -> Iterator[Finding]:
    """A loop over a text, or a condition that is one, is none."""
    of_list = 'a list, or a template as "{{ vars.topics }}"'
    of_text = 'a template as "{{ vars.deep }}"'
    expected = {"foreach": of_list, "matrix": of_list, "when": of_text}.get(str(template.inside[0]))
    if expected and not has_marks(template.text):
        yield template.find(f"found {describe(template.text)}, in which nothing is filled in, expected {expected}", 1)


def _check_names(template: TemplateIn, references: References) -> Iterator[Finding]:
    known = ["vars", "tasks", "run", *(name for name in _WHERE if name in template.names)]
    stages = [Name("stages", line) for _, line, _ in references.stages if "stages" not in known]
    for name, line, attribute in (*references.names, *stages):
        if name == "run" and attribute is not None and attribute not in RUN_NAMES:
            yield template.find(f"found run.{attribute}, expected run.name", line)
        elif name == "item" and template.inside[0] == "matrix":
            yield from _check_axis(template, attribute, line)
        elif name not in known:
            guess, why = did_you_mean(name, known), _WHERE.get(name, "")
            yield template.find(
                f"found {name}, which is not defined{guess}, expected one of {listed(known)}{why}", line
            )


def _check_axis(template: TemplateIn, attribute: str | None, line: int) -> Iterator[Finding]:
    """A list of a matrix may depend on those before it."""
    matrix = template.spot.spec.matrix if isinstance(template.spot.spec, StageSpec) else None
    axes = list(matrix or ())
    earlier = axes[: axes.index(str(template.inside[1]))] if template.inside[1] in axes else []
    if attribute is not None and attribute not in earlier:
        there = f"the lists before it: {listed(earlier)}" if earlier else "nothing: it is the first list"
        outer = "; the item of the outer loop is outer.item" if "outer" in template.names else ""
        yield template.find(f"found item.{attribute}, and item has {there}{outer}", line)


def _check_variables(template: TemplateIn, references: References) -> Iterator[Finding]:
    known = template.plan.vars
    for name, line, _ in references.variables:
        if name not in known:
            there = f"expected one of {listed(known)}" if known else "and there is nothing under vars"
            yield template.find(f"found vars.{name}, which is not there{did_you_mean(name, known)}, {there}", line)


def _check_stage(template: TemplateIn, wanted: Name) -> Iterator[Finding]:
    name, line, attribute = wanted
    earlier = template.spot.stages
    if name not in earlier:
        there = f"expected an earlier one: {listed(earlier)}"
        yield template.find(f"found the stage {shorten(repr(name))}{did_you_mean(name, earlier)}, {there}", line)
    elif attribute is not None:
        yield from _check_attribute(template, f"stages.{name}", earlier[name], attribute, line)


def _check_task(template: TemplateIn, wanted: Name) -> Iterator[Finding]:
    name, line, attribute = wanted
    tasks = template.plan.tasks
    if name == template.task:
        yield template.find(f"the task {name} needs itself, expected another task", line)
    elif name not in tasks:
        dash = (
            f"; a name with a dash is written tasks['{name}-…']"
            if any(other.startswith(f"{name}-") for other in tasks)
            else ""
        )
        yield template.find(say_no_task(name, template.task, template.plan) + dash, line)
    elif attribute is not None and not _is_unsure(name, template.dropped):
        yield from _check_attribute(template, f"tasks.{name}", tasks[name], attribute, line)


def _is_unsure(name: str, dropped: AbstractSet[Path]) -> bool:
    """Whether it is not known what kind of task it is meant to be."""
    return not dropped.isdisjoint({("tasks", name), *(("tasks", name, key) for key in _FORMS)})


def _check_attribute(template: TemplateIn, what: str, spec: StageSpec, attribute: str, line: int) -> Iterator[Finding]:
    known = names_of(view_of(spec))
    if attribute in known:
        return
    name = what.partition(".")[2]
    loop, task = names_of(LoopView), names_of(TaskView)
    if is_loop(spec) and attribute in task:
        why = f" ({name} has a {'foreach' if spec.foreach is not None else 'matrix'})"
    else:
        why = f" ({name} has no foreach)" if attribute in loop else did_you_mean(attribute, known)
    yield template.find(f"found {what}.{attribute}, which is not there{why}, expected one of {listed(known)}", line)


def view_of(spec: StageSpec) -> type[View]:
    """What a template sees of such a task."""
    if is_loop(spec):
        return LoopView
    if spec.fan_out is not None or getattr(spec, "pipeline", None) is not None:
        return PipelineView
    if spec.vote is not None:
        return VoteView
    return PlanView if spec.plan is not None else TaskView


def say_no_task(wanted: str, asker: str, plan: Plan) -> str:
    """`wanted` is no task of the plan: what `asker` could have meant."""
    others = [name for name in plan.tasks if name != asker]
    there = f"expected one of {listed(others)}" if others else "and there is no other task"
    return f"found the task {shorten(repr(wanted))}, which is not there{did_you_mean(wanted, others)}, {there}"
