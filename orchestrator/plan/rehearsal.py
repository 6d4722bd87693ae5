"""The steps of a rehearsal: what the offline model does for a task, one step per reply."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, JsonValue, WithJsonSchema

from orchestrator.plan.words import describe, did_you_mean, listed


def check_steps(value: Any) -> None:
    """Raises ValueError for what is no list of steps, with the index of the first that is wrong."""
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise ValueError(f"rehearsal: found {describe(value)}, expected a list of steps")
    for index, step in enumerate(value):
        try:
            check_step(step)
        except ValueError as error:
            raise ValueError(f"rehearsal[{index}]: {error}") from error


def check_step(value: Any) -> Any:
    """`value`, if it is a mapping of one known key to what that step takes."""
    if not isinstance(value, Mapping):
        raise ValueError(f"found {describe(value)}, expected a step, as {{say: done}}")
    if len(value) != 1:
        found = f"the keys {listed(map(str, value))}" if value else "an empty mapping"
        raise ValueError(f"found {found}, expected one of {listed(_STEPS)}: a step has one key")
    ((name, given),) = value.items()
    if name not in _STEPS:
        raise ValueError(f"found {describe(name)}{did_you_mean(str(name), _STEPS)}, expected one of {listed(_STEPS)}")
    if wrong := _STEPS[name](given):
        raise ValueError(f"{name}: {wrong}")
    return value


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else f"found {describe(value)}, expected text"


def _texts(*keys: str) -> Callable[[Any], str | None]:
    def judge(value: Any) -> str | None:
        if not isinstance(value, Mapping) or set(value) != set(keys):
            found = f"the keys {listed(map(str, value))}" if isinstance(value, Mapping) and value else describe(value)
            return f"found {found}, expected a mapping of {listed(keys)}"
        wrong = ((key, _text(value[key])) for key in keys)
        return next((f"{key}: {what}" for key, what in wrong if what), None)

    return judge


def _call(value: Any) -> str | None:
    if not isinstance(value, Mapping) or "tool" not in value or not set(value) <= {"tool", "input"}:
        found = f"the keys {listed(map(str, value))}" if isinstance(value, Mapping) and value else describe(value)
        return f"found {found}, expected a mapping of tool and input, as {{tool: publish, input: {{key: a, value: 1}}}}"
    if wrong := _text(value["tool"]):
        return f"tool: {wrong}"
    given = value.get("input", {})
    return None if isinstance(given, Mapping) else f"input: found {describe(given)}, expected a mapping"


def _answer(value: Any) -> str | None:
    return None if isinstance(value, Mapping) else f"found {describe(value)}, expected a mapping"


def _wait(value: Any) -> str | None:
    return (
        None if _is_number(value) and 0 <= value <= 86_400 else f"found {describe(value)}, expected seconds, 0 to 86400"
    )


def _fail(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return (
            None if _is_status(value) else f"found {describe(value)}, expected a status from 400 to 599, or a mapping"
        )
    if unknown := [key for key in value if key not in _FAIL]:
        return f"found the key {unknown[0]}, expected {listed(_FAIL)}"
    if "status" not in value:
        return f"status is missing; expected {listed(_FAIL)}, of which only status must be there"
    wrong = (
        f"{key}: found {describe(given)}, expected {_FAIL[key][0]}"
        for key, given in value.items()
        if not _FAIL[key][1](given)
    )
    if fault := next(wrong, None):
        return fault
    return "found both times and attempts, expected one of them" if {"times", "attempts"} <= set(value) else None


def _is_status(value: Any) -> bool:
    return isinstance(value, int) and 400 <= value <= 599


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value >= 1 and value is not True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_FAIL: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "status": ("a status from 400 to 599", _is_status),
    "message": ("text", lambda value: isinstance(value, str)),
    "retry_after": ("seconds, 0 or more", lambda value: _is_number(value) and value >= 0),
    "times": ("a whole number, 1 or more", _is_count),
    "attempts": ("a whole number, 1 or more", _is_count),
}
_STEPS: dict[str, Callable[[Any], str | None]] = {
    "say": _text,
    "write": _texts("path", "text"),
    "edit": _texts("path", "old", "new"),
    "bash": _text,
    "read": _text,
    "call": _call,
    "answer": _answer,
    "end": _text,
    "fail": _fail,
    "wait": _wait,
}


def _mapping(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


_TEXT = {"type": "string"}
_SECONDS = {"type": "number", "minimum": 0}
_STATUS = {"type": "integer", "minimum": 400, "maximum": 599}
_COUNT = {"type": "integer", "minimum": 1}
_FAILURE = _mapping(("status",), status=_STATUS, message=_TEXT, retry_after=_SECONDS, times=_COUNT, attempts=_COUNT) | {
    "not": {"required": ["times", "attempts"]}
}
_STEP_SCHEMA = _mapping(
    (),
    say=_TEXT,
    write=_mapping(("path", "text"), path=_TEXT, text=_TEXT),
    edit=_mapping(("path", "old", "new"), path=_TEXT, old=_TEXT, new=_TEXT),
    bash=_TEXT,
    read=_TEXT,
    call=_mapping(("tool",), tool=_TEXT, input={"type": "object"}),
    answer={"type": "object"},
    end=_TEXT,
    fail={"anyOf": [_STATUS, _FAILURE]},
    wait=_SECONDS | {"maximum": 86_400},
) | {"minProperties": 1, "maxProperties": 1}

Step = Annotated[dict[str, JsonValue], BeforeValidator(check_step), WithJsonSchema(_STEP_SCHEMA)]
