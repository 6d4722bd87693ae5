"""Lines of transcripts, packed and unpacked, and whose they are."""

import json
import lzma
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Place = tuple[str, str, str]
"""project_key, session_id, and the subpath of a subagent's transcript (empty for the session's own)."""


def place(key: Mapping[str, str]) -> Place:
    """What the SDK's key means."""
    return key["project_key"], key["session_id"], key.get("subpath") or ""


def pack(lines: Sequence[Any]) -> bytes:
    """The lines as one compressed piece.

    A transcript says the same things far apart, beyond zlib's window: 288 kB of a first turn come to 29 kB in 6 ms, and
    by zlib to 79 kB in 9 ms; each line by itself would take 90.
    """
    return lzma.compress(json.dumps(lines, separators=(",", ":")).encode("ascii"), preset=0)


def unpack(piece: bytes) -> list[Any]:
    """The inverse. Raises ValueError for what is no such piece."""
    try:
        lines: list[Any] = json.loads(lzma.decompress(piece))
    except (lzma.LZMAError, EOFError) as error:
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
