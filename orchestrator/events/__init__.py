"""What can happen in a run: the journal's vocabulary. All fields are plain JSON data."""

from collections.abc import Mapping
from dataclasses import fields

from orchestrator.events.api import ApiPaused, ApiSignal, RequestAnswered, RequestDequeued, RequestNoted, RequestQueued
from orchestrator.events.attempts import (
    AgentMessage,
    AttemptFinished,
    AttemptStarted,
    CheckFinished,
    ProcessesMeasured,
    SessionStarted,
    WorkspaceClosed,
    WorkspaceOpened,
)
from orchestrator.events.event import FIELDS, Event, Record
from orchestrator.events.limits import BudgetReached, MemoryAwaited, RegimeChanged, WidthChanged
from orchestrator.events.runs import RunFinished, RunForecast, RunStarted
from orchestrator.events.talk import MessageSent, MessagesRead, Published, TaskWaits
from orchestrator.events.tasks import TaskAdded, TaskExpanded, TaskFinished, TaskSpawned

__all__ = [
    "FIELDS",
    "KINDS",
    "AgentMessage",
    "ApiPaused",
    "ApiSignal",
    "AttemptFinished",
    "AttemptStarted",
    "BudgetReached",
    "CheckFinished",
    "Event",
    "MemoryAwaited",
    "MessageSent",
    "MessagesRead",
    "ProcessesMeasured",
    "Published",
    "Record",
    "RegimeChanged",
    "RequestAnswered",
    "RequestDequeued",
    "RequestNoted",
    "RequestQueued",
    "RunFinished",
    "RunForecast",
    "RunStarted",
    "SessionStarted",
    "TaskAdded",
    "TaskExpanded",
    "TaskFinished",
    "TaskSpawned",
    "TaskWaits",
    "WidthChanged",
    "WorkspaceClosed",
    "WorkspaceOpened",
]

KINDS: Mapping[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        RunStarted,
        TaskAdded,
        TaskExpanded,
        TaskSpawned,
        TaskWaits,
        MessageSent,
        MessagesRead,
        Published,
        RunForecast,
        WidthChanged,
        RegimeChanged,
        BudgetReached,
        ApiSignal,
        RequestAnswered,
        RequestQueued,
        RequestDequeued,
        RequestNoted,
        ApiPaused,
        ProcessesMeasured,
        MemoryAwaited,
        AttemptStarted,
        WorkspaceOpened,
        WorkspaceClosed,
        SessionStarted,
        AgentMessage,
        CheckFinished,
        AttemptFinished,
        TaskFinished,
        RunFinished,
    )
}

FIELDS.update((kind, tuple(each.name for each in fields(kind))) for kind in KINDS.values())
