"""Prefix caching as the Messages API does it, modelled: what of a request is read from the cache, and what is written.

A prompt is a row of blocks: the tools, the system prompt, the messages. What `cache_control` marks is kept under the
hash of everything up to it, and can be read once the first reply that wrote it has begun. A request finds what an
earlier one has kept at its own marks, or up to `LOOKBACK` blocks before one. Tokens are characters / 4.

Not modelled: that a change of `thinking` or `tool_choice` loses what is kept of messages; organisations.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

BILLING = "x-anthropic-billing-header"
"""How the block of the CLI's system prompt begins that differs from prompt to prompt: the API leaves it out."""
LOOKBACK = 20
"""Blocks at and before a mark at which kept prefixes are looked for."""
MINIMUM = 1024
"""Tokens of the shortest prefix that is kept."""
LIFETIMES = {"5m": 300.0, "1h": 3600.0}
"""Seconds that a prefix is kept after it was last written or read."""
CHARACTERS = 4
"""Characters per token."""


@dataclass(frozen=True, slots=True)
class Charge:
    """The input tokens of one request, or of several."""

    plain: int = 0
    """Neither read from nor written to the cache."""
    written: int = 0
    """To be kept for 5 minutes."""
    written_1h: int = 0
    """To be kept for an hour."""
    read: int = 0

    def __add__(self, other: "Charge") -> "Charge":
        return Charge(
            self.plain + other.plain,
            self.written + other.written,
            self.written_1h + other.written_1h,
            self.read + other.read,
        )

    @property
    def units(self) -> float:
        """What it costs, where a token without a cache costs 1: the API's price list."""
        return self.plain + 1.25 * self.written + 2.0 * self.written_1h + 0.1 * self.read

    @property
    def tokens(self) -> int:
        return self.plain + self.written + self.written_1h + self.read

    @property
    def usage(self) -> dict[str, Any]:
        """As a reply tells it."""
        return {
            "input_tokens": self.plain,
            "cache_creation_input_tokens": self.written + self.written_1h,
            "cache_read_input_tokens": self.read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.written,
                "ephemeral_1h_input_tokens": self.written_1h,
            },
        }


@dataclass(frozen=True, slots=True)
class Place:
    """The prompt up to the end of a block."""

    key: bytes
    tokens: int
    lifetime: float | None
    """Seconds that it is to be kept; None where there is no mark."""


@dataclass(slots=True)
class Kept:
    """A prefix that can be read."""

    until: float
    lifetime: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that has come in."""

    charge: Charge
    begin: Callable[[], None]
    """To be called when its reply begins: what it wrote can then be read."""


class PromptCache:
    """What is kept of all the requests so far. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, minimum: int = MINIMUM) -> None:
        self.clock, self.minimum = clock, minimum
        self.kept: dict[bytes, Kept] = {}

    def ask(self, body: Mapping[str, Any]) -> Asked:
        """What the request is charged, by what is kept now; what it reads is kept longer."""
        places = list(places_of(body))
        marks = [index for index, place in enumerate(places) if place.lifetime and place.tokens >= self.minimum]
        hit = next((index for mark in reversed(marks) for index in window(mark) if self.readable(places[index])), -1)
        self.renew(places[: hit + 1])
        fresh = [places[mark] for mark in marks if mark > hit]
        return Asked(charge_of(places, hit, fresh), lambda: self.keep(fresh))

    def readable(self, place: Place) -> bool:
        found = self.kept.get(place.key)
        return found is not None and found.until > self.clock()

    def renew(self, read: list[Place]) -> None:
        """A read counts for every prefix of what is read."""
        for place in filter(self.readable, read):
            found = self.kept[place.key]
            found.until = self.clock() + found.lifetime

    def keep(self, places: list[Place]) -> None:
        for place in places:
            assert place.lifetime
            self.kept[place.key] = Kept(self.clock() + place.lifetime, place.lifetime)


def window(mark: int) -> range:
    """The places that a mark is looked up at, the last one first."""
    return range(mark, max(mark - LOOKBACK, -1), -1)


def charge_of(places: list[Place], hit: int, fresh: list[Place]) -> Charge:
    """`hit`: the last place that is read, or -1; `fresh`: the marked ones behind it."""
    total = places[-1].tokens if places else 0
    read = places[hit].tokens if hit >= 0 else 0
    hour = max([read, *(place.tokens for place in fresh if place.lifetime == LIFETIMES["1h"])])
    end = max([hour, *(place.tokens for place in fresh)])
    return Charge(plain=total - end, written=end - hour, written_1h=hour - read, read=read)


def places_of(body: Mapping[str, Any]) -> Iterator[Place]:
    """The prompt's blocks in their order, each with all that is before it."""
    digest, characters = hashlib.sha256(str(body.get("model")).encode()), 0
    for role, block in blocks_of(body):
        text = json.dumps({name: block[name] for name in block if name != "cache_control"}, ensure_ascii=False)
        digest.update(f"{role} {len(text)} {text}".encode())
        characters += len(text)
        mark = block.get("cache_control")
        lifetime = LIFETIMES[mark.get("ttl", "5m")] if mark else None
        yield Place(digest.digest(), characters // CHARACTERS, lifetime)


def blocks_of(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each block, and whose it is."""
    for tool in body.get("tools", ()):
        yield "tool", tool
    for block in texts(body.get("system", ())):
        if not block.get("text", "").startswith(BILLING):
            yield "prompt", block
    for message in body.get("messages", ()):
        for block in texts(message["content"]):
            yield message["role"], block


def texts(content: Any) -> Any:
    """Blocks, where content may be a string instead."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
