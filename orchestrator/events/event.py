"""What all events have, and their place in the journal."""

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a run."""

    durable: ClassVar[bool] = False
    """Whether it must be on disk, past any cache, before anyone is told of it."""

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in FIELDS[type(self)]}


FIELDS: dict[type[Event], tuple[str, ...]] = {}
"""The names of what each kind of event holds; the package enters them."""


@dataclass(frozen=True, slots=True)
class Record:
    """An event with its place in the journal."""

    seq: int
    """Grows from event to event over all runs."""
    at: float
    """Unix time, s."""
    run: str
    event: Event
