"""What a recording is made of: a line of JSON each."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

VERSION = 1
"""Of the format. Another one is not read."""
LEAST_PART = 200
"""Characters of JSON from which something is written once, and then only named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first line, and once more wherever the run was gone on with."""

    run: str
    name: str
    """What is run: the run's id without what makes it the only one."""
    date: str
    """UTC."""
    orchestrator: str
    """Its version."""
    cli: str | None = None
    """The Claude CLI's version."""
    texts: bool = True
    """Whether requests and replies are in it."""

    def to_json(self) -> dict[str, Any]:
        return {"kind": "recording", "version": VERSION} | {
            each.name: getattr(self, each.name) for each in fields(self)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request and what came of it."""

    task: str | None = None
    """None for one that no announced attempt has made."""
    attempt: int
    number: int
    """Counted from 1 over the requests of the task."""
    what: str
    """`messages`, `count_tokens` or `models`."""
    small: bool = False
    """Whether the CLI asks for itself (a title, a probe) and not for the agent."""
    by_default: bool = False
    """Whether the agent's plan names no model, so that the CLI has chosen one by the account and its settings."""
    key: str | None = None
    """The same for requests that ask the same."""
    request: Mapping[str, Any] | None = None
    """What is asked, with names in the place of directories."""
    status: int = 0
    """HTTP; 0 when nothing came."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those of the reply that say how to go on."""
    reply: Mapping[str, Any] | None = None
    """The whole message, or the error."""
    complete: bool = True
    """Whether the reply came to its end."""
    seconds: float = 0.0
    """From the request to the end of the reply."""
    first_s: float | None = None
    """To the reply's first byte."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """`model`, `messages` (how many), `tools` (how many), `characters`: all that is kept without texts."""
    answered: Mapping[str, Any] = field(default_factory=dict)
    """`stop_reason`, `usage`, `blocks` (kinds and lengths): likewise."""
    unreadable: str | None = None
    """Why the reply could not be kept."""

    def to_json(self) -> dict[str, Any]:
        told = {each.name: getattr(self, each.name) for each in fields(self)}
        return {"kind": "exchange"} | {name: value for name, value in told.items() if value not in (None, {})}


class Parts:
    """What has been written already: a long conversation is sent again with each request."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def split(self, request: Mapping[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The lines to be written first, and the request that names them."""
        lines: list[dict[str, Any]] = []
        short = {name: self._short(value, lines) for name, value in request.items() if name != "messages"}
        if "messages" in request:
            short["messages"] = [self._short(message, lines) for message in request["messages"]]
        return lines, short

    def _short(self, value: Any, lines: list[dict[str, Any]]) -> Any:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True)
        if len(text) < LEAST_PART:
            return value
        name = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
        if name not in self._known:
            self._known.add(name)
            lines.append({"kind": "part", "name": name, "value": value})
        return {"part": name}


def join(request: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """The request with its parts in their places. Raises KeyError for one that is not there."""

    def whole(value: Any) -> Any:
        return parts[value["part"]] if isinstance(value, Mapping) and value.keys() == {"part"} else value

    return {
        name: [whole(message) for message in value] if name == "messages" else whole(value)
        for name, value in request.items()
    }
