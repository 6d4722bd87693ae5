"""Whether what templates refer to is there."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from orchestrator.plan.model import Plan, TaskSpec
from orchestrator.plan.references import Name, References, has_marks, read_references
from orchestrator.plan.views import LOOP_NAMES, RUN_NAMES, TASK_NAMES
from orchestrator.plan.words import Finding, Path, describe, did_you_mean, listed, shorten

_LOOP_ONLY = "; item and index are there in a task with foreach, other than in foreach itself"
_LOOP_NAMES = {"item": _LOOP_ONLY, "index": _LOOP_ONLY}


@dataclass(frozen=True, slots=True)
class TemplateIn:
    """A template, and where in which plan it stands."""

    plan: Plan
    spec: TaskSpec
    task: str
    path: Path
    text: str
    dropped: AbstractSet[Path]
    """Values that are wrong and therefore missing here: what hangs on them is not judged."""

    def find(self, what: str, line: int) -> Finding:
        """A finding at a line of this template."""
        return Finding(self.path, what, line)


def check_template(template: TemplateIn) -> Iterator[Finding]:
    """All that is wrong with one template."""
    field = template.path[-1]
    if len(template.path) == 3 and field in ("foreach", "when") and not has_marks(template.text):
        expected = (
            'a list, or a template as "{{ vars.topics }}"' if field == "foreach" else 'a template as "{{ vars.deep }}"'
        )
        yield template.find(f"found {describe(template.text)}, in which nothing is filled in, expected {expected}", 1)
    references = read_references(template.text)
    yield from (template.find(what, line) for line, what in references.wrong)
    yield from _check_names(template, references)
    if ("vars",) not in template.dropped:
        yield from _check_variables(template, references)
    for task in references.tasks:
        yield from _check_task(template, task)
    if references.computed and not (template.spec.needs or ("tasks", template.task, "needs") in template.dropped):
        what = "found tasks by a name that is made at run time, expected needs: to name those it waits for"
        yield template.find(what, references.computed)


def _check_names(template: TemplateIn, references: References) -> Iterator[Finding]:
    known = ["vars", "tasks", "run", *(["item", "index"] if _is_in_loop(template) else [])]
    for name, line, attribute in references.names:
        if name == "run" and attribute is not None and attribute not in RUN_NAMES:
            yield template.find(f"found run.{attribute}, expected run.name", line)
        elif name not in known:
            guess, why = did_you_mean(name, known), _LOOP_NAMES.get(name, "")
            yield template.find(
                f"found {name}, which is not defined{guess}, expected one of {listed(known)}{why}", line
            )


def _is_in_loop(template: TemplateIn) -> bool:
    """Whether the template is filled in for each part of a loop: all but `foreach` itself are."""
    loops = template.spec.foreach is not None or ("tasks", template.task, "foreach") in template.dropped
    return loops and template.path[2:] != ("foreach",)


def _check_variables(template: TemplateIn, references: References) -> Iterator[Finding]:
    known = template.plan.vars
    for name, line, _ in references.variables:
        if name not in known:
            there = f"expected one of {listed(known)}" if known else "and there is nothing under vars"
            yield template.find(f"found vars.{name}, which is not there{did_you_mean(name, known)}, {there}", line)


def _check_task(template: TemplateIn, wanted: Name) -> Iterator[Finding]:
    name, line, attribute = wanted
    if name == template.task:
        yield template.find(f"the task {name} needs itself, expected another task", line)
    elif name not in template.plan.tasks:
        dash = (
            f"; a name with a dash is written tasks['{name}-…']"
            if any(other.startswith(f"{name}-") for other in template.plan.tasks)
            else ""
        )
        yield template.find(say_no_task(name, template.task, template.plan) + dash, line)
    elif (
        attribute is not None
        and ("tasks", name) not in template.dropped
        and ("tasks", name, "foreach") not in template.dropped
    ):
        yield from _check_attribute(template, name, attribute, line)


def _check_attribute(template: TemplateIn, name: str, attribute: str, line: int) -> Iterator[Finding]:
    loop = template.plan.tasks[name].foreach is not None
    known, others = (LOOP_NAMES, TASK_NAMES) if loop else (TASK_NAMES, LOOP_NAMES)
    if attribute not in known:
        kind = f"{name} has {'a' if loop else 'no'} foreach"
        why = f" ({kind})" if attribute in others else did_you_mean(attribute, known)
        yield template.find(
            f"found tasks.{name}.{attribute}, which is not there{why}, expected one of {listed(known)}", line
        )


def say_no_task(wanted: str, asker: str, plan: Plan) -> str:
    """`wanted` is no task of the plan: what `asker` could have meant."""
    others = [name for name in plan.tasks if name != asker]
    there = f"expected one of {listed(others)}" if others else "and there is no other task"
    return f"found the task {shorten(repr(wanted))}, which is not there{did_you_mean(wanted, others)}, {there}"
