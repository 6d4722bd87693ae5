"""Lines of transcripts, packed and unpacked, and whose they are."""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Place = tuple[str, str, str]
"""project_key, session_id, and the subpath of a subagent's transcript (empty for the session's own)."""


def place(key: Mapping[str, str]) -> Place:
    """What the SDK's key means."""
    return key["project_key"], key["session_id"], key.get("subpath") or ""


def pack(lines: Sequence[Any]) -> bytes:
    """The lines as one compressed piece: together they take a fraction of what each would by itself."""
    return zlib.compress(json.dumps(lines, separators=(",", ":")).encode("ascii"))


def unpack(piece: bytes) -> list[Any]:
    """The inverse. Raises ValueError for what is no such piece."""
    try:
        lines: list[Any] = json.loads(zlib.decompress(piece))
    except zlib.error as error:
        raise ValueError(str(error)) from error
    return lines


def without_repeats(lines: Iterable[Any]) -> Iterator[Any]:
    """The lines, each `uuid` once: a line may come again when nobody knows whether it was written."""
    seen = set()
    for line in lines:
        uuid = line.get("uuid")
        if uuid is None or uuid not in seen:
            seen.add(uuid)
            yield line
