"""The limits of a round's run: how wide it is, what it may spend, how fast it may ask, and what memory it has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

PACES = (60, 120, 240)
"""Requests per minute."""
MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Calm:
    """What undisturbed tasks take."""

    requests: Mapping[str, int] = field(default_factory=dict)
    """Of a task, by its kind."""
    usd: float = 0.0
    """Of a request, on average."""
    tokens: float = 0.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of one run."""

    name: str
    limits: Mapping[str, Any]
    """As its plan has them."""
    words: Sequence[str] = ()
    """What its first command says besides."""

    @property
    def budget(self) -> str | None:
        """Which budget it has, if it has one."""
        return next((name for name in ("usd", "tokens", "turns") if name in self.limits), None)

    @property
    def pace(self) -> float | None:
        """Requests per minute, if they are limited."""
        return self.limits.get("requests_per_minute")

    @property
    def has_gateway(self) -> bool:
        return self.name in GATEWAY


def few(random: Random, calm: Calm, requests: int) -> dict[str, Any]:
    """A few at once, as the plan has it."""
    return {}


def auto(random: Random, calm: Calm, requests: int) -> dict[str, Any]:
    """As many at once as the API takes."""
    return {"concurrent": "auto"}


def paced(random: Random, calm: Calm, requests: int) -> dict[str, Any]:
    """Through the gateway, at a pace at which requests wait."""
    limits: dict[str, Any] = {"requests_per_minute": random.choice(PACES)}
    return limits | (auto(random, calm, requests) if random.random() < 0.5 else {})


def usd(random: Random, calm: Calm, requests: int) -> dict[str, Any]:
    """US dollars for a part of it."""
    return {"usd": round(calm.usd * part(random, requests), 6)}


def tokens(random: Random, calm: Calm, requests: int) -> dict[str, Any]:
    """Tokens for a part of it."""
    return {"tokens": int(calm.tokens * part(random, requests))}


def turns(random: Random, calm: Calm, requests: int) -> dict[str, Any]:
    """Model replies for a part of it."""
    return {"turns": int(part(random, requests))}


def part(random: Random, requests: int) -> float:
    return max(2.0, requests * random.uniform(0.25, 0.9))


def memory(random: Random, calm: Calm, requests: int) -> dict[str, Any]:
    """So little memory that agents wait for it, or are put off."""
    return {"memory": random.choice(["500MB", "700MB", "1500MB"])}


WAYS: Mapping[str, Callable[[Random, Calm, int], dict[str, Any]]] = {
    "few": few,
    "auto": auto,
    "paced": paced,
    "recorded": paced,
    "usd": usd,
    "tokens": tokens,
    "turns": turns,
    "memory": memory,
}
"""By name."""
GATEWAY = ("paced", "recorded")
"""Those with which requests pass the gateway."""


def choose_bounds(random: Random, name: str, calm: Calm, requests: int, recording: str) -> Bounds:
    """Those of that name, for a plan that takes so many requests. `recording`: the file for one that is recorded."""
    words = ("--record", recording) if name == "recorded" else ()
    return Bounds(name, WAYS[name](random, calm, requests), words)
