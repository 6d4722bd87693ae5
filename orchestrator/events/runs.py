"""What happens to a run as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from orchestrator.events.event import Event


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
class RunFinished(Event):
    durable: ClassVar[bool] = True
    status: str
    """`done`, `failed`, `cancelled` or `crashed`."""
    wall: float
    """Seconds from the run's start to its end."""
    complete: bool = True
    """Whether all was tried that was to be done: not so after a stop, a spent budget, a refused account."""
