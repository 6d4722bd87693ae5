"""Reads from an answer that passes what it has taken: tokens, the model, when the first piece of content came.

It never changes nor delays what passes, and believes nothing that it cannot read.
"""

import json
import zlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

LONGEST = 4 * 1024 * 1024
"""Bytes of a line, or of an answer that is no stream, beyond which it is not read."""
MARKS = (b"message_start", b"message_delta")
TELLING = b"message_"
"""What is in each event that tells something, once content has begun."""
NEAR = 64
"""Bytes at the beginning of a line in which an event names its type."""


class Usage:
    """What an answer has told so far."""

    def __init__(self) -> None:
        self.model = ""
        self.input_tokens = 0
        self.output_tokens = 0
        self.cache_read_tokens = 0
        self.cache_write_tokens = 0
        self.begun = False
        """Whether its content has begun."""
        self.known = False
        """Whether its input has been told."""
        self.over = False
        """Whether it has said that this is all."""

    @property
    def counted_input(self) -> int:
        """What of it the API's limits count (https://docs.claude.com/en/api/rate-limits)."""
        return self.input_tokens + self.cache_write_tokens

    def take(self, message: Mapping[str, Any]) -> None:
        """Takes what a message, or an event of a stream, tells."""
        self.model = str(message.get("model") or self.model)
        usage = message.get("usage")
        if not isinstance(usage, Mapping):
            return
        for name, told in (
            ("input_tokens", "input_tokens"),
            ("output_tokens", "output_tokens"),
            ("cache_read_tokens", "cache_read_input_tokens"),
            ("cache_write_tokens", "cache_creation_input_tokens"),
        ):
            if isinstance(value := usage.get(told), int) and value >= 0:
                setattr(self, name, value)
                self.known = True


class Reader(Protocol):
    """Reads a body as it passes."""

    def feed(self, data: bytes) -> None:
        """Takes the next piece."""
        ...

    def close(self) -> None:
        """There is no more."""
        ...


class StreamReader:
    """Of server-sent events."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self._rest = b""

    def feed(self, data: bytes) -> None:
        text = self._rest + data
        end = text.rfind(b"\n") + 1
        self._rest = text[end:] if len(text) - end <= LONGEST else b""
        if self._usage.begun and text.find(TELLING, 0, end) < 0:
            return  # as nearly every piece of a stream, a hundred for each that tells something
        for line in text[:end].split(b"\n"):
            if line.startswith(b"data:"):
                self._heed(line)

    def close(self) -> None:
        pass

    def _heed(self, line: bytes) -> None:
        head = line[:NEAR]
        if b"content_block_delta" in head:
            self._usage.begun = True
        elif any(mark in head for mark in MARKS):
            with suppress(ValueError, AttributeError):
                event = json.loads(line[len(b"data:") :])
                self._usage.take(event.get("message") or event)
        elif b"message_stop" in head:
            self._usage.over = True


class WholeReader:
    """Of a message as one JSON document."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        self._usage.begun = True
        self._size += len(data)
        if self._size <= LONGEST:
            self._pieces.append(data)

    def close(self) -> None:
        if self._size <= LONGEST:
            with suppress(ValueError, AttributeError):
                self._usage.take(json.loads(b"".join(self._pieces)))
                self._usage.over = True
        self._pieces.clear()


class Unpacked:
    """Gives another reader what is packed with gzip or deflate. The packed bytes themselves pass untouched."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._unpack: Any = zlib.decompressobj(wbits=47)  # zlib or gzip, whichever it is

    def feed(self, data: bytes) -> None:
        if self._unpack is None:
            return
        try:
            self._reader.feed(self._unpack.decompress(data))
        except zlib.error:
            self._unpack = None

    def close(self) -> None:
        self._reader.close()


class Unread:
    """Of what cannot be read."""

    def feed(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass


def reader_for(headers: Mapping[str, str], usage: Usage) -> Reader:
    """What reads an answer with these headers."""
    kind = headers.get("content-type", "").partition(";")[0].strip()
    packed = headers.get("content-encoding", "identity").strip().lower()
    if kind not in ("text/event-stream", "application/json") or packed not in ("identity", "gzip", "deflate", ""):
        return Unread()
    reader: Reader = StreamReader(usage) if kind == "text/event-stream" else WholeReader(usage)
    return Unpacked(reader) if packed in ("gzip", "deflate") else reader


def readable(accepted: str) -> str:
    """What of an `accept-encoding` the gateway can read too; all of it where that is nothing."""
    packings = [each.strip() for each in accepted.split(",")]
    left = [each for each in packings if each.partition(";")[0].strip().lower() in ("gzip", "deflate", "identity")]
    return ", ".join(left) or accepted
