"""Events to rows and back."""

import json
from collections.abc import Mapping
from typing import Any

from orchestrator.errors import JournalError
from orchestrator.events import FIELDS, KINDS, Event, Record

RECOVER = "move the journal away, and try `sqlite3 journal.db .recover` to save what it held"
"""What to do about a journal that is damaged."""
JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str)


def encode(event: Event) -> str:
    """The event's fields as one JSON document. What is no Unicode (half a surrogate pair) becomes `?`."""
    text = JSON.encode(event.to_json())
    return text.encode("utf-8", "replace").decode("utf-8")


def decode(seq: int, at: float, run: str, kind: str, data: str) -> Record:
    """The inverse; fields that this version does not know are passed over. Raises JournalError."""
    if kind not in KINDS:
        raise JournalError(f"event {seq} is of kind {kind!r}, which this version does not know: install a newer one")
    event = KINDS[kind]
    try:
        fields: Mapping[str, Any] = json.loads(data)
        return Record(seq, at, run, event(**{name: fields[name] for name in FIELDS[event] if name in fields}))
    except (TypeError, ValueError) as error:
        raise JournalError(f"event {seq} is damaged ({error}): {RECOVER}") from error
