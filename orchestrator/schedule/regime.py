"""Whether agents are started at all: go, hold until a usage limit is reset, try one, or stop.

Who tries again after what, so that no two layers do it at once:

* the CLI: a 429 whose Retry-After is at most 60 s, a 5xx for three minutes, a 529 twice (CLI 2.1.329);
* the gateway, where it is on: 429 and 529, before the CLI sees them;
* the engine (`schedule/retry.py`): what the CLI has given up. Rate limits and overload have waits of their own there,
  since they are the fleet's trouble, and use up none of a task's retries;
* this module: a usage limit. The attempts that it ended go on in their sessions once it is reset.
"""

import math
from collections.abc import Iterator

from orchestrator.events import AgentMessage, ApiSignal, AttemptFinished, AttemptStarted, Event, RegimeChanged
from orchestrator.plan.model import Limits
from orchestrator.schedule.ruling import GO, Refuse, Ruling, Wait
from orchestrator.task import Outcome

MARGIN = 2.0
"""Seconds that a hold outlasts the reset: two clocks never agree."""
SAME = 1.0
"""Seconds between two resets that are one and the same."""
PROBE, LONGEST_PROBE = 60.0, 900.0
"""Seconds until one agent tries again, where nobody says when the limit is reset; doubled each time."""
LOOK = 30.0
"""Seconds between two looks at the clock on the wall: the event loop's stands still while a laptop sleeps."""
REACHED = "the usage limit is reached"
NOT_AWAITED = f"{REACHED}, and the run does not wait so long for its reset (wait_for_reset): go on with it later"
WHAT_TO_DO = {
    "auth": "the API refuses the credentials: set ANTHROPIC_API_KEY, or log in with `claude`, then go on with the run",
    "billing": "the account has no credit left, or is at its spend limit: see to its billing, then go on with the run",
}


class Regime:
    """What signals have made of one lane: the agents that they are about."""

    def __init__(self, limits: Limits) -> None:
        wait = limits.wait_for_reset
        self._patience = (math.inf if wait else 0.0) if isinstance(wait, bool) else wait
        """How long a hold may last, in seconds."""
        self._regime = "go"
        self._why = ""
        self._canary: str | None = None
        """The task that tries whether the limit is gone."""
        self._began = self._until = self._until_clock = 0.0
        """When the hold began, and ends: on the event loop's clock, and in Unix time."""
        self._look_at = self._paused_until = math.inf
        """On the event loop's clock; infinity: there is nothing to look for, no pause."""
        self._probes = 0
        self._told_reset = False
        """Whether the API said when the limit is reset."""
        self._ended: set[str] = set()
        """Tasks whose attempts the usage limit has ended."""

    def heed(self, event: Event, now: float, clock: float) -> Iterator[RegimeChanged]:
        """What the event changes. `now`: on the event loop's clock (s); `clock`: Unix time."""
        match event:
            case ApiSignal():
                yield from self._heed_signal(event, now, clock)
            case AgentMessage(task=task, turns=turns):
                if turns and task == self._canary:
                    yield self._go()
            case AttemptFinished(task=task, outcome=outcome):
                if task == self._canary:
                    self._canary = None
                    if outcome == Outcome.OK:
                        yield self._go()
            case AttemptStarted(task=task, own_account=True):
                if task == self._canary:
                    self._canary = None  # what it meets says nothing about the others

    def tick(self, now: float, clock: float) -> Iterator[RegimeChanged]:
        """What the time changes."""
        if now >= self._paused_until:
            self._paused_until = math.inf
        if self._regime == "hold":
            self._look_at = now + LOOK
            if now >= self._until or clock >= self._until_clock:
                self._regime, self._look_at = "canary", math.inf
                yield RegimeChanged(regime="canary", reason="one agent tries whether the limit is gone")

    @property
    def due(self) -> float:
        """When the time will change something, on the event loop's clock (s)."""
        ends = min(self._until, self._look_at) if self._regime == "hold" else math.inf
        return min(ends, self._paused_until)

    @property
    def is_stopped(self) -> bool:
        """Whether nothing is started any more in this run."""
        return self._regime == "stop"

    def rule(self, task: str = "") -> Ruling:
        """Whether a task may start, as far as the account goes."""
        if self._regime == "stop":
            return Refuse(Outcome.STOPPED, self._why)
        if self._regime == "hold":
            return Wait(REACHED, others_may=True)
        if self._regime == "canary" and self._canary not in (None, task):
            return Wait("another agent tries whether the usage limit is gone", others_may=True)
        return GO if self._paused_until == math.inf else Wait("the API wants to be asked later", others_may=True)

    def reserve(self, task: str) -> None:
        """The task is starting: where one is to try whether the limit is gone, it is this one."""
        if self._regime == "canary" and self._canary is None:
            self._canary = task

    def release(self, task: str) -> None:
        """The task has ended, or waits for another attempt. If it was the one that tries, another one is to."""
        if task == self._canary:
            self._canary = None

    def has_ended(self, task: str) -> bool:
        """Whether the usage limit has ended the task's attempt, and nobody has asked what follows yet."""
        return task in self._ended

    def waits_after(self, task: str, outcome: str) -> bool:
        """Whether an attempt that ended so is followed by another once the limit is reset."""
        ended = task in self._ended
        self._ended.discard(task)
        return ended and outcome == Outcome.QUOTA and self._regime != "stop"

    def _heed_signal(self, event: ApiSignal, now: float, clock: float) -> Iterator[RegimeChanged]:
        if self._regime == "stop":
            return
        if event.signal in WHAT_TO_DO:
            yield self._stop(WHAT_TO_DO[event.signal])
        elif event.signal == "quota":
            self._ended.add(event.task)
            yield from self._hold(event, now, clock)
        elif event.signal == "rate_limit" and event.retry_after:
            later = now + event.retry_after
            self._paused_until = later if self._paused_until == math.inf else max(self._paused_until, later)

    def _hold(self, event: ApiSignal, now: float, clock: float) -> Iterator[RegimeChanged]:
        """Begins a hold, or corrects the one there is by what is said of its reset."""
        told = event.resets_at or (clock + event.retry_after if event.retry_after else 0.0)
        reset = told + MARGIN if told > clock else None
        if self._regime == "hold" and (reset is None or (self._told_reset and reset <= self._until_clock + SAME)):
            return
        if self._regime == "go":
            self._began, self._probes = now, 0
        self._regime, self._canary, self._told_reset = "hold", None, reset is not None
        wait = self._next_probe() if reset is None else reset - clock
        self._until, self._until_clock, self._look_at = now + wait, clock + wait, now + LOOK
        if self._until - self._began > self._patience:
            yield self._stop(NOT_AWAITED, self._until_clock)
        else:
            yield RegimeChanged(regime="hold", reason=REACHED, until=self._until_clock)

    def _next_probe(self) -> float:
        self._probes += 1
        return float(min(LONGEST_PROBE, PROBE * 2 ** (self._probes - 1)))

    def _go(self) -> RegimeChanged:
        self._regime, self._canary = "go", None
        return RegimeChanged(regime="go", reason="the usage limit is gone")

    def _stop(self, why: str, until: float | None = None) -> RegimeChanged:
        self._regime, self._why, self._canary = "stop", why, None
        return RegimeChanged(regime="stop", reason=why, until=until)
