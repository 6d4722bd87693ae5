"""Which agents a limit holds: those of one account, and of one model where the limit is that model's."""

import math
from collections.abc import Iterator
from dataclasses import replace

from orchestrator.events import ApiSignal, AttemptStarted, Event, RegimeChanged
from orchestrator.plan.model import Limits
from orchestrator.schedule.regime import Regime
from orchestrator.schedule.ruling import GO, Refuse, Ruling, Wait
from orchestrator.state import RunState

FAMILIES = ("haiku", "opus", "sonnet")
"""Models that have limits of their own, as `seven_day_opus`; the other limits are the account's."""

Lane = tuple[str, str]
"""An account, as `TaskState.account` has it, and a family of models; empty: all."""


class Regimes:
    """The regimes of a run, by lane. Most runs have one."""

    def __init__(self, limits: Limits, state: RunState) -> None:
        self._limits, self._state = limits, state
        self._regimes: dict[Lane, Regime] = {}

    def heed(self, event: Event, now: float, clock: float) -> Iterator[RegimeChanged]:
        """What the event changes. `now`: on the event loop's clock (s); `clock`: Unix time."""
        account, _ = self._whose(getattr(event, "task", ""))
        if isinstance(event, ApiSignal):
            if event.own_account and not account:
                return  # nobody knew beforehand that its agent has an account of its own: it tells nothing of others
            lane = self._lane(event, account)
            regime = self._regimes.setdefault(lane, Regime(self._limits))
            yield from told(lane, regime.heed(event, now, clock))
            return
        if isinstance(event, AttemptStarted) and account:
            return  # that its account is another than the run's own is known, and says nothing here
        for lane, regime in self._regimes.items():
            if lane[0] == account:
                yield from told(lane, regime.heed(event, now, clock))

    def tick(self, now: float, clock: float) -> Iterator[RegimeChanged]:
        """What the time changes."""
        for lane, regime in self._regimes.items():
            yield from told(lane, regime.tick(now, clock))

    @property
    def due(self) -> float:
        """When the time will change something, on the event loop's clock (s)."""
        return min((regime.due for regime in self._regimes.values()), default=math.inf)

    @property
    def is_stopped(self) -> bool:
        """Whether there are tasks that are not started any more in this run."""
        return any(regime.is_stopped for regime in self._regimes.values())

    def rule(self, task: str) -> Ruling:
        """Whether a task may start, as far as its account and its model go."""
        rulings = [regime.rule(task) for regime in self._over(task)]
        refused = next((ruling for ruling in rulings if isinstance(ruling, Refuse)), None)
        return refused or next((ruling for ruling in rulings if isinstance(ruling, Wait)), GO)

    def reserve(self, task: str) -> None:
        """The task is starting: where one is to try whether a limit is gone, it is this one."""
        for regime in self._over(task):
            regime.reserve(task)

    def release(self, task: str) -> None:
        """The task has ended, or waits for another attempt."""
        for regime in self._regimes.values():
            regime.release(task)

    def waits_after(self, task: str, outcome: str) -> bool:
        """Whether an attempt that ended so is followed by another once the limit is reset."""
        waits = [regime.waits_after(task, outcome) for regime in self._regimes.values()]  # each is to forget the task
        return any(waits)

    def _lane(self, signal: ApiSignal, account: str) -> Lane:
        """Whom the signal is about; what ends an attempt is often told twice, and only once by its name."""
        if signal.limit is None:
            before = (lane for lane, regime in self._regimes.items() if regime.has_ended(signal.task))
            return next(before, (account, ""))
        return account, family(signal.limit) if signal.signal == "quota" else ""

    def _over(self, task: str) -> Iterator[Regime]:
        """The regimes that the task is under. One whose model nobody has named may have any."""
        account, model = self._whose(task)
        for (whose, bound), regime in self._regimes.items():
            if whose == account and (not bound or model in ("", bound)):
                yield regime

    def _whose(self, task: str) -> Lane:
        known = self._state.tasks.get(task)
        return (known.account, family(known.model)) if known else ("", "")


def family(name: str | None) -> str:
    """The family that a model, or the name of a limit, belongs to; empty where it tells none."""
    return next((each for each in FAMILIES if each in (name or "").lower()), "")


def told(lane: Lane, changes: Iterator[RegimeChanged]) -> Iterator[RegimeChanged]:
    """The changes, with whom they are about."""
    account, model = lane
    words = [f"account {account}"] * bool(account) + [f"model {model}"] * bool(model)
    return (replace(change, lane=", ".join(words)) for change in changes)
