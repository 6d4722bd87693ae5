"""`returns=`, in any of its forms, as the schema to ask with and the function that reads the answer."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from orchestrator.errors import UsageError
from orchestrator.plan.schema_checks import find_schema_fault
from orchestrator.plan.words import describe

Reading = tuple[Mapping[str, Any] | None, Callable[[Any], Any] | None]


def to_reading(returns: Any, directory: Path) -> Reading:
    """The JSON schema, and what makes a value of the answer (None: it stays plain data); a path starts at `directory`.

    Raises UsageError for anything else, for a file that cannot be read, and for a schema that is none.
    """
    if returns is None:
        return None, None
    if isinstance(returns, type) and issubclass(returns, BaseModel):
        return returns.model_json_schema(), returns.model_validate
    if isinstance(returns, str | Path):
        return checked(read_json(directory / Path(returns).expanduser()), str(returns)), None
    if isinstance(returns, Mapping):
        return checked(returns, "returns"), None
    expected = "a pydantic model class, a JSON schema (a dict), or a path to one"
    raise UsageError(f"returns: found {describe(returns)}, expected {expected}")


def read_json(path: Path) -> Any:
    """The document in the file. Raises UsageError when there is none."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"returns: {path}: expected a JSON schema, found: {error}") from error


def checked(schema: Any, where: str) -> Mapping[str, Any]:
    """The schema. Raises UsageError when it is not a valid one of an object."""
    if not isinstance(schema, Mapping):
        raise UsageError(f"{where}: expected a JSON schema (an object), found {type(schema).__name__}")
    if fault := find_schema_fault(schema):
        raise UsageError(f"{where}: {fault}")
    return schema
