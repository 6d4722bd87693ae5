"""Whether another agent may be paid: money, tokens and turns are set aside at its start and settled at its end.

Of money a task is also *granted* so much: no two agents may spend the same dollar, so that a run keeps to its budget
whatever its agents come to cost. A task whose grant was too small goes on, in its session, with another one, as long as
there is money.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from orchestrator.events import AgentMessage, AttemptFinished, BudgetReached, Event, TaskWaits
from orchestrator.plan.model import Agent, Limits
from orchestrator.schedule.ledger import HIGH, ON_TOP, Ledger
from orchestrator.schedule.prices import Prices
from orchestrator.schedule.ruling import GO, Refuse, Ruling, Wait
from orchestrator.state import FINISHED, RunState, TaskState
from orchestrator.task import Outcome, Spent, to_models

LEAST_USD = 0.0001
"""The least that an agent may be granted: enough for the CLI to say that it is too little."""
SENSIBLE = 0.5
"""The share of what such a task usually needs that must be left for it to be started at all."""
MIDDLE = 0.5
ON_TOP_OF_HISTORY = 1.5
"""What earlier runs tell is a mean."""


@dataclass(slots=True)
class Clock:
    """The time budget, from the run's first event on."""

    limit: float
    soft: float
    """Seconds after which nothing new is started."""
    begun: float | None = None
    now: float = -math.inf

    @property
    def spent(self) -> float:
        return 0.0 if self.begun is None else max(self.now - self.begun, 0.0)

    def heed(self, now: float) -> None:
        self.begun = now if self.begun is None else self.begun
        self.now = max(self.now, now)

    @property
    def due(self) -> float:
        """When its next line is reached."""
        if self.begun is None:
            return math.inf
        lines = (self.begun + self.soft, self.begun + self.limit)
        return next((line for line in lines if line > self.now), math.inf)


FIRST_NEED = {"usd": 0.1, "tokens": 50_000, "turns": 5}
"""What is set aside at least for a task of which nothing is known: a few turns with tools. Less would start many agents
at once on a small budget, of which none could come to an end."""

STEPS = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)
"""Grants of money, times a power of ten (the series R10 of ISO 3)."""


class Budget:
    """What a run may spend, what it has spent, and what is set aside for the tasks at work."""

    def __init__(self, limits: Limits, state: RunState, expect: Callable[[TaskState], float | None]) -> None:
        """`expect` gives the US dollars that a task is expected to cost; None when nothing is known."""
        self._limits, self._state, self._expect = limits, state, expect
        self._ledgers: dict[str, Ledger] = dict(self._open_ledgers())
        self._usd = self._ledgers.get("usd")
        self._clock = Clock(limits.time, limits.time * limits.soft) if limits.time else None
        self.is_limited = bool(self._ledgers or self._clock)
        """Whether there is a budget of anything."""
        self._prices = Prices()
        self._unsettled = 0.0
        """US dollars that agents at work have spent, as far as they have told, or by what their replies come to."""
        self._busy: set[str] = set()
        """Tasks that something is set aside for and that wait for nothing in the run: their end is sure to come."""
        self._caps: dict[str | None, float] = {}
        """By agent the most that one of it may spend at first, by its own options (USD); infinity: no limit."""
        self._wanted: dict[str, float] = {}
        """Tasks whose grant was too small, with what they are to have next (USD)."""
        self._lines: set[tuple[str, str]] = set()
        """Those that were reached."""

    def _open_ledgers(self) -> Iterator[tuple[str, Ledger]]:
        limits, state = self._limits, self._state
        if limits.usd is not None:
            yield "usd", Ledger("usd", limits.usd, lambda: state.cost_usd, lambda: self._unsettled)
        if limits.tokens is not None:
            yield "tokens", Ledger("tokens", limits.tokens, lambda: state.tokens)
        if limits.turns is not None:
            yield "turns", Ledger("turns", limits.turns, lambda: state.turns)

    def heed(self, event: Event, now: float) -> Iterator[BudgetReached]:
        """The lines that are reached by this event."""
        if not self.is_limited:
            return
        if self._clock:
            self._clock.heed(now)
        match event:
            case AgentMessage():
                self._hear(event)
            case AttemptFinished():
                self._settle(event)
            case TaskWaits(task=task, waits_for=what):
                self._set_busy(task, busy=what is None)
        yield from self._reached()

    def tick(self, now: float) -> Iterator[BudgetReached]:
        """The lines that are reached by now."""
        if self._clock:
            self._clock.heed(now)
            yield from self._reached()

    @property
    def due(self) -> float:
        """When the time budget comes to its next line (s, on the event loop's clock)."""
        return self._clock.due if self._clock else math.inf

    def rule(self, task: TaskState) -> Ruling:
        """Whether the task may be paid."""
        if not self.is_limited:
            return GO
        if self._clock and self._clock.spent >= self._clock.soft:
            return Refuse(Outcome.BUDGET, self._why_late(self._clock))
        rulings = (self._rule(ledger, task) for ledger in self._ledgers.values())
        return next((ruling for ruling in rulings if ruling is not GO), GO)

    def _rule(self, ledger: Ledger, task: TaskState) -> Ruling:
        is_alone = self._is_alone(task)
        line = ledger.limit * self._limits.soft
        if ledger.settled() >= line or (is_alone and ledger.spent >= line):
            return Refuse(Outcome.BUDGET, self._why_spent(ledger))
        left = self._room(ledger, task)
        if task.id not in self._wanted and not is_alone and self._others_first():
            return Wait("agents that were granted too little of the run's budget go on first")
        if ledger.spent < line and self._need(ledger, task) <= left:
            return GO
        if not is_alone:
            return Wait("what is left of the run's budget is set aside for agents at work")
        usual = self._usual(ledger, task)
        if left > 0 and left >= usual * SENSIBLE:
            return GO
        return Refuse(Outcome.BUDGET, self._why_too_little(ledger, left, usual))

    def reserve(self, task: TaskState) -> None:
        """Sets aside what the task is expected to need."""
        for ledger in self._ledgers.values():
            amount = self._need(ledger, task)
            if ledger is self._usd:
                amount = max(amount, stepped(self._share(ledger)))
            ledger.claim(task.id, max(min(amount, self._room(ledger, task)), 0.0))
        self._wanted.pop(task.id, None)
        if self._ledgers:
            self._set_busy(task.id, busy=True)

    def release(self, task: str) -> None:
        """The task has ended. One that has nothing set aside is no error."""
        self._unsettled -= self.reckoned_usd(task)
        for ledger in self._ledgers.values():
            ledger.end(task)
        if self._usd and self._usd.is_quiet:
            self._unsettled = 0.0  # what is left of sums and differences
        self._busy.discard(task)

    def clamp(self, task: str, agent: Agent) -> Agent:
        """The agent, allowed to spend no more than is granted to it."""
        if self._usd is None:
            return agent
        granted = self._usd.claim_of(task)
        own, name = math.inf if agent.usd is None else agent.usd, self._name(task)
        self._caps[name] = max(self._caps.get(name, 0.0), own)
        allowed = min(max(self._usd.left if granted is None else granted, LEAST_USD), own)
        if granted is not None:
            self._usd.claim(task, allowed)
        return agent.model_copy(update={"usd": allowed})

    def is_spent(self, more_usd: float = 0.0) -> bool:
        """Whether nothing new may start, with `more_usd` spent that no event has told yet."""
        late = self._clock is not None and self._clock.spent >= self._clock.soft
        return late or any(
            ledger.settled() + (more_usd if ledger is self._usd else 0.0) >= ledger.limit * self._limits.soft
            for ledger in self._ledgers.values()
        )

    def grants_more_after(self, outcome: Outcome) -> bool:
        """Whether an attempt that ended so goes on in another one, with more money."""
        return outcome is Outcome.BUDGET and self._usd is not None and not self.is_spent()

    def reckoned_usd(self, task: str) -> float:
        """What the task's attempt at work has cost (USD), told or by what its replies come to."""
        return self._usd.live(task) if self._usd else 0.0

    @property
    def overdrawn(self) -> str | None:
        """Why agents at work are to be interrupted; None while they are not."""
        if not self.is_limited:
            return None
        if self._clock and self._clock.spent >= self._clock.limit:
            return self._why_late(self._clock)
        ledgers = self._ledgers.values()
        return next((self._why_spent(ledger) for ledger in ledgers if ledger.spent >= ledger.limit), None)

    def _hear(self, event: AgentMessage) -> None:
        """What a message tells of what its attempt has spent."""
        for name, amount in (("tokens", event.input_tokens + event.output_tokens), ("turns", event.turns)):
            if amount and (ledger := self._ledgers.get(name)):
                ledger.spend(event.task, amount)
        if self._usd and (event.cost_usd is not None or event.input_tokens or event.output_tokens):
            self._hear_usd(self._usd, event)

    def _hear_usd(self, usd: Ledger, event: AgentMessage) -> None:
        if event.cost_usd is None:
            spend = self._prices.reckon(event.model, told_tokens(event))
        else:
            spend = event.cost_usd - usd.live(event.task)
        usd.spend(event.task, spend)
        self._unsettled += spend

    def _settle(self, event: AttemptFinished) -> None:
        """An attempt has ended: what it has cost is in the run's state now."""
        task = self._state.tasks[event.task]
        self._prices.learn(to_models(event.models))
        if self._usd:
            granted = self._usd.claim_of(task.id)
            if event.outcome == Outcome.BUDGET and event.retry_in is not None and granted:
                self._wanted[task.id] = granted
        if event.outcome == Outcome.OK and task.runs_agent:  # a function costs nothing, and tells nothing of agents
            self._learn(task)
        self.release(task.id)

    def _learn(self, task: TaskState) -> None:
        amounts = {"usd": task.cost_usd, "tokens": task.input_tokens + task.output_tokens, "turns": task.turns}
        for name, ledger in self._ledgers.items():
            ledger.needs.learn(task.agent, amounts[name])

    def _need(self, ledger: Ledger, task: TaskState) -> float:
        """What is to be there for the task to be started beside others."""
        need = self._known(ledger, task, HIGH, ON_TOP)
        if need is None:  # so that twice as many fit as there are places, and none is too little for a task
            need = max(ledger.limit / (2 * max(self._state.width, 1)), min(FIRST_NEED[ledger.name], ledger.limit))
        if ledger is not self._usd:
            return need
        return self._capped(task, max(need, self._wanted.get(task.id, 0.0)))

    def _usual(self, ledger: Ledger, task: TaskState) -> float:
        """What such a task mostly needs; 0 when nothing is known."""
        usual = self._known(ledger, task, MIDDLE, 1.0) or 0.0
        return self._capped(task, usual) if ledger is self._usd else usual

    def _known(self, ledger: Ledger, task: TaskState, part: float, on_top: float) -> float | None:
        """By what earlier runs tell of the task, or else by what this run's tasks of the same agent have needed."""
        if ledger is self._usd and (expected := self._expect(task)):
            return expected * (ON_TOP_OF_HISTORY if on_top > 1 else 1.0)
        learned = ledger.needs.quantile(task.agent, part)
        return None if learned is None else learned * on_top

    def _capped(self, task: TaskState, usd: float) -> float:
        return min(usd, self._caps.get(task.agent, math.inf))

    def _share(self, ledger: Ledger) -> float:
        """What a task may be granted beyond its need: an equal part of what is left, for each place that is free.

        Where the number of places may grow, the half at most: more agents are to come.
        """
        width = self._state.width
        is_fixed = self._limits.concurrent != "auto"
        return ledger.left / (max(width - len(self._busy), 1) if is_fixed else 2 * max(width, 1))

    def _room(self, ledger: Ledger, task: TaskState) -> float:
        """What there is for the task; with half of what is held for others, where all of these wait, maybe for it."""
        return ledger.left + (ledger.held / 2 if self._is_alone(task) else 0.0)

    def _is_alone(self, task: TaskState) -> bool:
        """Whether no other task is sure to give anything back."""
        return len(self._busy) <= (task.id in self._busy)

    def _others_first(self) -> bool:
        """Whether somebody waits to go on; who has been cancelled meanwhile does not."""
        for task in [task for task in self._wanted if self._state.tasks[task].status in FINISHED]:
            del self._wanted[task]
        return bool(self._wanted)

    def _set_busy(self, task: str, *, busy: bool) -> None:
        if busy and any(ledger.claim_of(task) is not None for ledger in self._ledgers.values()):
            self._busy.add(task)
        else:
            self._busy.discard(task)

    def _name(self, task: str) -> str | None:
        known = self._state.tasks.get(task)
        return known.agent if known else None

    def _reached(self) -> Iterator[BudgetReached]:
        """Each line once."""
        spent = [(name, ledger.spent, ledger.limit) for name, ledger in self._ledgers.items()]
        spent += [("time", self._clock.spent, self._clock.limit)] if self._clock else []
        for name, amount, limit in spent:
            line = "hard" if amount >= limit else "soft" if amount >= limit * self._limits.soft else None
            if line and not {(name, line), (name, "hard")} & self._lines:
                self._lines.add((name, line))
                soft = round(limit * self._limits.soft, 6)
                yield BudgetReached(budget=name, line=line, spent=round(amount, 6), limit=limit, soft=soft)

    def _why_late(self, clock: Clock) -> str:
        """`the run's time of 90 s is over: resume it, and it has as much again, or more with --time`."""
        whole = _amount("time", clock.limit)
        if clock.spent >= clock.limit:
            return f"the run's time of {whole} is over: {MORE_TIME}"
        so_far = f"the run's time of {whole}: {_amount('time', clock.spent)} are over"
        return f"{so_far}, and {self._nothing_new('time', clock.limit)}: {MORE_TIME}"

    def _why_spent(self, ledger: Ledger) -> str:
        """`the run's budget of 1 USD is spent (1.02 USD so far): resume it with more, as --usd 2`."""
        whole, so_far = _amount(ledger.name, ledger.limit), _amount(ledger.name, ledger.spent)
        if ledger.spent >= ledger.limit:
            return f"the run's budget of {whole} is spent ({so_far} so far): {_more(ledger)}"
        nothing_new = self._nothing_new(ledger.name, ledger.limit)
        return f"the run's budget of {whole}: {so_far} are spent, and {nothing_new}: {_more(ledger)}"

    def _nothing_new(self, name: str, limit: float) -> str:
        """What the soft line means: it is for those that have not begun."""
        return f"from {_amount(name, limit * self._limits.soft)} on (soft) nothing new is started"

    def _why_too_little(self, ledger: Ledger, left: float, usual: float) -> str:
        whole, so_far = _amount(ledger.name, ledger.limit), _amount(ledger.name, ledger.spent)
        there = f"{so_far} are spent, and the {_amount(ledger.name, max(left, 0.0))} left are too little"
        return f"the run's budget of {whole}: {there} for a task that takes about {_number(usual)}: {_more(ledger)}"


MORE_TIME = "resume it, and it has as much again, or more with --time"


def stepped(usd: float) -> float:
    """The next lower of STEPS: agents with the same grant may share a process, whose limit is set when it starts."""
    if usd <= 0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(usd))
    return max((step * power for step in STEPS if step * power <= usd), default=usd)


def told_tokens(event: AgentMessage) -> Spent:
    """The tokens of a reply."""
    cached = event.cache_read_tokens + event.cache_write_tokens
    return Spent(
        input_tokens=event.input_tokens - cached,
        output_tokens=event.output_tokens,
        cache_read_tokens=event.cache_read_tokens,
        cache_write_tokens=event.cache_write_tokens,
    )


def _more(ledger: Ledger) -> str:
    return f"resume it with more, as --{ledger.name} {_number(2 * max(ledger.limit, ledger.spent), 2)}"


def _amount(name: str, amount: float) -> str:
    """`1 USD`, `2000000 tokens`, `40 turns`, `90 s`."""
    units = {"usd": "USD", "time": "s"}
    return f"{_number(amount)} {units.get(name, name)}"


def _number(amount: float, digits: int = 4) -> str:
    return f"{amount:.0f}" if amount >= 100 else f"{amount:.{digits}g}"
