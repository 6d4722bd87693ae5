"""What is to be done, and what came of it: plain data, the same on every machine and in the journal."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import Any, Protocol, TypedDict

from pydantic import BaseModel

from orchestrator.plan.model import Agent
from workspaces import WorkspaceSpec


class Status(StrEnum):
    """Where a task stands."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class Outcome(StrEnum):
    """How an attempt ended, by its cause. Only `OK` is a success."""

    OK = "ok"
    # the model or the task
    MAX_TURNS = "max_turns"
    MAX_USD = "max_usd"
    MISSING_OUTPUT = "missing_output"
    INVALID_OUTPUT = "invalid_output"
    MAX_OUTPUT = "max_output"
    CHECKS_FAILED = "checks_failed"
    EMPTY = "empty"
    REFUSED = "refused"
    TOO_LONG = "too_long"
    HOOK_STOPPED = "hook_stopped"
    # the API
    RATE_LIMITED = "rate_limited"
    QUOTA = "quota"
    OVERLOADED = "overloaded"
    API_ERROR = "api_error"
    BAD_REQUEST = "bad_request"
    AUTH = "auth"
    BILLING = "billing"
    UNKNOWN_MODEL = "unknown_model"
    # the process
    NOT_STARTED = "not_started"
    BAD_SETUP = "bad_setup"
    NO_RESULT = "no_result"
    CRASHED = "crashed"
    KILLED = "killed"
    UNREADABLE = "unreadable"
    UNKNOWN_SESSION = "unknown_session"
    SESSION_BUSY = "session_busy"
    STALLED = "stalled"
    # us
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    BUDGET = "budget"
    STOPPED = "stopped"
    PUT_OFF = "put_off"
    UNNEEDED = "unneeded"
    UNDECIDED = "undecided"
    WORKSPACE = "workspace"
    INVALID_TASK = "invalid_task"
    RAISED = "raised"
    PARTIAL = "partial"

    @property
    def ok(self) -> bool:
        """Whether this is the one success."""
        return self is Outcome.OK

    @property
    def status(self) -> Status:
        """Where a task stands whose last attempt ended so."""
        return _STATUSES.get(self, Status.FAILED)


_STATUSES = {
    Outcome.OK: Status.DONE,
    Outcome.SKIPPED: Status.SKIPPED,
    Outcome.UNNEEDED: Status.SKIPPED,
    Outcome.CANCELLED: Status.CANCELLED,
    Outcome.BUDGET: Status.CANCELLED,
    Outcome.STOPPED: Status.CANCELLED,
    Outcome.PUT_OFF: Status.CANCELLED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens, as the API counts them."""

    input_tokens: int = 0
    """Not read from, nor written to, the prompt cache."""
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
        )

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens - other.input_tokens,
            output_tokens=self.output_tokens - other.output_tokens,
            cache_read_tokens=self.cache_read_tokens - other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens - other.cache_write_tokens,
        )

    @property
    def all_input_tokens(self) -> int:
        """Input tokens, cached or not."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What something has cost, as the CLI reckons it: a model's part of a task, or an agent's of a run."""

    usd: float = 0.0
    """US dollars."""
    input_tokens: int = 0
    """Not read from, nor written to, the prompt cache."""
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(**{name: getattr(self, name) + getattr(other, name) for name in _SPENT_FIELDS})

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(**{name: getattr(self, name) - getattr(other, name) for name in _SPENT_FIELDS})

    @property
    def usage(self) -> Usage:
        """The tokens alone."""
        return Usage(**{name: getattr(self, name) for name in _SPENT_FIELDS if name != "usd"})

    def to_json(self) -> dict[str, float]:
        """Plain data, as events have it; `Spent(**data)` is the inverse."""
        return {name: getattr(self, name) for name in _SPENT_FIELDS}


_SPENT_FIELDS = tuple(Spent.__dataclass_fields__)

Models = Mapping[str, Spent]
"""By model. The name that the CLI gives it, as `claude-sonnet-5-5`; empty where no model was told."""


def together(one: Models, other: Models) -> dict[str, Spent]:
    """The sums, model by model."""
    return {model: one.get(model, Spent()) + other.get(model, Spent()) for model in {**one, **other}}


def to_models(data: Mapping[str, Mapping[str, Any]]) -> dict[str, Spent]:
    """What an event or a result in JSON says by model."""
    return {model: Spent(**spent) for model, spent in data.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceInfo:
    """Where a task worked and what it left there."""

    kind: str
    path: str
    branch: str | None = None
    base: str | None = None
    commit: str | None = None
    changed: tuple[str, ...] = ()
    name: str | None = None
    """What it is called: opened by this name again, it goes on where it was left."""
    origin: str | None = None
    """The path that was asked for: the directory in the repository that a worktree is of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a task gave. A task that failed gives one too, with `ok == False` and the cause."""

    task: str
    outcome: Outcome
    text: str = ""
    """The agent's last words."""
    value: Any = None
    """The validated `returns`; for a loop the list of its values; for a call what the function returned."""
    session_id: str | None = None
    usage: Usage = field(default_factory=Usage)
    """Summed over the attempts."""
    cost_usd: float = 0.0
    """US dollars, summed over the attempts, as the CLI reckons them."""
    models: Models = field(default_factory=dict)
    """Cost and tokens by model, summed over the attempts, as far as the CLI told them."""
    turns: int = 0
    duration: float = 0.0
    """Seconds of work, summed over the attempts, without the waits between them."""
    attempts: int = 0
    workspace: WorkspaceInfo | None = None
    denials: tuple[str, ...] = ()
    """Tool calls that were refused, as `Bash(rm -r build)`."""
    error: str | None = None
    """Why it did not succeed, in a sentence."""
    message: Any = None
    """The SDK's `ResultMessage`, whole; a dict of the same fields when it comes from the journal."""
    reused: str | None = None
    """The run that it was taken from, when no agent had to work for it this time."""
    note: str | None = None
    """How it came about, in a sentence: of a vote `2 of 3 say 'blue', 1 says 'green'`."""

    @property
    def ok(self) -> bool:
        return self.outcome.ok

    def to_json(self) -> dict[str, Any]:
        """Plain data for the journal. A `value` or `message` that is a model or a dataclass becomes a dict."""
        data = {name: getattr(self, name) for name in _RESULT_FIELDS}
        data["outcome"] = self.outcome.value
        return {name: plain(value) for name, value in data.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Result":
        """The inverse of `to_json`."""
        known = dict(data)
        known["outcome"] = Outcome(known["outcome"])
        known["usage"] = Usage(**known["usage"])
        known["models"] = to_models(known.get("models", {}))
        if known.get("workspace"):
            known["workspace"] = WorkspaceInfo(**known["workspace"] | {"changed": tuple(known["workspace"]["changed"])})
        known["denials"] = tuple(known.get("denials", ()))
        return cls(**known)


_RESULT_FIELDS = tuple(Result.__dataclass_fields__)


AS_IT_IS = frozenset({NoneType, bool, int, str})
"""Types of what is JSON data already."""


def plain(value: Any) -> Any:  # noqa: PLR0911 - a table, a row per return
    """`value` as JSON data: models and dataclasses become dicts, paths and other objects their text."""
    kind = type(value)
    if kind in AS_IT_IS:  # most are, and results have hundreds
        return value
    if kind is dict:
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such numbers
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return str(value)


class HasTask(Protocol):
    """What stands for a task of a run: a handle, a result."""

    @property
    def task(self) -> str:
        """The task's id."""
        ...


Need = str | HasTask | Mapping[str, Any]
"""A task by its id, its handle or its result; `{"task": …, "allow": "failed"}` for one that need only have ended."""


class TaskOptions(TypedDict, total=False):
    """What a task can say besides its prompt: the fields of `Task`."""

    agent: Agent | None
    workspace: WorkspaceSpec | str | Path | None
    returns: Any
    needs: Sequence[Need]
    timeout: float | str | None
    retries: int | None
    checks: Sequence[str]
    inputs: Sequence[str | Path]
    fresh: bool
    rehearsal: Sequence[Mapping[str, Any]] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One piece of work for one agent, as `Run.submit` takes it."""

    prompt: str = field(kw_only=False)
    agent: Agent | None = None
    workspace: WorkspaceSpec | str | Path | None = None
    """`here`, `directory`, `worktree`, a path (work there), or a full `WorkspaceSpec`."""
    returns: Any = None
    """A pydantic model, a JSON schema, or a path to one; None for text."""
    needs: Sequence[Need] = ()
    """Tasks of this run that must be done first: ids, handles or results; `{"task": …, "allow": "failed"}` for one that
    need only have ended."""
    timeout: float | str | None = None
    """For one attempt: seconds, or a time as `10m`."""
    retries: int | None = None
    key: str | None = None
    """The task's id in this run; made from a counter when None."""
    checks: Sequence[str] = ()
    """Shell commands that must succeed in the workspace when the agent has ended; their output goes back to it."""
    inputs: Sequence[str | Path] = ()
    """Files and folders that the result depends on: once one has changed, an earlier result is not taken again."""
    fresh: bool = False
    """Never take an earlier result."""
    rehearsal: Sequence[Mapping[str, Any]] | None = None
    """What the offline model does for this task, a step per reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at a task, with all that a worker needs: plain data, fit for another process or machine."""

    run: str
    task: str
    number: int
    """Counted from 1."""
    prompt: str
    """What the agent is asked, in a new session or in the one that it goes on with."""
    agent: Agent
    workspace: WorkspaceSpec
    session_id: str
    """The id that a new session, or the fork of one, is to have (a UUID). No two attempts have the same."""
    resume: str | None = None
    """The session to go on with."""
    fork: bool = False
    """Go on with a copy of it, and leave the session as it is."""
    asked: str | None = None
    """The task's own prompt, when `prompt` only tells the agent to go on with it."""
    otherwise: str | None = None
    """The prompt for a new session if the one to go on with is gone; None: that ends the attempt."""
    checks: tuple[str, ...] = ()
    """Shell commands that must succeed in the workspace when the agent has ended."""
    fixes: int = 0
    """How often the output of a check that failed goes back to the agent."""
    place: str | None = None
    """What its workspace is called; None: `<run>/<task>`."""
    schema: Mapping[str, Any] | None = None
    """A JSON schema that the result must fulfil."""
    timeout: float | None = None
    rehearsal: tuple[Mapping[str, Any], ...] | None = None
    fresh: bool = False
    """Its agent has a process of its own, that has served no other task."""

    @property
    def name(self) -> str:
        """What its workspace is called: by default `<run>/<task>`."""
        return self.place or f"{self.run}/{self.task}"

    @property
    def permission_mode(self) -> str:
        """The agent's own, or the one that fits its workspace: in a place of its own an agent may edit files."""
        return self.agent.permission_mode or ("dontAsk" if self.workspace.kind == "here" else "acceptEdits")
