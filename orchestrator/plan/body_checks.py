"""Whether what one entry of a plan says goes together: exactly one thing to do, and the fields that fit it."""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.plan.specs import AskSpec, StageSpec, TaskSpec
from orchestrator.plan.words import Finding, Path, describe, did_you_mean, listed

_ASKING = tuple(name for name in AskSpec.model_fields if name != "prompt")
_WITH_AGENT = (*_ASKING, "vote", "fan_out")
_UNFIT: dict[str, tuple[tuple[str, ...], str]] = {
    "write": (_WITH_AGENT, "in a task that writes a file with no agent, expected it in a task with a prompt"),
    "plan": (_WITH_AGENT, "in a task that is a plan, expected it in that plan's tasks"),
    "pipeline": (_WITH_AGENT, "in a task with a pipeline, expected it in its stages"),
    "fan_out": (("vote",), "beside fan_out, expected one of them"),
}
"""What does not go with which key, and why."""


def check_body(place: Path, spec: StageSpec, whole: bool) -> Iterator[Finding]:
    """All that does not go together in an entry; `whole`: nothing of it was left out since it is wrong by itself."""
    kinds = ["prompt", "write", "plan", *(["pipeline"] if isinstance(spec, TaskSpec) else [])]
    found = [kind for kind in kinds if getattr(spec, kind) is not None]
    if not found and whole and (spec.fan_out or spec.vote) is not None:
        key, what = ("fan_out", "the goal") if spec.fan_out is not None else ("vote", "what all are asked")
        yield Finding(place, f"found {key} without prompt, expected {what} as prompt")
    elif not found and whole:
        others = listed(kinds[1:]).replace(", plan", " or plan") if len(kinds) == 3 else "write, pipeline or plan"
        yield Finding(place, f"found neither prompt nor {others}, expected one of them")
    for other in found[1:]:
        yield Finding((*place, other), f"found {found[0]} and {other}, expected one of them")
    if spec.foreach is not None and spec.matrix is not None:
        yield Finding((*place, "matrix"), "found foreach and matrix, expected one of them: foreach is a matrix of one")
    yield from check_ask(place, spec)
    if spec.write is not None and not spec.write.path.strip():
        yield Finding((*place, "write", "path"), "found an empty text, expected the path of a file")
    yield from _check_unfit(place, spec, found)
    yield from _check_vote(place, spec)
    yield from _check_fan_out(place, spec)
    if spec.vars and spec.plan is None:
        yield Finding((*place, "vars"), "found vars in a task without plan, expected them beside it")


def check_ask(place: Path, spec: AskSpec) -> Iterator[Finding]:
    """Texts that are empty."""
    if spec.prompt is not None and not spec.prompt.strip():
        yield Finding((*place, "prompt"), "found an empty text, expected what the agent is to do")
    for name, texts, expected in (
        ("checks", spec.checks, "a shell command, as pytest -q"),
        ("inputs", spec.inputs, "the path of a file or a folder"),
    ):
        for index, text in enumerate(texts):
            if not text.strip():
                yield Finding((*place, name, index), f"found an empty text, expected {expected}")


def _check_unfit(place: Path, spec: StageSpec, found: list[str]) -> Iterator[Finding]:
    for kind, (names, why) in _UNFIT.items():
        if kind in found or (kind == "fan_out" and spec.fan_out is not None and found[:1] == ["prompt"]):
            for name in names:
                if getattr(spec, name) != type(spec).model_fields[name].default:
                    yield Finding((*place, name), f"found {name} {why}")


def _check_vote(place: Path, spec: StageSpec) -> Iterator[Finding]:
    if (vote := spec.vote) is None:
        return
    place = (*place, "vote")
    if vote.judge is not None:
        if vote.by != "judge":
            yield Finding((*place, "judge"), f"found judge in a vote by {vote.by}, expected by: judge")
        yield from _check_typed((*place, "judge"), vote.judge, "a judge gives the number of an answer")
    if vote.on is not None and (vote.by != "majority" or spec.returns is None):
        where = "with returns, whose values are counted" if vote.by == "majority" else "with by: majority"
        yield Finding((*place, "on"), f"found on, expected it in a vote {where}")
    elif vote.on is not None and not all(vote.on.split(".")):
        yield Finding((*place, "on"), f"found {describe(vote.on)}, expected a path into the value, as finding.level")
    elif vote.on is not None and (what := _leads_nowhere(vote.on, spec.returns or {})):
        yield Finding((*place, "on"), f"found {describe(vote.on)}, {what}")


def _leads_nowhere(path: str, schema: Mapping[str, Any]) -> str | None:
    """Why no value of that schema has anything at the path, as far as the schema plainly says so."""
    for name in path.split("."):
        known = schema.get("properties")
        if not isinstance(known, Mapping) or schema.get("additionalProperties") is not False:
            return None
        if name not in known:
            return f"and what returns says has no {name}{did_you_mean(name, known)}, expected one of {listed(known)}"
        if not isinstance(schema := known[name], Mapping):
            return None
    return None


def _check_fan_out(place: Path, spec: StageSpec) -> Iterator[Finding]:
    if (fan_out := spec.fan_out) is None:
        return
    place = (*place, "fan_out")
    if fan_out.split is not None:
        yield from _check_typed((*place, "split"), fan_out.split, "it gives the list of the parts")
    if fan_out.join is not None and fan_out.join.returns is not None and spec.returns is not None:
        yield Finding((*place, "join", "returns"), "found returns in the task too, which is the joiner's: expected one")
    for name in ("part", "join"):
        if (step := getattr(fan_out, name)) is not None:
            yield from check_ask((*place, name), step)


def _check_typed(place: Path, spec: AskSpec, why: str) -> Iterator[Finding]:
    yield from check_ask(place, spec)
    if spec.returns is not None:
        yield Finding((*place, "returns"), f"found returns, expected none: {why}")


def check_stage_needs(place: Path, name: str, spec: StageSpec, stages: Mapping[str, StageSpec]) -> Iterator[Finding]:
    """A stage may name stages before it; `stages` are all of the pipeline."""
    earlier = list(stages)[: list(stages).index(name)]
    for index, need in enumerate(spec.needs):
        if need.task not in earlier:
            there = f"an earlier stage: {listed(earlier)}" if earlier else "nothing: it is the first stage"
            hint = "; what the task needs is named in the task" if need.task not in stages else ""
            what = f"found {describe(need.task)}{did_you_mean(need.task, earlier)}, expected {there}{hint}"
            yield Finding((*place, "needs", index), what)
