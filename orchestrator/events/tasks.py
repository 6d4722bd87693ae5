"""What happens to tasks, from when they are added until they have ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from orchestrator.events.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAdded(Event):
    task: str
    title: str
    """A line for people: the prompt's beginning."""
    task_kind: str
    """`agent`, `call`, `write`, or a group of tasks: `loop`, `pipeline`, `vote`, `plan`, `group`."""
    needs: list[str] = field(default_factory=list)
    parent: str | None = None
    """The group that the task is a part of, or the agent's task that spawned it."""
    allow_failure: bool = False
    allows: list[str] = field(default_factory=list)
    """Those of `needs` that need only have ended, however they did."""
    agent: str | None = None
    """What its agent is called: the tasks of one agent take about as long."""
    account: str = ""
    """Whose account its agent has, `own-1` for the first that agents of this run have in their environment. Empty: the
    run's own, or nobody knows before its turn."""
    model: str | None = None
    """The model that its agent names, as far as that is known before its turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskExpanded(Event):
    """A group learned of parts, which are added to those that it has: it is done when they are."""

    task: str
    parts: list[str]
    more: bool = False
    """Whether further ones may come."""
    of: int | None = None
    """How many items there are, where a pilot takes only the first of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpawned(Event):
    """An agent adds a task to its run."""

    task: str
    """The agent's own task."""
    attempt: int
    child: str
    """The id of the new one."""
    asked: Mapping[str, Any]
    """What the agent said: the input of its tool call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFinished(Event):
    durable: ClassVar[bool] = True
    task: str
    status: str
    result: dict[str, Any]
    loop: bool = False
    """Whether it is a loop or another group, which is not counted beside its parts."""
    key: str | None = None
    """The hash of what determined the result."""
    key_after: str | None = None
    """The same with the contents that its `inputs` had afterwards, where the agent has changed them."""
    lesson: Mapping[str, Any] | None = None
    """What later runs learn from it: its `kind`, `agent`, `parent`, `needs`, the `seconds` it took, the `usd` it cost;
    of a group how many `parts` it had. All in one event, so that a run's start reads few. None where nothing is to be
    learned: it failed, or its result was there before."""
