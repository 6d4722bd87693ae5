"""What agents at work tell each other, and wait for."""

from dataclasses import dataclass
from typing import Any

from orchestrator.events.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWaits(Event):
    """An agent waits for something of its run, and lends its place to others meanwhile; or goes on."""

    task: str
    attempt: int
    waits_for: str | None
    """In a few words: `the answer of author`; None: it goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSent(Event):
    """An agent wrote to another."""

    task: str
    to: str
    """The other's task."""
    number: int
    """Counted from 1 over the run."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesRead(Event):
    """An agent has been given its messages up to a number."""

    task: str
    session_id: str
    """The session that knows them now: another one would have to be given them again."""
    up_to: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Published(Event):
    """An agent put something where all agents of the run can look it up."""

    task: str
    key: str
    value: Any
