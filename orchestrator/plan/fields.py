"""The types of a plan's values: what each accepts, and what it says of anything else."""

import json
import math
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, WithJsonSchema

from orchestrator.plan.places import Workspace
from orchestrator.plan.schema_files import read_schema
from orchestrator.plan.words import describe

__all__ = [
    "Argument",
    "Duration",
    "Environment",
    "Schema",
    "Servers",
    "Template",
    "TemplateOrList",
    "ToolList",
    "Workspace",
]

MOST_ARGUMENT = 100_000
"""Bytes: the system limits one argument of a program to 128 KiB, and some texts travel as one."""
TASK_NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_DURATION = re.compile("".join(f"(?:{_NUMBER}{unit})?" for unit in ("d", "h", "m", "s", "ms")))
_SECONDS = (86_400, 3_600, 60, 1, 0.001)
_A_DURATION = "expected seconds or a time as 90s, 10m, 1h30m, 500ms or 2d"


def read_duration(value: Any) -> float:
    """Seconds from `90`, `"90s"`, `"1h30m"`."""
    seconds = 0.0
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value) if abs(value) < 1e12 else math.inf
    elif isinstance(value, str) and value and (found := _DURATION.fullmatch(value)):
        seconds = sum(float(number) * unit for number, unit in zip(found.groups("0"), _SECONDS, strict=True))
    else:
        raise ValueError(f"found {describe(value)}, {_A_DURATION}")
    if not 0 < seconds <= 366 * 86_400:
        raise ValueError(f"found {describe(value)}, {_A_DURATION}, more than 0 and at most a year")
    return seconds


def read_foreach(value: Any) -> str | list[Any]:
    """A list as it stands, or a template that gives one."""
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, str):
        return value
    raise ValueError(f"found {describe(value)}, expected a list or a template that gives one")


def read_tools(value: Any) -> tuple[str, ...] | str:
    """A list of tools, or the word `default`."""
    if value == "default" or (isinstance(value, list | tuple) and all(map(_is_word, value))):
        return value if isinstance(value, str) else tuple(value)
    if isinstance(value, list | tuple):
        wrong = next(item for item in value if not _is_word(item))
        raise ValueError(f"found {describe(wrong)} in the list, expected names of tools, as [Read, Grep]")
    hint = f"; for one tool write [{value}]" if isinstance(value, str) and _is_word(value) else ""
    raise ValueError(f"found {describe(value)}, expected a list of tools, as [Read, Grep], or default{hint}")


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) < 1000 and value.isprintable()


def read_servers(value: Any) -> dict[str, Any] | str:
    """MCP servers by name, or the path of a file of them."""
    if isinstance(value, str) and value:
        return value
    if not isinstance(value, dict):
        raise ValueError(f"found {describe(value)}, expected MCP servers by name or the path of a configuration file")
    for name, server in value.items():
        if not isinstance(name, str) or not isinstance(server, dict):
            raise ValueError(f"{name}: found {describe(server)}, expected a mapping, as {{command: …, args: […]}}")
    fit_argument(json.dumps(value, default=str))
    return value


def fit_argument(value: str) -> str:
    """`value`, if a program can be given it as an argument."""
    if "\0" in value:
        raise ValueError("found a NUL character, which no program can be given")
    if len(value.encode(errors="surrogatepass")) > MOST_ARGUMENT:
        raise ValueError(f"found a text of {len(value):,} characters, expected at most {MOST_ARGUMENT:,} bytes")
    return value


def fit_environment(value: dict[str, str]) -> dict[str, str]:
    """`value`, if a process can have these environment variables."""
    for name, text in value.items():
        if not name or "=" in name or "\0" in name:
            raise ValueError(f"found {name!r}, expected the name of an environment variable")
        fit_argument(text)
    return value


_DURATION_SCHEMA = {
    "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": r"^([0-9.]+(d|h|ms|m|s))+$"}]
}
_TOOLS_SCHEMA = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"const": "default"}]}
_SERVERS_SCHEMA = {
    "anyOf": [{"type": "object", "additionalProperties": {"type": "object"}}, {"type": "string", "minLength": 1}]
}

Argument = Annotated[str, AfterValidator(fit_argument), Field(json_schema_extra={"maxLength": MOST_ARGUMENT})]
Environment = Annotated[dict[str, str], AfterValidator(fit_environment)]
Duration = Annotated[float, BeforeValidator(read_duration), WithJsonSchema(_DURATION_SCHEMA)]
Schema = Annotated[dict[str, JsonValue], BeforeValidator(read_schema), WithJsonSchema({"type": ["object", "string"]})]
Servers = Annotated[dict[str, JsonValue] | str, BeforeValidator(read_servers), WithJsonSchema(_SERVERS_SCHEMA)]
Template = str
TemplateOrList = Annotated[
    str | list[Any], BeforeValidator(read_foreach), WithJsonSchema({"type": ["array", "string"]})
]
ToolList = Annotated[tuple[str, ...] | Literal["default"], BeforeValidator(read_tools), WithJsonSchema(_TOOLS_SCHEMA)]
