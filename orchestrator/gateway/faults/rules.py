"""The rules of faults: `429:at=3,retry_after=2` says what fails, and when."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.plan.fields import read_duration
from orchestrator.plan.words import did_you_mean

KINDS: Mapping[str, str] = {
    "429": "too many requests",
    "529": "the API is overloaded",
    "500": "an error of the API; and so 502, 503, 504 and any other status from 400 to 599",
    "401": "the credentials are refused",
    "402": "the account has no credit",
    "quota": "the account's usage limit is reached",
    "cut": "the reply's stream breaks off in its middle",
    "slow": "the reply begins late",
    "malformed": "the reply is no JSON",
}
"""What can be asked for."""
STATUS = re.compile(r"[45]\d\d")
SYNTAX = "expected KIND or KIND:key=value,key=value, as 429:at=3,retry_after=2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which requests fail, and how."""

    text: str
    """As it was written."""
    kind: str
    """A status of HTTP, or a word."""
    at: int = 1
    """From this request of the run on, counted from 1."""
    every: int | None = None
    """Each so many-th of those."""
    agent: int | None = None
    """From the first request of the so many-th agent on, whoever asks."""
    task: str | None = None
    """Only requests of such tasks: a name, or a pattern as `check*`."""
    times: int | None = None
    """How many fail at most; None: as many as come."""
    rate: float | None = None
    """The share that fails."""
    seed: int = 0
    """Which of them: the same each time that the seed is."""
    after: float = 0.0
    """Seconds from the run's first request to the rule's beginning."""
    lasting: float | None = None
    """Seconds from the rule's beginning, or else the first fault, to its end."""
    retry_after: float | None = None
    """Seconds, for the header of that name."""
    delay: float = 5.0
    """Seconds until a reply begins that is `slow`."""

    @property
    def status(self) -> int | None:
        """The status of HTTP, where the fault is one."""
        return 429 if self.kind == "quota" else int(self.kind) if self.kind.isdigit() else None


def parse_rule(text: str) -> Rule:
    """The rule. Raises UsageError that says what was found and what is expected."""
    kind, colon, rest = text.strip().partition(":")
    if kind not in KINDS and not STATUS.fullmatch(kind):
        raise wrong(text, f"found the kind {kind!r}{did_you_mean(kind, list(KINDS))}, expected {listed_kinds()}")
    if colon and not rest.strip():
        raise wrong(text, f"found nothing behind the colon, {SYNTAX}")
    given: dict[str, Any] = {}
    for pair in rest.split(",") if rest else ():
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            raise wrong(text, f"found {pair.strip()!r}, {SYNTAX}")
        if key not in KEYS:
            raise wrong(
                text, f"found the key {key!r}{did_you_mean(key, list(KEYS))}, expected one of {', '.join(KEYS)}"
            )
        if FIELDS.get(key, key) in given:
            raise wrong(text, f"found {key} twice, expected it once")
        given[FIELDS.get(key, key)] = read(text, key, value)
    check_use(text, kind, given)
    return with_times(Rule(text=text.strip(), kind=kind, **given), given)


def read(text: str, key: str, value: str) -> Any:
    """The value of a key. Raises UsageError."""
    reader, expected = KEYS[key]
    try:
        return reader(value)
    except ValueError:
        raise wrong(text, f"{key}: found {value!r}, expected {expected}") from None


def check_use(text: str, kind: str, given: Mapping[str, Any]) -> None:
    """Raises UsageError for a key that means nothing here."""
    if "delay" in given and kind != "slow":
        raise wrong(text, "delay: it is for slow alone, as slow:delay=5s")
    if "retry_after" in given and not (kind.isdigit() or kind == "quota"):
        raise wrong(text, "retry_after: it is for statuses and quota, as 429:retry_after=2")
    if "seed" in given and "rate" not in given:
        raise wrong(text, "seed: it is for rate, as 500:rate=0.1,seed=7")


def with_times(rule: Rule, given: Mapping[str, Any]) -> Rule:
    """One fault, where nothing says how many."""
    many = any(name in given for name in ("times", "every", "rate", "lasting"))
    return rule if many else replace(rule, times=1)


def whole(value: str) -> int:
    """A whole number of 1 or more. Raises ValueError."""
    if (number := int(value)) < 1:
        raise ValueError(value)
    return number


def seconds(value: str) -> float:
    """Seconds from `30` or `5m`. Raises ValueError."""
    number = float(value) if re.fullmatch(r"\d+(\.\d+)?", value) else read_duration(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError(value)
    return number


def share(value: str) -> float:
    """A share, above 0 and up to 1. Raises ValueError."""
    number = float(value)
    if not 0 < number <= 1:
        raise ValueError(value)
    return number


def name(value: str) -> str:
    """A name. Raises ValueError for none."""
    if not value:
        raise ValueError(value)
    return value


WHOLE = (whole, "a whole number of 1 or more")
TIME = (seconds, "a time, as 2, 30s or 5m")
KEYS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "at": WHOLE,
    "every": WHOLE,
    "agent": WHOLE,
    "task": (name, "a task's name, or a pattern as check*"),
    "times": WHOLE,
    "rate": (share, "a share above 0 and up to 1, as 0.1"),
    "seed": (int, "a whole number"),
    "after": TIME,
    "for": TIME,
    "retry_after": TIME,
    "delay": TIME,
}
"""By key how its value is read, and what is expected."""
FIELDS = {"for": "lasting"}


def listed_kinds() -> str:
    return f"one of {', '.join(KINDS)}, or another status from 400 to 599"


def wrong(text: str, what: str) -> UsageError:
    example = "" if " as " in what or "twice" in what else ", as --fault 429:at=3,retry_after=2"
    return UsageError(f"--fault {text}: {what}{example}")
