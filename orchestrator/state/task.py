"""One task of a run, as far as it has come."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.events import ApiSignal
from orchestrator.state.calls import Calls
from orchestrator.task import Status, WorkspaceInfo

FINISHED = frozenset({Status.DONE, Status.FAILED, Status.SKIPPED, Status.CANCELLED})
GROUPS = frozenset({"loop", "pipeline", "vote", "plan", "group"})
"""Kinds of task that stand for others, their parts."""
FREE_KINDS = GROUPS | {"write", "call"}
"""Kinds of task that run no agent, and so take none of the run's places."""


@dataclass(slots=True, eq=False)
class TaskState:
    """One task, as far as it has come."""

    id: str
    title: str
    kind: str
    needs: tuple[str, ...]
    parent: str | None
    allow_failure: bool
    allows: frozenset[str] = frozenset()
    """Those of its needs that need only have ended."""
    agent: str | None = None
    account: str = ""
    """Whose account its agent has; empty: the run's own."""
    model: str | None = None
    """The model that its agent names."""
    status: Status = Status.PENDING
    unmet: int = 0
    """Needs that have not ended yet."""
    parts: list[str] | None = None
    """The tasks of a group, once they are known; the tasks that an agent spawned."""
    open_parts: int = 0
    """How many of them have not ended yet."""
    more: bool = False
    """Whether the group may get further ones."""
    of: int | None = None
    """How many items there are, where a pilot takes only the first of them."""
    attempts: int = 0
    started: float | None = None
    """Unix time, s."""
    finished: float | None = None
    doing: str | None = None
    heard_at: float = 0.0
    """When its agent's last message came (Unix time, s)."""
    api: ApiSignal | None = None
    """Why its CLI waits until it asks the API again; None: it does not."""
    api_at: float = 0.0
    """When it began to."""
    api_tries: int = 0
    """How often it has had to, since the last reply."""
    queued: int = 0
    """How many of its requests wait for their turn at the API."""
    queued_at: float = 0.0
    """Since when the first of them does (Unix time, s)."""
    turns: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    """Of the input tokens."""
    cache_write_tokens: int = 0
    live_tokens: int = 0
    """What the attempt at work has used, as far as its messages have told."""
    live_turns: int = 0
    """Its replies."""
    cost_usd: float = 0.0
    worked_s: float = 0.0
    """Seconds of work, summed over the attempts that have ended."""
    told_usd: float = 0.0
    """What the attempt at work has cost, as far as its messages have told."""
    told_models: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """The same by model."""
    workspace: WorkspaceInfo | None = None
    memory: int = 0
    """Bytes that its processes use now."""
    peak_memory: int = 0
    calls: Calls | None = None
    """Its API requests; None where the gateway has seen none."""
    session_id: str | None = None
    in_session: bool = False
    """Whether the attempt's session has begun."""
    result: dict[str, Any] | None = None

    reused: bool = False
    """Whether its result was there before."""

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is to be waited for: it has ended, and so have the tasks that it spawned."""
        return self.status in FINISHED and not self.open_parts

    def lets(self, other: "TaskState") -> bool:
        """Whether another task that needs this one, which is over, may go on."""
        return self.status is Status.DONE or self.allow_failure or self.id in other.allows

    @property
    def is_group(self) -> bool:
        return self.kind in GROUPS

    @property
    def counts(self) -> bool:
        """Whether it is counted: a group is by its parts, and by itself when it ended without coming to any."""
        return not self.is_group or (self.parts is None and self.status in FINISHED)

    @property
    def runs_agent(self) -> bool:
        return self.kind not in FREE_KINDS
