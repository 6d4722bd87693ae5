"""API requests, summed up."""

from dataclasses import dataclass
from typing import Any

from orchestrator.events import RequestAnswered


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
