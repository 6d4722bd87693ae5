"""What a template sees of a task that is done."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """`tasks.check`, of a task that was done once."""

    text: str = ""
    """The agent's last words; for `write` the file's text."""
    value: Any = None
    """The data that `returns` asked for."""
    ok: bool = True
    outcome: str = "ok"
    session_id: str | None = None
    files: tuple[str, ...] = ()
    """The files that it changed."""
    branch: str | None = None
    error: str | None = None
    """Why it did not succeed."""
    item: Any = None
    """For a part of a loop: what it was done for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopView:
    """`tasks.check`, of a task with `foreach` or `matrix`."""

    texts: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()
    failed: tuple[Any, ...] = ()
    """Those of its parts that did not succeed."""
    results: tuple[TaskView, ...] = ()
    ok: bool = True
    outcome: str = "ok"
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineView(TaskView):
    """`tasks.check`, of a task with `pipeline` or `fan_out`: what its last stage gave."""

    stages: Mapping[str, "View"] = field(default_factory=dict)
    """All its stages, by name; those of a fan-out are `split`, `part` and `join`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteView(TaskView):
    """`tasks.check`, of a task with `vote`: the answer that won."""

    texts: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()
    failed: tuple[TaskView, ...] = ()
    """The voters that did not succeed."""
    votes: tuple[Mapping[str, Any], ...] = ()
    """What was voted for, most votes first: `value` or `text`, `count`, and the voters as `tasks`."""
    tie: bool = False
    """Whether several had most votes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView(TaskView):
    """`tasks.part`, of a task that is a plan."""

    tasks: Mapping[str, "View"] = field(default_factory=dict)
    """Its tasks, by name."""


@dataclass(frozen=True, slots=True)
class RunView:
    """`run`: in a text of its own it is the run's name."""

    name: str

    def __str__(self) -> str:
        return self.name


View = TaskView | LoopView
Views = Mapping[str, View]
"""Tasks by name, as a template's `tasks`."""


def names_of(view: type[View]) -> tuple[str, ...]:
    """What a template may ask of such a task."""
    return tuple(name for name in view.__dataclass_fields__ if name != "item")


RUN_NAMES = tuple(RunView.__dataclass_fields__)
