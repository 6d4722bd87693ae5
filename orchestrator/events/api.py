"""What the API said, and what its gateway made of requests."""

from dataclasses import dataclass

from orchestrator.events.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSignal(Event):
    """The API, or the account, said something about how much it takes: what the governor goes by."""

    task: str
    attempt: int
    signal: str
    """`rate_limit` (429), `overloaded` (529), `server_error` (other 5xx), `cut` (an answer broke off, or none came),
    `warning` (near the usage limit), `quota` (the usage limit is reached), `auth`, `billing`."""
    source: str
    """Who heard it: `cli` (it retries by itself), `result` (the attempt has ended by it), `gateway`; or who will have
    it heard: `fault` (one that is played)."""
    status: int | None = None
    """HTTP."""
    retry_after: float | None = None
    """Seconds."""
    resets_at: float | None = None
    """Unix time, s."""
    reason: str = ""
    own_account: bool = False
    """Whether the agent has credentials of its own, so that it says nothing about the others."""
    limit: str | None = None
    """Which of the account's usage limits it is about, as the API calls them: `five_hour`, `seven_day_opus`."""


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
class RequestQueued(Event):
    """A request of an agent waits in the gateway's queue for its turn at the API, and has done so for a while."""

    task: str
    attempt: int
    queued_s: float
    """Seconds that it has waited so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDequeued(Event):
    """One of these has had its turn, or was given up."""

    task: str
    attempt: int


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
