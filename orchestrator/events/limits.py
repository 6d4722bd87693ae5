"""What bounds a run: how many agents may be at work, whether any is started, and why not."""

from dataclasses import dataclass

from orchestrator.events.event import Event


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
    lane: str = ""
    """Which agents, where it is not all with the run's own account: `account own-1`, `model opus`."""


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
