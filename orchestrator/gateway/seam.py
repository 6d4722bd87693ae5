"""The seams inside the gateway: a service answers HTTP requests; one kind of it parses them for a source."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.types import ASGIApp

from orchestrator.protocols import Emit, ignore
from orchestrator.task import Attempt

ApiEvent = Mapping[str, Any]
"""One event of the Messages API's stream, as `{"type": "message_start", ...}`."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the Messages API, parsed."""

    body: Mapping[str, Any]
    session_id: str | None = None
    """The Claude session that it belongs to."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """As received, names in lower case."""


class Service(Protocol):
    """What the gateway's server serves: the offline model, the real API, a recording."""

    @property
    def account(self) -> bool:
        """Whether requests get to the API with the user's account."""
        ...

    @property
    def env(self) -> Mapping[str, str]:
        """What a CLI's environment needs beside the gateway's address: credentials, or their absence."""
        ...

    def announce(self, attempt: Attempt, emit: Emit = ignore) -> None:
        """Tells it of an attempt before its first request. Called from the run's thread; never raises.

        `emit` may be called from the gateway's thread.
        """
        ...

    def build_app(self, prefix: str) -> ASGIApp:
        """What answers below the path `prefix`, as `/a-secret`, and nowhere else. Runs in the gateway's thread."""
        ...


class Source(Protocol):
    """What answers parsed requests."""

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        """The reply, as the events of a stream from `message_start` to `message_stop`. Raises ApiError."""
        ...

    async def count(self, call: Call) -> int:
        """How many input tokens the call has. Raises ApiError."""
        ...

    async def models(self) -> Sequence[Mapping[str, Any]]:
        """The models on offer, as the API lists them. Raises ApiError."""
        ...
