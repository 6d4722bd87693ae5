"""What can happen in a run: the journal's vocabulary. All fields are plain JSON data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a run."""

    durable: ClassVar[bool] = False
    """Whether it must be on disk, past any cache, before anyone is told of it."""

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in FIELDS[type(self)]}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    name: str
    concurrent: int
    """How many agents may be at work at once at the beginning."""
    usd: float | None
    upstream: str | None
    plan: str | None
    """The plan file's path, when the run has one."""
    pid: int
    process_started: float
    """The orchestrating process's start (Unix time, s): with the pid it tells whether that process still lives."""
    directory: str
    version: str
    script: str | None = None
    """The script's path, when a script opened the run."""
    resumed: int = 0
    """How often the run had been gone on with before. Each time its tasks are added anew."""
    spent_usd: float = 0.0
    """What the run had cost by then, in US dollars."""
    spent_tokens: int = 0
    """Input, cached or not, and output."""
    spent_turns: int = 0
    spent_by: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    """What the run had cost by then, by agent (empty: the run's own) and model, as `AttemptFinished.models` has it."""
    limits: Mapping[str, Any] = field(default_factory=dict)
    """All limits of the run, as a plan file has them."""
    known: int = 0
    """How many finished results it had by then."""
    rerun: list[str] = field(default_factory=list)
    """Tasks and loops that are to be done again."""
    beside: str | None = None
    """A run of the same plan or script that another process was driving: this one does not go on with it."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What the command line said besides the plan, for going on: `settings`, `fail_fast`."""
    pilot: int | None = None
    """How many items each loop of a plan takes, where that is not all."""
    gateway: bool = False
    """Whether the gateway stands between the agents and the API. The results are the API's all the same."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunForecast(Event):
    """What the run is expected to take from here on, by what earlier runs, or its own pilot, took."""

    tasks: int
    """How many tasks there will be, those included that loops have yet to make."""
    known: int
    """How many of them have a duration learned from the same task, loop or agent."""
    wall_s: float
    """Seconds until the end."""
    work_s: float
    """Seconds of work, summed over the tasks."""
    critical_s: float
    """Seconds of the longest chain of tasks that wait for each other: no width makes the run shorter."""
    critical: list[str]
    """The tasks of that chain."""
    bound_s: float
    """No order makes the run shorter than this: the longest chain, or the work divided by the width."""
    usd: float | None
    """US dollars; None when nothing is known of any cost."""
    basis: str
    """Where the figures come from, in a few words: `3 earlier runs`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthChanged(Event):
    """From now on so many agents may be at work at once."""

    width: int
    reason: str
    """In a few words: `the API answers 429`."""
    episode: bool = False
    """Whether an episode of 429 answers has begun; a fixed width stays as it is."""
    before: int = 0
    """How many might be until then; 0 in journals that do not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeChanged(Event):
    """How the run starts agents from now on."""

    regime: str
    """`go`; `hold`: none is started until then; `canary`: one is, to see whether the limit is gone; `stop`: none any
    more."""
    reason: str
    until: float | None = None
    """Unix time, s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetReached(Event):
    """A budget of the run has come to a line."""

    budget: str
    """`usd`, `tokens`, `turns` or `time` (s)."""
    line: str
    """`soft`: nothing new is started; `hard`: agents at work are interrupted."""
    spent: float
    limit: float
    soft: float = 0.0
    """Where the soft line is, in the budget's own unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSignal(Event):
    """The API, or the account, said something about how much it takes: what the governor goes by."""

    task: str
    attempt: int
    signal: str
    """`rate_limit` (429), `overloaded` (529), `server_error` (other 5xx), `cut` (an answer broke off, or none came),
    `warning` (near the usage limit), `quota` (the usage limit is reached), `auth`, `billing`."""
    source: str
    """Who heard it: `cli` (it retries by itself), `result` (the attempt has ended by it), `gateway`."""
    status: int | None = None
    """HTTP."""
    retry_after: float | None = None
    """Seconds."""
    resets_at: float | None = None
    """Unix time, s."""
    reason: str = ""
    own_account: bool = False
    """Whether the agent has credentials of its own, so that it says nothing about the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAnswered(Event):
    """The gateway's meter: one request of an agent has been answered."""

    task: str
    attempt: int
    model: str
    status: int
    """HTTP."""
    input_tokens: int = 0
    """Not read from, nor written to, the prompt cache."""
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    queued_s: float = 0.0
    """Seconds in the gateway's queue."""
    first_token_s: float | None = None
    """Seconds from its sending to the first piece of content."""
    seconds: float = 0.0
    """From its sending to its end."""
    retries: int = 0
    """How often the gateway had to send it again."""
    refused: int = 0
    """How many of all its sendings were answered by 429."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestNoted(Event):
    """The gateway answered a request of an agent in a way that is worth knowing."""

    task: str
    attempt: int
    note: str
    """`fault`: by an error that a rule asked for; `unmatched`: by an error, as the recording has no such request;
    `alike`: as one that is not the same to the letter."""
    text: str
    """In a line."""
    details: str = ""
    """All of it, where that is more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiPaused(Event):
    """The gateway sends no request until then."""

    until: float
    """Unix time, s."""
    reason: str


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
class MemoryAwaited(Event):
    """Agents for which there are places are not started since they wait for memory; or that is over."""

    awaited: bool
    expected: int = 0
    """Bytes that the next of them is expected to use at its peak."""
    free: int = 0
    """Bytes that it could have."""
    limit: int = 0
    """Of so many bytes: those that the run's agents may use together, or those of the machine that may be in use."""
    own: bool = False
    """Whether it is the run's own limit that is short, and not the machine's memory."""


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
class SessionStarted(Event):
    """The CLI is up and has named its session, and nothing is asked of the API yet."""

    task: str
    attempt: int
    session_id: str
    directory: str
    how: str
    """`fresh`, `continued` (an earlier session goes on) or `forked` (a copy of one does)."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    durable: ClassVar[bool] = True
    status: str
    """`done`, `failed`, `cancelled` or `crashed`."""
    wall: float
    """Seconds from the run's start to its end."""
    complete: bool = True
    """Whether all was tried that was to be done: not so after a stop, a spent budget, a refused account."""


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

FIELDS: Mapping[type[Event], tuple[str, ...]] = {
    kind: tuple(each.name for each in fields(kind)) for kind in KINDS.values()
}


@dataclass(frozen=True, slots=True)
class Record:
    """An event with its place in the journal."""

    seq: int
    """Grows from event to event over all runs."""
    at: float
    """Unix time, s."""
    run: str
    event: Event
