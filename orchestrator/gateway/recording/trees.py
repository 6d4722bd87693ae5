"""Walks through JSON data."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

OPAQUE = ("data", "signature")
"""Fields whose text is nothing to be read: images, and what a thought is signed with."""


def each_text(value: Any, change: Callable[[str], str]) -> Any:
    """The same data with every text changed, but for names of fields and what is opaque."""
    match value:
        case str():
            return change(value)
        case Mapping():
            return {name: item if name in OPAQUE else each_text(item, change) for name, item in value.items()}
        case list():
            return [each_text(item, change) for item in value]
    return value


def without(value: Any, name: str) -> Any:
    """The same data without any field of that name."""
    match value:
        case Mapping():
            return {each: without(item, name) for each, item in value.items() if each != name}
        case list():
            return [without(item, name) for item in value]
    return value


def differences(recorded: Any, found: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two pieces of data differ, as `messages[2].content[0].text`, with what stands there; in order."""
    if isinstance(recorded, Mapping) and isinstance(found, Mapping):
        for name in dict.fromkeys([*recorded, *found]):
            place = f"{path}.{name}" if path else str(name)
            if (name in recorded) != (name in found):
                yield place, recorded.get(name), found.get(name)
            else:
                yield from differences(recorded[name], found[name], place)
    elif isinstance(recorded, list) and isinstance(found, list):
        for index, (one, other) in enumerate(zip(recorded, found, strict=False)):
            yield from differences(one, other, f"{path}[{index}]")
        if len(recorded) != len(found):
            index = min(len(recorded), len(found))
            yield f"{path}[{index}]", at(index, recorded), at(index, found)
    elif recorded != found:
        yield path, recorded, found


def at(index: int, items: list[Any]) -> Any:
    """What stands there; None where there is no more."""
    return items[index] if index < len(items) else None
