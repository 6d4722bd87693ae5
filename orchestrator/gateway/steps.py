"""The steps of a rehearsal: what the offline model is to do for a task, reply by reply."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


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
class Answer:
    """Gives the typed result."""

    value: Mapping[str, Any]


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


@dataclass(frozen=True, slots=True)
class Wait:
    """Lets time pass before the next reply."""

    seconds: float


Step = Say | Write | Edit | Bash | Read | Answer | Fail | Wait

_FORMS = "say, write, edit, bash, read, answer, fail or wait"


def parse_steps(raw: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    """The steps of a rehearsal. Raises ValueError that says which step is wrong, and what is expected."""
    if isinstance(raw, str | Mapping) or not isinstance(raw, Sequence):
        raise ValueError(f"rehearsal: {raw!r} is not a list of steps")
    return tuple(_parse_step(f"rehearsal[{index}]", step) for index, step in enumerate(raw))


def _parse_step(where: str, step: Any) -> Step:
    if not isinstance(step, Mapping) or len(step) != 1:
        raise ValueError(f"{where}: {step!r} is not a mapping of one of {_FORMS}")
    (name, value), where = next(iter(step.items())), f"{where}.{next(iter(step))}"
    if name not in _PARSERS:
        raise ValueError(f"{where}: no such step; expected {_FORMS}")
    return _PARSERS[name](where, value)


def _parse_fail(where: str, value: Any) -> Fail:
    given = value if isinstance(value, Mapping) else {"status": value}
    _only(where, given, ("status",), ("message", "retry_after", "times", "attempts"))
    status, times, attempts = given["status"], given.get("times", 1), given.get("attempts")
    if not _is_whole(status) or not 400 <= status <= 599:
        raise ValueError(f"{where}: {status!r} is not an HTTP status from 400 to 599")
    if not _is_whole(times) or times < 1:
        raise ValueError(f"{where}.times: {times!r} is not a whole number from 1")
    if attempts is not None and (not _is_whole(attempts) or attempts < 1):
        raise ValueError(f"{where}.attempts: {attempts!r} is not a whole number from 1")
    if attempts is not None and "times" in given:
        raise ValueError(f"{where}: times and attempts are both given; expected one of them")
    message, delay = given.get("message"), given.get("retry_after")
    return Fail(
        status,
        None if message is None else _text(f"{where}.message", message),
        None if delay is None else _number(f"{where}.retry_after", delay),
        times,
        attempts,
    )


def _texts(where: str, value: Any, names: tuple[str, ...]) -> dict[str, str]:
    _only(where, _mapping(where, value), names)
    return {name: _text(f"{where}.{name}", value[name]) for name in names}


def _only(where: str, value: Mapping[str, Any], needed: tuple[str, ...], allowed: tuple[str, ...] = ()) -> None:
    for name in needed:
        if name not in value:
            raise ValueError(f"{where}: {name} is missing; expected {', '.join((*needed, *allowed))}")
    for name in value:
        if name not in needed + allowed:
            raise ValueError(f"{where}: {name!r} is not known; expected {', '.join((*needed, *allowed))}")


def _mapping(where: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: {value!r} is not a mapping")
    return value


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{where}: {value!r} is not a text")
    return value


def _number(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ValueError(f"{where}: {value!r} is not a number of seconds")
    return float(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_PARSERS: Mapping[str, Callable[[str, Any], Step]] = {
    "say": lambda where, value: Say(_text(where, value)),
    "bash": lambda where, value: Bash(_text(where, value)),
    "read": lambda where, value: Read(_text(where, value)),
    "write": lambda where, value: Write(**_texts(where, value, ("path", "text"))),
    "edit": lambda where, value: Edit(**_texts(where, value, ("path", "old", "new"))),
    "answer": lambda where, value: Answer(_mapping(where, value)),
    "wait": lambda where, value: Wait(_number(where, value)),
    "fail": _parse_fail,
}
