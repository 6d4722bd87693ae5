"""How fast requests may go: buckets that fill all the time, and pauses. Pure: the time is passed in.

What counts is what the API counts (https://docs.claude.com/en/api/rate-limits): requests, input tokens that are not
read from the prompt cache, output tokens. Its limits are token buckets that fill all the time, and 60 requests a minute
may be enforced as 1 a second; so these buckets fill evenly as well, and hold little. Limits that the user names are
kept to as they are; of those that the API's answers tell (`anthropic-ratelimit-*`, for each model its own) a share.

A 429 pauses everybody. After a pause one request goes first, then two, four and so on: where no limit is known, all
that waited would else come at once, and be refused once more. So does the first of all, where the user names no limit:
its answer tells them.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.plan.model import Limits

MINUTE = 60.0
REQUESTS, INPUT, OUTPUT, TOTAL = "requests", "input-tokens", "output-tokens", "tokens"
"""Kinds of limits, in the words of the API's headers; the last is of input and output together."""
BURSTS = {REQUESTS: 1.0, INPUT: 5.0, OUTPUT: 5.0, TOTAL: 5.0}
"""Seconds of filling that a bucket holds."""
FIRST_PAUSE, LONGEST_PAUSE = 1.5, 30.0
"""Seconds without a Retry-After; each pause that did not help is followed by one twice as long."""
WIDE_ENOUGH = 32
"""Requests under way from which on a pause is forgotten."""
EVERYTHING = ("", "")
"""Stands for what holds back every request, as a pause."""

Key = tuple[str, str]
"""Model and kind; without a model: of all models."""


@dataclass(slots=True)
class Bucket:
    """Something there is so much of a second. It may be overdrawn: what is owed is waited for."""

    rate: float
    """Per second."""
    capacity: float
    at: float
    """When it held `level`, in seconds."""
    level: float
    taken: float = 0.0
    """All that was ever taken."""

    def due(self, amount: float, now: float) -> float:
        """When so much may be taken; of more than it can hold, when it is full."""
        self._fill(now)
        lacking = min(amount, self.capacity) - self.level
        return now if lacking <= self.capacity * 1e-9 else max(now, self.at) + lacking / self.rate

    def take(self, amount: float, now: float) -> None:
        """Takes so much; gives back less than nothing."""
        self._fill(now)
        self.level = min(self.level - amount, self.capacity)
        self.taken += amount

    def change(self, rate: float, burst: float, now: float) -> None:
        """Goes on at another rate, and holds so many seconds of it."""
        self._fill(now)
        self.rate, self.capacity = rate, capacity_for(rate, burst)
        self.level = min(self.level, self.capacity)

    def drain(self, until: float) -> None:
        """Holds nothing before `until`, and begins to fill then."""
        self._fill(until)
        self.level = min(self.level, 0.0)

    def _fill(self, now: float) -> None:
        if now > self.at:
            self.level = min(self.level + (now - self.at) * self.rate, self.capacity)
            self.at = now


def capacity_for(rate: float, burst: float) -> float:
    """What a bucket holds: so many seconds' filling, and at least one."""
    return max(rate * burst, 1.0)


@dataclass(frozen=True, slots=True)
class Need:
    """What a request is expected to take."""

    model: str
    input_tokens: float
    output_tokens: float

    def amount(self, kind: str) -> float:
        """How much of one kind."""
        match kind:
            case "requests":
                return 1.0
            case "input-tokens":
                return self.input_tokens
            case "output-tokens":
                return self.output_tokens
        return self.input_tokens + self.output_tokens


@dataclass(slots=True, eq=False)
class Sent:
    """A request that has gone."""

    need: Need
    at: float
    marks: dict[Key, float] = field(default_factory=dict)
    """What had been taken from each bucket by then."""
    open: bool = True
    """Whether its answer has not begun yet."""
    settled_input: float | None = None
    """What it has really taken, as far as that is known."""
    settled_output: float | None = None


class Pacing:
    """Of all requests with one account. Times are seconds on any clock that grows."""

    def __init__(self, limits: Limits, now: float = 0.0) -> None:
        named = {
            REQUESTS: limits.requests_per_minute,
            INPUT: limits.input_tokens_per_minute,
            OUTPUT: limits.output_tokens_per_minute,
        }
        self._buckets: dict[Key, Bucket] = {
            ("", kind): full(per_minute / MINUTE, kind, now) for kind, per_minute in named.items() if per_minute
        }
        self._headroom = limits.headroom
        self.paused_until = -math.inf
        self._paused_at = -math.inf
        self._episodes = 0
        """Pauses since a request last went well."""
        self._width = math.inf if self._buckets else 1.0
        """How many requests without an answer there may be, for now: the first one tells what is allowed."""
        self._answered = False
        self._open = 0

    def due(self, need: Need, now: float) -> tuple[float, set[Key]]:
        """When a request may go, as far as can be told (infinity: when another is answered), and what it waits for."""
        if now < self.paused_until:
            return self.paused_until, {EVERYTHING}
        if self._open >= self._width:
            return math.inf, {EVERYTHING}
        dues = {key: bucket.due(need.amount(key[1]), now) for key, bucket in self._of(need.model)}
        return max(dues.values(), default=now), {key for key, due in dues.items() if due > now}

    def keys(self, need: Need) -> Iterator[Key]:
        """All that a request takes from."""
        return (key for key, _ in self._of(need.model))

    def take(self, need: Need, now: float) -> Sent:
        """A request goes now."""
        sent = Sent(need, now)
        for key, bucket in self._of(need.model):
            bucket.take(need.amount(key[1]), now)
            sent.marks[key] = bucket.taken
        self._open += 1
        return sent

    def undo(self, sent: Sent) -> None:
        """The request did not go after all."""
        self.close(sent)
        for key, bucket in self._of(sent.need.model):
            if key in sent.marks:
                bucket.take(-sent.need.amount(key[1]), bucket.at)

    def close(self, sent: Sent) -> None:
        """The request's answer has begun, or none will come."""
        if sent.open:
            sent.open = False
            self._open -= 1

    def went_well(self, sent: Sent) -> None:
        """The API has not refused the request, whatever else it made of it."""
        self.close(sent)
        if self._buckets and not self._answered:
            self._width = math.inf
        self._answered = True
        if sent.at >= self.paused_until:
            self._episodes = 0
            self._width = self._width + 1 if self._width < WIDE_ENOUGH else math.inf

    def refused(self, sent: Sent, retry_after: float | None, now: float) -> float | None:
        """The request was answered by a 429. Until when all pause; None when that was known already."""
        retry_after = retry_after or None  # "at once" would be refused again at once
        self.close(sent)
        self.settle(sent, now, input_tokens=0, output_tokens=0)
        known = sent.at <= self._paused_at  # it had gone before the pause that another's refusal brought
        if known and retry_after is None:
            return None
        if not known:
            self._paused_at = now
            self._episodes += 1
        grown = min(FIRST_PAUSE * 2 ** (self._episodes - 1), LONGEST_PAUSE)
        return self._pause(now + (grown if retry_after is None else retry_after), now)

    def settle(
        self, sent: Sent, now: float, *, input_tokens: float | None = None, output_tokens: float | None = None
    ) -> None:
        """Puts what a request has taken in place of what it was expected to, as far as it is known."""
        need = sent.need
        before = Need(
            need.model,
            need.input_tokens if sent.settled_input is None else sent.settled_input,
            need.output_tokens if sent.settled_output is None else sent.settled_output,
        )
        sent.settled_input = input_tokens if input_tokens is not None else sent.settled_input
        sent.settled_output = output_tokens if output_tokens is not None else sent.settled_output
        after = Need(
            need.model,
            before.input_tokens if sent.settled_input is None else sent.settled_input,
            before.output_tokens if sent.settled_output is None else sent.settled_output,
        )
        for key, bucket in self._of(need.model):
            if key in sent.marks:
                bucket.take(after.amount(key[1]) - before.amount(key[1]), now)

    def learn(self, sent: Sent, headers: Mapping[str, str], now: float) -> None:
        """Keeps to the limits that an answer tells: whole where the user has named one himself, else to a share."""
        for kind, burst in BURSTS.items():
            limit = number(headers.get(f"anthropic-ratelimit-{kind}-limit"))
            if not limit:
                continue
            share = 1.0 if ("", kind) in self._buckets else self._headroom
            rate, key = limit * share / MINUTE, (sent.need.model, kind)
            bucket = self._buckets.get(key)
            if bucket is None:
                bucket = self._buckets[key] = full(rate, kind, now)
            bucket.change(rate, burst, now)
            remaining = number(headers.get(f"anthropic-ratelimit-{kind}-remaining"))
            if remaining is not None:
                # It was told for the moment when the request came: since then some has come in, and some gone out.
                most = remaining + (now - sent.at) * rate - (bucket.taken - sent.marks.get(key, 0.0))
                bucket.level = min(bucket.level, most)

    def _pause(self, until: float, now: float) -> float | None:
        if until <= max(now, self.paused_until):
            return None
        self.paused_until = until
        self._width = 1
        for bucket in self._buckets.values():
            bucket.drain(until)
        return until

    def _of(self, model: str) -> Iterator[tuple[Key, Bucket]]:
        return ((key, bucket) for key, bucket in self._buckets.items() if key[0] in ("", model))


def full(rate: float, kind: str, now: float) -> Bucket:
    """A bucket of a kind that is full."""
    capacity = capacity_for(rate, BURSTS[kind])
    return Bucket(rate, capacity, now, capacity)


def number(text: str | None) -> float | None:
    """The number that a header spells; None for none."""
    try:
        found = float(text or "")
    except ValueError:
        return None
    return found if math.isfinite(found) and found >= 0 else None
