"""Finds what two requests that were taken as the same differ in: a date in a prompt may be what was changed in it."""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.gateway.recording.canon import sharp
from orchestrator.gateway.recording.matching import AROUND, around

REMINDER = "<system-reminder>"
"""How a text begins that is the CLI's."""
READER = "Read"
"""The tool whose results are files. What others give (the time of a commit, how long tests took) differs each time."""


def unlike(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first prompt, or file that was read, that is not the same to the letter, around where it begins to differ."""
    pairs = zip(_said(sharp(recorded)), _said(sharp(found)), strict=False)
    return next((around(one, other, AROUND) for one, other in pairs if one != other), None)


def _said(request: Mapping[str, Any]) -> Iterator[str]:
    """What the agent was told in words, and what it read of files."""
    tools: dict[str, str] = {}
    for message in request["messages"]:
        for block in message["content"]:
            match block.get("type"):
                case "tool_use":
                    tools[block["id"]] = str(block.get("name"))
                case "tool_result" if tools.get(block["tool_use_id"]) == READER:
                    yield from _texts(block.get("content") or ())
                case "text" if message["role"] == "user":
                    yield from _texts([block])


def _texts(blocks: Any) -> Iterator[str]:
    for block in blocks:
        text = block.get("text")
        if isinstance(text, str) and not text.startswith(REMINDER):
            yield text
