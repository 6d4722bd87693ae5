"""The steps of a rehearsal: what the offline model is to do for a task, reply by reply."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.gateway.errors import ApiError
from orchestrator.plan.rehearsal import check_steps


@dataclass(frozen=True, slots=True)
class Say:
    """Says a text; as the last step it ends the turn."""

    text: str


@dataclass(frozen=True, slots=True)
class Write:
    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Edit:
    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Bash:
    command: str


@dataclass(frozen=True, slots=True)
class Read:
    path: str


@dataclass(frozen=True, slots=True)
class RunTool:
    """Calls a tool of the run's own, as `send_message`."""

    tool: str
    input: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """Gives the typed result."""

    value: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class End:
    """Says a text and ends the turn; the steps behind it wait until the agent is told to go on."""

    text: str


SOON = 1.0
"""Seconds until a usage limit is reset, where the rehearsal does not say: nobody is to wait for it."""
TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Fail:
    """Answers a request with an error of the API."""

    status: int
    message: str | None = None
    retry_after: float | None = None
    """Seconds."""
    times: int = 1
    """How many requests fail, counted over all attempts of the task. The CLI sends a request again by itself, how often
    and how soon depends on the status, the CLI and its environment."""
    attempts: int | None = None
    """How many attempts of the task fail here, in place of `times`: in each of them no request is answered otherwise,
    and the CLI is told not to send it again."""

    @property
    def resets_in(self) -> float | None:
        """Seconds, of a usage limit: a 429 that the CLI is not to send again is one. None: it is no such limit."""
        if self.status != TOO_MANY or self.attempts is None:
            return None
        return SOON if self.retry_after is None else self.retry_after

    def to_error(self) -> ApiError:
        """The API's answer."""
        wait = self.retry_after if self.resets_in is None else self.resets_in
        return ApiError(self.status, self.message, wait, final=self.attempts is not None)


@dataclass(frozen=True, slots=True)
class Wait:
    """Lets time pass before the next reply."""

    seconds: float


Step = Say | Write | Edit | Bash | Read | RunTool | Answer | End | Fail | Wait


def parse_steps(raw: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    """The steps of a rehearsal. Raises ValueError that says which step is wrong, and what is expected."""
    check_steps(raw)
    return tuple(_MAKERS[name](given) for step in raw for name, given in step.items())


_MAKERS: Mapping[str, Callable[[Any], Step]] = {
    "say": Say,
    "bash": Bash,
    "read": Read,
    "write": lambda given: Write(**given),
    "edit": lambda given: Edit(**given),
    "call": lambda given: RunTool(**given),
    "answer": Answer,
    "end": End,
    "wait": lambda given: Wait(float(given)),
    "fail": lambda given: Fail(**given) if isinstance(given, Mapping) else Fail(given),
}
