"""What happens in an attempt at a task: its workspace, its session, its agent's messages, its checks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.events.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted(Event):
    task: str
    attempt: int
    prompt: str = ""
    agent: dict[str, Any] = field(default_factory=dict)
    workspace: dict[str, Any] = field(default_factory=dict)
    schema: dict[str, Any] | None = None
    timeout: float | None = None
    session_id: str | None = None
    """The id that a new session is to have."""
    key: str | None = None
    """The hash of what determines the task's result."""
    question: str | None = None
    """The same without the contents of its `inputs`: an agent may be about to change these."""
    resume: str | None = None
    """The session that the attempt is to go on with, if that is still there; None: a new one."""
    fork: bool = False
    """Whether a copy of that session is to go on, under `session_id`."""
    own_account: bool = False
    """Whether its agent has credentials of its own."""
    place: str | None = None
    """What its workspace is called: `<run>/<task>`, and `<run>/<task>.2` for the second edition of the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceOpened(Event):
    task: str
    attempt: int
    workspace: str
    """Its kind."""
    path: str
    branch: str | None = None
    base: str | None = None
    name: str | None = None
    """What it is called: opened by this name again, it goes on where it was left."""
    origin: str | None = None
    """The path that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceClosed(Event):
    """What an attempt left, however it ended."""

    task: str
    attempt: int
    branch: str | None = None
    commit: str | None = None
    changed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStarted(Event):
    """The CLI is up and has named its session, and nothing is asked of the API yet."""

    task: str
    attempt: int
    session_id: str
    directory: str
    how: str
    """`fresh`, `continued` (an earlier session goes on) or `forked` (a copy of one does)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentMessage(Event):
    """One message of a Claude CLI process's stream."""

    task: str
    attempt: int
    type: str
    """The SDK's message class, as `AssistantMessage`."""
    doing: str | None = None
    """What the agent is doing now, in a few words: `Read README.md`."""
    turns: int = 0
    """Model replies so far, added by this message."""
    output_tokens: int = 0
    """About: the CLI tells of a reply before that is complete."""
    input_tokens: int = 0
    """Cached or not."""
    cache_read_tokens: int = 0
    """Of the input tokens."""
    cache_write_tokens: int = 0
    model: str | None = None
    """Which gave the reply."""
    cost_usd: float | None = None
    """What the attempt has cost, in US dollars, where the message tells."""
    models: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """The same by model, as `AttemptFinished.models` has it."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """The message, whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFinished(Event):
    """A command that checks what the agent did has ended."""

    task: str
    attempt: int
    command: str
    exit_code: int | None
    """None when it was ended for taking too long."""
    output: str
    """The end of what it printed, stdout and stderr together."""
    duration: float
    """Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessesMeasured(Event):
    """What an attempt's processes use; told when it has grown, and at the attempt's end."""

    task: str
    attempt: int
    memory: int
    """Bytes now: proportional set size, summed over the CLI and all beneath it."""
    peak: int
    """The most so far."""
    cpu_s: float = 0.0
    """Seconds of processor time so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFinished(Event):
    task: str
    attempt: int
    outcome: str
    error: str | None = None
    cost_usd: float = 0.0
    duration: float = 0.0
    retry_in: float | None = None
    """Seconds until the next attempt; None when there is none."""
    tokens: int = 0
    """Input, cached or not, and output."""
    turns: int = 0
    """Model replies."""
    models: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By model `usd`, `input_tokens`, `output_tokens`, `cache_read_tokens`, `cache_write_tokens`."""
