"""What is inside a task: its stages, its judge, the steps of a fan-out, with their templates and what these see."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.plan.specs import AskSpec, FanOutSpec, StageSpec, TaskSpec
from orchestrator.plan.words import Path

LOOP = frozenset({"item", "index"})
FOR_PARTS = "{{ stages.split.value.parts }}"
"""What the parts of a fan-out are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One thing to do that a task names, where it stands, and what its templates see besides vars, tasks and run."""

    path: Path
    """Inside the plan, as `("tasks", "check", "pipeline", "find")`."""
    spec: AskSpec
    outside: frozenset[str] = frozenset()
    """The names around it: what the head of its loop sees."""
    stages: Mapping[str, StageSpec] = field(default_factory=dict)
    """The earlier stages."""

    @property
    def loops(self) -> bool:
        return isinstance(self.spec, StageSpec) and is_loop(self.spec)

    @property
    def inside(self) -> frozenset[str]:
        """The names in the parts of its loop; without a loop, those around it."""
        if not self.loops:
            return self.outside
        return self.outside | LOOP | ({"outer"} if "item" in self.outside else set())

    def names(self, place: Path) -> frozenset[str]:
        """What the template at `place`, inside the spec, sees besides vars, tasks and run."""
        match place[0]:
            case "foreach":
                return self.outside
            case "matrix":
                return (self.inside - {"index"}) | {"item"}
            case "when" | "vars":
                return self.inside
        votes = isinstance(self.spec, StageSpec) and self.spec.vote is not None
        return self.inside | {"voter"} if votes else self.inside

    def templates(self) -> Iterator[tuple[Path, str]]:
        """Its templates, without those of the spots in it, each with its path inside the spec."""
        for name in ("prompt", "foreach", "when"):
            if isinstance(text := getattr(self.spec, name, None), str):
                yield (name,), text
        if isinstance(self.spec, StageSpec):
            if self.spec.write is not None:
                yield ("write", "path"), self.spec.write.path
                yield ("write", "text"), self.spec.write.text
            for axis, items in (self.spec.matrix or {}).items():
                if isinstance(items, str):
                    yield ("matrix", axis), items
            yield from _texts_of(self.spec.vars, ("vars",))
        if (workspace := self.spec.workspace) is not None:
            yield from _texts_of({"path": workspace.path, "base": workspace.base}, ("workspace",))
        for name in ("checks", "inputs", "rehearsal"):
            yield from _texts_of(getattr(self.spec, name), (name,))


def spots_of(name: str, spec: TaskSpec) -> Iterator[Spot]:
    """The task itself, and every spot in it."""
    task = Spot(path=("tasks", name), spec=spec)
    yield from _spots_in(task)
    names, earlier = task.inside, dict[str, StageSpec]()
    for stage, inner in (spec.pipeline or {}).items():
        path = (*task.path, "pipeline", stage)
        yield from _spots_in(Spot(path=path, spec=inner, outside=names, stages=dict(earlier)))
        names, earlier = names | {"previous", "stages"}, {**earlier, stage: inner}


def _spots_in(spot: Spot) -> Iterator[Spot]:
    yield spot
    if not isinstance(spot.spec, StageSpec):
        return
    if spot.spec.vote is not None and spot.spec.vote.judge is not None:
        path = (*spot.path, "vote", "judge")
        yield replace(spot, path=path, spec=spot.spec.vote.judge, outside=spot.inside)
    if spot.spec.fan_out is not None:
        yield from _steps_of(spot, spot.spec.fan_out)


def _steps_of(spot: Spot, fan_out: FanOutSpec) -> Iterator[Spot]:
    path, outside = (*spot.path, "fan_out"), (spot.inside - {"previous", "stages"}) | {"goal"}
    earlier = dict[str, StageSpec]()
    for name, step in stages_of(fan_out).items():
        if (given := getattr(fan_out, name)) is not None:
            # The parts are a loop, though nobody wrote `foreach`.
            inside = Spot(path=path, spec=step, outside=outside).inside
            yield Spot(path=(*path, name), spec=given, outside=inside, stages=dict(earlier))
        outside, earlier = outside | {"previous", "stages"}, {**earlier, name: step}


def stages_of(fan_out: FanOutSpec) -> dict[str, StageSpec]:
    """A fan-out is a pipeline of three stages, of which the second is a loop."""
    steps = {"split": fan_out.split, "part": fan_out.part, "join": fan_out.join}
    given: dict[str, dict[str, Any]] = {
        name: {field: getattr(step, field) for field in AskSpec.model_fields} if step else {}
        for name, step in steps.items()
    }
    given["part"] |= {"foreach": FOR_PARTS, "allow_failure": True}
    return {name: StageSpec.model_construct(**fields) for name, fields in given.items()}


def is_loop(spec: StageSpec) -> bool:
    """Whether it is done once per item."""
    return spec.foreach is not None or spec.matrix is not None


def _texts_of(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    match value:
        case str():
            yield path, value
        case dict():
            for key, inner in value.items():
                yield from _texts_of(inner, (*path, key))
        case list() | tuple():
            for index, inner in enumerate(value):
                yield from _texts_of(inner, (*path, index))
