"""Whether the schemas under `returns:` are JSON schemas."""

import json
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for

from orchestrator.plan.fields import MOST_ARGUMENT
from orchestrator.plan.words import Finding, Path, describe, shorten


class SchemaChecks:
    """Judges schemas, each once: many tasks share one."""

    def __init__(self) -> None:
        self._known: dict[str, str | None] = {}

    def check(self, path: Path, schema: dict[str, Any] | None) -> Iterator[Finding]:
        """The fault of `schema`, if it has one."""
        if schema is None:
            return
        text = json.dumps(schema, default=str)
        if text not in self._known:
            self._known[text] = _judge_schema(schema, len(text))
        if (wrong := self._known[text]) is not None:
            yield Finding(path, wrong)


def _judge_schema(schema: dict[str, Any], size: int) -> str | None:
    if size > MOST_ARGUMENT:
        return f"the schema has {size:,} characters, expected at most {MOST_ARGUMENT:,}"
    dialect = schema.get("$schema", "")
    if not isinstance(dialect, str):
        return f"$schema: found {describe(dialect)}, expected the address of a JSON schema dialect"
    try:
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
    except SchemaError as error:
        place = "".join(f"{step}: " for step in list(error.absolute_path)[:10])
        return f"not a valid JSON schema: {place}{shorten(error.message, 200)}"
    except (ValueError, TypeError, RecursionError) as error:
        return f"not a valid JSON schema: {shorten(str(error), 200)}"
    return None
