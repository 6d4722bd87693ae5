"""RunState: what a run's events add up to. The engine and every view fold the same events into it."""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.events import (
    AgentMessage,
    ApiPaused,
    ApiSignal,
    AttemptFinished,
    AttemptStarted,
    BudgetReached,
    CheckFinished,
    Event,
    MemoryAwaited,
    MessageSent,
    MessagesRead,
    ProcessesMeasured,
    Published,
    Record,
    RegimeChanged,
    RequestAnswered,
    RequestNoted,
    RunFinished,
    RunForecast,
    RunStarted,
    SessionStarted,
    TaskAdded,
    TaskExpanded,
    TaskFinished,
    TaskSpawned,
    TaskWaits,
    WidthChanged,
    WorkspaceClosed,
    WorkspaceOpened,
)
from orchestrator.task import Outcome, Spent, Status, WorkspaceInfo

FINISHED = frozenset({Status.DONE, Status.FAILED, Status.SKIPPED, Status.CANCELLED})
GROUPS = frozenset({"loop", "pipeline", "vote", "plan", "group"})
"""Kinds of task that stand for others, their parts."""
STATUSES = {"rate_limit": 429, "overloaded": 529, "server_error": 500}
"""What signals that tell no status are mostly about."""
FREE_KINDS = GROUPS | {"write", "call"}
"""Kinds of task that run no agent, and so take none of the run's places."""


@dataclass(slots=True)
class Calls:
    """API requests that the gateway has metered, summed up."""

    requests: int = 0
    """With those that it had to send again."""
    refused: int = 0
    """How many of them were answered by 429."""
    answered: int = 0
    """How many were asked for, however often they were sent."""
    queued_s: float = 0.0
    """Seconds in the gateway's queue."""
    begun: int = 0
    """How many brought content."""
    first_token_s: float = 0.0
    """Seconds until that began."""
    seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    def add(self, event: RequestAnswered) -> None:
        self.requests += 1 + event.retries
        self.refused += event.refused
        self.answered += 1
        self.queued_s += event.queued_s
        self.begun += event.first_token_s is not None
        self.first_token_s += event.first_token_s or 0.0
        self.seconds += event.seconds
        self.input_tokens += event.input_tokens
        self.output_tokens += event.output_tokens
        self.cache_read_tokens += event.cache_read_tokens
        self.cache_write_tokens += event.cache_write_tokens

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints of it."""
        return {
            "requests": self.requests,
            "refused": self.refused,
            "mean_queued_s": round(self.queued_s / max(self.answered, 1), 3),
            "mean_first_token_s": round(self.first_token_s / self.begun, 3) if self.begun else None,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cache_read_tokens": self.cache_read_tokens,
            "cache_write_tokens": self.cache_write_tokens,
        }


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


@dataclass(slots=True, eq=False)
class RunState:
    """One run. Folding an event costs the same however large the run is."""

    started: RunStarted | None = None
    started_at: float = 0.0
    last_at: float = 0.0
    """Unix time of the last event, s."""
    finished: RunFinished | None = None
    tasks: dict[str, TaskState] = field(default_factory=dict)
    running: dict[str, TaskState] = field(default_factory=dict)
    """Tasks at work now, in the order of their start."""
    places: int = 0
    """How many of them run an agent."""
    ready: deque[TaskState] = field(default_factory=deque)
    """Agents' tasks whose needs are met, in the order in which they became so."""
    ready_free: deque[TaskState] = field(default_factory=deque)
    """The same for tasks that run no agent."""
    arrived: deque[TaskState] = field(default_factory=deque)
    """Of `ready`, those that nobody has looked at yet."""
    doomed: deque[tuple[TaskState, str]] = field(default_factory=deque)
    """Tasks that cannot run any more, with the need that failed them."""
    complete: deque[TaskState] = field(default_factory=deque)
    """Groups whose parts have all ended."""
    counts: Counter[Status] = field(default_factory=Counter)
    """Tasks by status; a group counts by its parts alone."""
    cost_usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    sum_s: float = 0.0
    """Seconds of work, summed over the attempts that have ended."""
    reused: int = 0
    """Tasks whose result was there before."""
    turns: int = 0
    """Model replies, those before the run was gone on with counted."""
    tokens: int = 0
    """Input, cached or not, and output; the same."""
    spent_by: dict[tuple[str, str], Spent] = field(default_factory=dict)
    """What attempts that have ended have cost, by agent (empty: the run's own) and model (empty: not told)."""
    width: int = 1
    """How many agents may be at work at once now."""
    widest: int = 1
    """The most that could be."""
    regime: RegimeChanged | None = None
    """The last change; None: agents are started as they always were."""
    held_s: float = 0.0
    """Seconds in which no agents were started since the usage limit was reached, without a hold that goes on."""
    held_since: float | None = None
    """When the hold that goes on began (Unix time, s)."""
    episodes: int = 0
    """How often the API began to answer 429."""
    budget: BudgetReached | None = None
    """The last line that was reached."""
    paused_until: float = 0.0
    """Until when the gateway sends nothing (Unix time, s)."""
    signals: Counter[str] = field(default_factory=Counter)
    """What the API said about how much it takes, by kind."""
    answers: Counter[str] = field(default_factory=Counter)
    """The API's answers other than 200, by their status; `cut`: one that broke off."""
    memory: int = 0
    """Bytes that the processes of all agents use now."""
    peak_memory: int = 0
    """The most that they have used at once."""
    memory_awaited: MemoryAwaited | None = None
    """Why no more agents are started; None: not for memory."""
    memory_awaited_since: float = 0.0
    memory_awaited_s: float = 0.0
    """Seconds in which agents waited for memory, summed over all times but the one that lasts."""
    noted: Counter[str] = field(default_factory=Counter)
    """Requests that the gateway answered by a fault, or that a recording did not have, by the note's kind."""
    first_noted: dict[str, str] = field(default_factory=dict)
    """What was said of the first of each kind."""
    calls: Calls = field(default_factory=Calls)
    """API requests that the gateway has metered."""
    forecast: RunForecast | None = None
    """The last one."""
    forecast_at: float = 0.0
    """When it was made (Unix time, s)."""
    forecast_usd: float = 0.0
    """What the run had cost by then."""
    _dependents: dict[str, list[str]] = field(default_factory=dict)

    def apply(self, event: Event, at: float) -> None:
        """Folds one event in; `at` is its Unix time in seconds."""
        self.last_at = at
        _FOLDS[type(event)](self, event, at)

    def apply_all(self, records: Iterable[Record]) -> None:
        for record in records:
            self.apply(record.event, record.at)

    def leaves(self) -> Iterator[TaskState]:
        """All tasks but the groups."""
        return (task for task in self.tasks.values() if task.counts)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def ended(self) -> int:
        return sum(self.counts[status] for status in FINISHED)

    def may_fail(self, task: TaskState) -> bool:
        """Whether nothing is lost when this task fails: it says so, or its group, or all that need it do."""
        dependents = self._dependents.get(task.id, ())
        if task.allow_failure or (dependents and all(task.id in self.tasks[each].allows for each in dependents)):
            return True
        parent = self.tasks.get(task.parent or "")
        return parent is not None and parent.is_group and self.may_fail(parent)

    def _count(self, task: TaskState, status: Status) -> None:
        self.counts[task.status] -= task.counts
        task.status = status
        self.counts[status] += task.counts

    def _run_started(self, event: RunStarted, at: float) -> None:
        """A run that is gone on with begins anew; what had finished is added, and found, once more."""
        RunState.__init__(self, started=event, started_at=at, last_at=at, cost_usd=event.spent_usd)
        self.turns, self.tokens = event.spent_turns, event.spent_tokens
        for agent, models in event.spent_by.items():
            self._count_models(agent, models)
        self.width = self.widest = event.concurrent

    def _task_added(self, event: TaskAdded, at: float) -> None:
        task = TaskState(
            event.task,
            event.title,
            event.task_kind,
            tuple(event.needs),
            event.parent,
            event.allow_failure,
            frozenset(event.allows),
            event.agent,
        )
        self.tasks[task.id] = task
        self.counts[task.status] += task.counts
        for need in task.needs:
            if not self.tasks[need].is_over:
                task.unmet += 1
                self._dependents.setdefault(need, []).append(task.id)
            elif not self.tasks[need].lets(task):
                self.doomed.append((task, need))
        if not task.unmet:
            self._make_ready(task)

    def _make_ready(self, task: TaskState) -> None:
        if all(self.tasks[need].lets(task) for need in task.needs):
            (self.ready if task.runs_agent else self.ready_free).append(task)
            if task.runs_agent:
                self.arrived.append(task)

    def _task_expanded(self, event: TaskExpanded, at: float) -> None:
        task = self.tasks[event.task]
        task.more, task.of = event.more, event.of or task.of
        self._add_parts(task, event.parts)
        if task.status is Status.PENDING:
            self._count(task, Status.RUNNING)
            task.started = at
        if not task.open_parts and not task.more:
            self.complete.append(task)

    def _add_parts(self, task: TaskState, parts: Collection[str]) -> None:
        if task.parts is None:
            task.parts = []
        task.parts.extend(parts)  # not a new list: an open group may get 100,000 parts, one by one
        task.open_parts += len(parts)

    def _task_spawned(self, event: TaskSpawned, at: float) -> None:
        self._add_parts(self.tasks[event.task], [event.child])

    def _task_waits(self, event: TaskWaits, at: float) -> None:
        self.tasks[event.task].doing = f"waiting for {event.waits_for}" if event.waits_for else None

    def _message_sent(self, event: MessageSent, at: float) -> None:
        self.tasks[event.task].doing = f"writing to {event.to}"

    def _messages_read(self, event: MessagesRead, at: float) -> None:
        pass

    def _published(self, event: Published, at: float) -> None:
        self.tasks[event.task].doing = f"publishing {event.key}"

    def _run_forecast(self, event: RunForecast, at: float) -> None:
        self.forecast, self.forecast_at, self.forecast_usd = event, at, self.cost_usd

    def _width_changed(self, event: WidthChanged, at: float) -> None:
        self.width, self.widest = event.width, max(self.widest, event.width)
        self.episodes += event.episode

    def _regime_changed(self, event: RegimeChanged, at: float) -> None:
        self.regime = event
        if event.regime in ("hold", "canary"):
            self.held_since = self.held_since or at
        elif self.held_since is not None:
            self.held_s, self.held_since = self.held_s + at - self.held_since, None

    def _budget_reached(self, event: BudgetReached, at: float) -> None:
        self.budget = event

    def _api_signal(self, event: ApiSignal, at: float) -> None:
        self.signals[event.signal] += 1
        if (answer := answer_of(event)) and self._counts_answer(event):
            self.answers[answer] += 1
        waits = event.source == "cli" and event.retry_after and event.signal in {*STATUSES, "cut"}
        if waits and (task := self.tasks.get(event.task)) is not None:
            task.api, task.api_at = event, at
            task.api_tries += 1

    def _counts_answer(self, event: ApiSignal) -> bool:
        """Whether nobody else tells of the same answer: what the gateway hears, the CLI may hear after it."""
        gateway = self.started is not None and self.started.gateway
        return event.signal == "cut" or (event.source == "gateway") == gateway

    def _request_answered(self, event: RequestAnswered, at: float) -> None:
        self.calls.add(event)
        if (task := self.tasks.get(event.task)) is not None:
            task.calls = task.calls or Calls()
            task.calls.add(event)

    def _request_noted(self, event: RequestNoted, at: float) -> None:
        self.noted[event.note] += 1
        self.first_noted.setdefault(event.note, event.text)

    def _api_paused(self, event: ApiPaused, at: float) -> None:
        self.paused_until = event.until

    def _processes_measured(self, event: ProcessesMeasured, at: float) -> None:
        task = self.tasks[event.task]
        self._use_memory(task, event.memory)
        task.peak_memory = max(task.peak_memory, event.peak)

    def _use_memory(self, task: TaskState, memory: int) -> None:
        self.memory += memory - task.memory
        task.memory = memory
        self.peak_memory = max(self.peak_memory, self.memory)

    def _memory_awaited(self, event: MemoryAwaited, at: float) -> None:
        if self.memory_awaited and not event.awaited:
            self.memory_awaited_s += at - self.memory_awaited_since
        self.memory_awaited = event if event.awaited else None
        self.memory_awaited_since = at

    def _attempt_started(self, event: AttemptStarted, at: float) -> None:
        task = self.tasks[event.task]
        task.attempts, task.doing = event.attempt, "starting"
        task.heard_at, task.api, task.api_tries = at, None, 0
        task.session_id = event.session_id if event.fork else event.resume or event.session_id
        task.told_usd, task.told_models, task.in_session = 0.0, {}, False
        task.live_tokens = task.live_turns = 0
        task.started = task.started or at
        if task.status is not Status.RUNNING:
            self._count(task, Status.RUNNING)
            self.running[task.id] = task
            self.places += task.runs_agent

    def _workspace_opened(self, event: WorkspaceOpened, at: float) -> None:
        self.tasks[event.task].workspace = WorkspaceInfo(
            kind=event.workspace,
            path=event.path,
            branch=event.branch,
            base=event.base,
            name=event.name,
            origin=event.origin,
        )

    def _workspace_closed(self, event: WorkspaceClosed, at: float) -> None:
        task = self.tasks[event.task]
        if task.workspace:
            task.workspace = replace(
                task.workspace, branch=event.branch, commit=event.commit, changed=tuple(event.changed)
            )

    def _session_started(self, event: SessionStarted, at: float) -> None:
        task = self.tasks[event.task]
        task.session_id, task.in_session = event.session_id, True

    def _check_finished(self, event: CheckFinished, at: float) -> None:
        verdict = "passed" if event.exit_code == 0 else "failed"
        self.tasks[event.task].doing = f"{verdict}: {event.command}"

    def _agent_message(self, event: AgentMessage, at: float) -> None:
        task = self.tasks[event.task]
        task.told_usd, task.told_models = event.cost_usd or task.told_usd, event.models or task.told_models
        task.doing = event.doing or task.doing
        task.heard_at, task.api = at, None
        task.api_tries = 0 if event.turns else task.api_tries
        task.turns += event.turns
        self.turns += event.turns
        task.input_tokens += event.input_tokens
        task.output_tokens += event.output_tokens
        task.cache_read_tokens += event.cache_read_tokens
        task.cache_write_tokens += event.cache_write_tokens
        task.live_tokens += event.input_tokens + event.output_tokens
        task.live_turns += event.turns
        self.tokens += event.input_tokens + event.output_tokens
        self.input_tokens += event.input_tokens
        self.output_tokens += event.output_tokens

    def _attempt_finished(self, event: AttemptFinished, at: float) -> None:
        task = self.tasks[event.task]
        task.cost_usd += event.cost_usd
        task.worked_s += event.duration
        task.doing = again(event)
        self.cost_usd += event.cost_usd
        self.sum_s += event.duration
        if event.tokens:  # the whole count, in place of what the messages told
            self.tokens += event.tokens - task.live_tokens
        task.live_tokens = 0
        told = event.models or ({"": {"usd": event.cost_usd}} if event.cost_usd else {})
        self._count_models(task.agent or "", told)

    def _count_models(self, agent: str, models: Mapping[str, Mapping[str, Any]]) -> None:
        for model, spent in models.items():
            self.spent_by[agent, model] = self.spent_by.get((agent, model), Spent()) + Spent(**spent)

    def _task_finished(self, event: TaskFinished, at: float) -> None:
        task = self.tasks[event.task]
        if self.running.pop(task.id, None):
            self.places -= task.runs_agent
        self._count(task, Status(event.status))
        task.finished, task.result, task.doing = at, event.result, None
        self._use_memory(task, 0)
        task.reused = event.result.get("reused") is not None
        self.reused += task.reused
        if not event.loop and not task.reused:
            self._settle_tokens(task, event.result["usage"])
        if task.parent is not None:
            self._part_ended(self.tasks[task.parent])
        if task.is_over:
            self._release_dependents(task)

    def _part_ended(self, parent: TaskState) -> None:
        parent.open_parts -= 1
        if parent.open_parts:
            return
        if parent.is_over:  # an agent's task that ended before those that it spawned
            self._release_dependents(parent)
        elif parent.is_group and not parent.more:
            self.complete.append(parent)

    def _release_dependents(self, task: TaskState) -> None:
        for dependent in map(self.tasks.__getitem__, self._dependents.pop(task.id, ())):
            dependent.unmet -= 1
            if not task.lets(dependent):
                self.doomed.append((dependent, task.id))
            elif not dependent.unmet:
                self._make_ready(dependent)

    def _settle_tokens(self, task: TaskState, usage: Mapping[str, int]) -> None:
        """Puts the result's count in place of what the messages told along the way, where there is one."""
        spent = usage["input_tokens"] + usage["cache_read_tokens"] + usage["cache_write_tokens"]
        if not spent:
            return
        self.input_tokens += spent - task.input_tokens
        self.output_tokens += usage["output_tokens"] - task.output_tokens
        task.input_tokens, task.output_tokens = spent, usage["output_tokens"]

    def held(self, now: float) -> float:
        """Seconds in which no agents were started since the usage limit was reached, so far."""
        return self.held_s + (now - self.held_since if self.held_since is not None else 0.0)

    def _run_finished(self, event: RunFinished, at: float) -> None:
        self._memory_awaited(MemoryAwaited(awaited=False), at)
        self.finished = event
        self.held_s, self.held_since = self.held(at), None


def answer_of(event: ApiSignal) -> str | None:
    """The status that the API answered with, or `cut`; None where the signal is no answer."""
    if event.signal == "cut":
        return "cut"
    status = event.status or STATUSES.get(event.signal)
    return str(status) if status else None


def again(event: AttemptFinished) -> str | None:
    """When another attempt follows, in a few words; None when none does."""
    if event.retry_in is None:
        return None
    when = "at the reset" if event.outcome == Outcome.QUOTA else f"in {event.retry_in:.0f} s"
    return f"again {when} ({event.outcome})"


_FOLDS: dict[type[Event], Callable[[RunState, Any, float], None]] = {
    RunStarted: RunState._run_started,
    TaskAdded: RunState._task_added,
    TaskExpanded: RunState._task_expanded,
    TaskSpawned: RunState._task_spawned,
    TaskWaits: RunState._task_waits,
    MessageSent: RunState._message_sent,
    MessagesRead: RunState._messages_read,
    Published: RunState._published,
    RunForecast: RunState._run_forecast,
    WidthChanged: RunState._width_changed,
    RegimeChanged: RunState._regime_changed,
    BudgetReached: RunState._budget_reached,
    ApiSignal: RunState._api_signal,
    RequestAnswered: RunState._request_answered,
    RequestNoted: RunState._request_noted,
    ApiPaused: RunState._api_paused,
    ProcessesMeasured: RunState._processes_measured,
    MemoryAwaited: RunState._memory_awaited,
    AttemptStarted: RunState._attempt_started,
    WorkspaceOpened: RunState._workspace_opened,
    WorkspaceClosed: RunState._workspace_closed,
    SessionStarted: RunState._session_started,
    CheckFinished: RunState._check_finished,
    AgentMessage: RunState._agent_message,
    AttemptFinished: RunState._attempt_finished,
    TaskFinished: RunState._task_finished,
    RunFinished: RunState._run_finished,
}
