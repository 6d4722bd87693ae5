"""What a run's events add up to."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.events import BudgetReached, Event, MemoryAwaited, RegimeChanged, RunFinished, RunForecast, RunStarted
from orchestrator.state.calls import Calls
from orchestrator.state.task import FINISHED, TaskState
from orchestrator.task import Spent, Status


@dataclass(slots=True, eq=False)
class Figures:
    """One run, as far as it has come."""

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
    """The last change for all with the run's own account; None: agents are started as they always were."""
    lanes: dict[str, RegimeChanged] = field(default_factory=dict)
    """The last change for each lane."""
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
    dependents: dict[str, list[str]] = field(default_factory=dict)
    """By task those that need it and wait for it."""

    def move_to(self, task: TaskState, status: Status) -> None:
        """Gives the task another status."""
        self.counts[task.status] -= task.counts
        task.status = status
        self.counts[status] += task.counts

    def use_memory(self, task: TaskState, memory: int) -> None:
        """The task's processes use so many bytes now."""
        self.memory += memory - task.memory
        task.memory = memory
        self.peak_memory = max(self.peak_memory, self.memory)

    def await_memory(self, why: MemoryAwaited | None, at: float) -> None:
        """Agents wait for memory from now on; None: no more."""
        if self.memory_awaited and why is None:
            self.memory_awaited_s += at - self.memory_awaited_since
        self.memory_awaited, self.memory_awaited_since = why, at

    def count_models(self, agent: str, models: Mapping[str, Mapping[str, Any]]) -> None:
        """Adds what an agent has cost, by model."""
        for model, spent in models.items():
            self.spent_by[agent, model] = self.spent_by.get((agent, model), Spent()) + Spent(**spent)

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
        dependents = self.dependents.get(task.id, ())
        if task.allow_failure or (dependents and all(task.id in self.tasks[each].allows for each in dependents)):
            return True
        parent = self.tasks.get(task.parent or "")
        return parent is not None and parent.is_group and self.may_fail(parent)

    def held(self, now: float) -> float:
        """Seconds in which no agents were started since the usage limit was reached, so far."""
        return self.held_s + (now - self.held_since if self.held_since is not None else 0.0)


Folds = Mapping[type[Event], Callable[[Figures, Any, float], None]]
"""By kind of event what folds it in; the last argument is its Unix time, s."""
