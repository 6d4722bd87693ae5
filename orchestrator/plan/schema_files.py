"""JSON schemas as plans give them: in place, or in a file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationInfo

from orchestrator.plan.files import read_text
from orchestrator.plan.words import describe

MOST_DEPTH = 64
"""How deep data may be nested: far more than a person writes, far less than a recursion bears."""
MOST_SCHEMA = 1_000_000
"""Bytes of a schema file."""


def read_schema(value: Any, info: ValidationInfo) -> Any:
    """A JSON schema as it stands, or from the file that a path names, relative to the plan's directory.

    Whether it is a valid schema is judged in `checks`: what judges is slow to import.
    """
    if isinstance(value, str):
        value = _load_schema(value, info.context or {})
    if not isinstance(value, Mapping):
        raise ValueError(f"found {describe(value)}, expected a JSON schema or the path of one")
    if too_deep(value):
        raise ValueError(f"the schema is nested more than {MOST_DEPTH} deep")
    return value


def _load_schema(name: str, context: Mapping[str, Any]) -> Any:
    path = Path(context.get("directory", "")) / name
    try:
        data = json.loads(read_text(path, MOST_SCHEMA), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"{name} is not valid JSON: {error.msg} in line {error.lineno}") from None
    except RecursionError:
        raise ValueError(f"{name} is nested more than {MOST_DEPTH} deep") from None
    except ValueError as error:
        raise ValueError(f"{name!r}: {error}; expected a JSON schema or the path of one") from None
    if not isinstance(data, dict):
        raise ValueError(f"{name} holds {describe(data)}, expected a JSON schema, which is a mapping")
    return data


def _refuse_constant(name: str) -> None:
    raise ValueError(f"found {name}, which JSON does not have")


def too_deep(value: Any) -> bool:
    """Whether lists and mappings are nested deeper than `MOST_DEPTH`."""
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [item for outer in level for item in _children(outer)]
        if not level:
            return False
    return True


def _children(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [item for item in value.values() if isinstance(item, Mapping | list | tuple)]
    return [item for item in value if isinstance(item, Mapping | list | tuple)]
