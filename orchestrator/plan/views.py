"""What a template sees of a task that is done."""

from collections.abc import Mapping
from dataclasses import dataclass
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
    item: Any = None
    """For a part of a loop: what it was done for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopView:
    """`tasks.check`, of a task with `foreach`."""

    texts: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()
    failed: tuple[Any, ...] = ()
    """Those of its parts that did not succeed."""
    results: tuple[TaskView, ...] = ()
    ok: bool = True
    outcome: str = "ok"


@dataclass(frozen=True, slots=True)
class RunView:
    """`run`: in a text of its own it is the run's name."""

    name: str

    def __str__(self) -> str:
        return self.name


TASK_NAMES = tuple(name for name in TaskView.__dataclass_fields__ if name != "item")
LOOP_NAMES = tuple(LoopView.__dataclass_fields__)
RUN_NAMES = tuple(RunView.__dataclass_fields__)

Views = Mapping[str, TaskView | LoopView]
"""Tasks by name, as a template's `tasks`."""
