"""Whose request it is: attempts by the sessions that they announce."""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from orchestrator.events import ApiSignal
from orchestrator.protocols import Emit, ignore
from orchestrator.task import Attempt


@dataclass(frozen=True, slots=True)
class Caller:
    """An attempt whose agent makes requests."""

    attempt: Attempt
    emit: Emit = ignore
    """May be called from the gateway's thread."""

    @property
    def task(self) -> str:
        return self.attempt.task

    def tell_quota(self, wait: float, reason: str) -> None:
        """Tells of a usage limit that is reset in so many seconds: the CLI's words have no time in them."""
        signal = ApiSignal(
            task=self.task,
            attempt=self.attempt.number,
            signal="quota",
            source="fault",
            status=429,
            retry_after=wait,
            resets_at=time.time() + wait,
            reason=reason,
        )
        self.emit(signal)


class Callers:
    """The attempts that were announced. Noted in the run's thread, asked for in the gateway's."""

    def __init__(self) -> None:
        self._callers: dict[str, Caller] = {}

    def note(self, attempt: Attempt, emit: Emit = ignore) -> None:
        """Notes it under its own session, and the one that it goes on with."""
        caller = Caller(attempt, emit)
        self._callers[attempt.session_id] = caller
        if attempt.resume is not None and not attempt.fork:
            self._callers[attempt.resume] = caller

    def of(self, session_id: str | None) -> Caller | None:
        """The newest attempt in that session."""
        return self._callers.get(session_id or "")


def session_of(headers: Mapping[str, str], body: Mapping[str, Any]) -> str | None:
    """The Claude session that a request belongs to: it says so in a header, and in its metadata."""
    if named := headers.get("x-claude-code-session-id"):
        return named
    with suppress(KeyError, TypeError, ValueError):
        session = json.loads(body["metadata"]["user_id"])["session_id"]
        return session if isinstance(session, str) else None
    return None
