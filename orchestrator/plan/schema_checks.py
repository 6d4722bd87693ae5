"""JSON schemas: whether they are, and whether a value fulfils one."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for

from orchestrator.plan.fields import MOST_ARGUMENT
from orchestrator.plan.words import Finding, Path, describe, shorten


def find_misfit(schema: Mapping[str, Any], value: Any) -> str | None:
    """Where and why the value does not fulfil the schema, in its own dialect; None when it does."""
    validator = validator_for(schema, default=Draft202012Validator)(schema)
    error = next(validator.iter_errors(value), None)
    return None if error is None else f"{error.json_path}: {shorten(error.message, 300)}"


def find_schema_fault(schema: Mapping[str, Any]) -> str | None:
    """Why the schema is none, or cannot be asked for; None when it is right."""
    return _judge_schema(dict(schema), len(json.dumps(schema, default=str)))


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
    return _find_dangling(schema, schema)


def _find_dangling(root: dict[str, Any], part: Any) -> str | None:
    """The first reference into the schema itself that leads nowhere."""
    if isinstance(part, dict):
        reference = part.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/") and not _leads_somewhere(root, reference):
            return f"not a valid JSON schema: $ref: {shorten(reference, 100)} leads nowhere"
    children = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return next((fault for child in children if (fault := _find_dangling(root, child))), None)


def _leads_somewhere(root: Any, reference: str) -> bool:
    for step in unquote(reference).split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(root, dict) and key in root:
            root = root[key]
        elif isinstance(root, list) and key.isdecimal() and int(key) < len(root):
            root = root[int(key)]
        else:
            return False
    return True
