"""Whatever agents meet, with all parts of the governor on at once, and whenever the run is stopped and gone on with."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import Agent, Limits, Run, Task, open_run
from orchestrator.events import (
    AgentMessage,
    ApiSignal,
    AttemptFinished,
    AttemptStarted,
    RegimeChanged,
    RunStarted,
    TaskAdded,
)
from orchestrator.journal.memory import MemoryJournal
from orchestrator.machine import MachineMemory
from orchestrator.protocols import CallTool, Emit, no_tools
from orchestrator.task import Attempt, Outcome, Result
from orchestrator.testing import jumping
from orchestrator.testing.growing import MB, measured
from orchestrator.testing.scripted import message, session_of

SIGNALS = {
    Outcome.QUOTA: "quota",
    Outcome.RATE_LIMITED: "rate_limit",
    Outcome.OVERLOADED: "overloaded",
    Outcome.AUTH: "auth",
}
LONGEST = 1e6
"""Seconds that a run may take, on a clock that jumps."""
OWN = Agent(env={"ANTHROPIC_API_KEY": "k"})


@dataclass(frozen=True)
class Fate:
    """What an attempt meets."""

    outcome: Outcome
    seconds: float
    usd: float
    memory: int
    """Bytes."""
    reset: float | None
    """Seconds until the usage limit is reset, or a Retry-After; None: nobody says."""
    says: bool
    """Whether it replies before it ends."""


def fates() -> st.SearchStrategy[Fate]:
    outcomes = [Outcome.OK, Outcome.OK, Outcome.OK, Outcome.CRASHED, Outcome.QUOTA, *SIGNALS]
    return st.builds(
        Fate,
        outcome=st.sampled_from(outcomes),
        seconds=st.sampled_from([0.0, 1.0, 7.0, 40.0]),
        usd=st.sampled_from([0.0, 0.01, 0.05]),
        memory=st.sampled_from([100 * MB, 500 * MB, 1500 * MB]),
        reset=st.none() | st.sampled_from([5.0, 600.0]),
        says=st.booleans(),
    )


@dataclass
class World:
    """An Executor, and the machine that its agents are on. Once all fates are met everything ends well."""

    fates: Sequence[Fate]
    total: int
    made: int = 0
    paid: float = 0.0
    used: dict[str, int] = field(default_factory=dict)

    def __call__(self) -> MachineMemory:
        """Memory that is free is what the agents leave."""
        return MachineMemory(self.total, max(0, self.total - sum(self.used.values())))

    async def run(self, attempt: Attempt, emit: Emit, call: CallTool = no_tools) -> Result:
        """See `orchestrator.protocols.Executor`. What it has cost is told before it can be broken off."""
        well = Fate(Outcome.OK, 1.0, 0.01, 300 * MB, None, says=True)
        fate = self.fates[self.made] if self.made < len(self.fates) else well
        self.made += 1
        assert attempt.task not in self.used, "the task is at work already"
        try:
            self.used[attempt.task] = fate.memory
            emit(measured(attempt, fate.memory, fate.memory))
            self.paid += fate.usd
            emit(AgentMessage(task=attempt.task, attempt=attempt.number, type="ResultMessage", cost_usd=fate.usd))
            await anyio.sleep(fate.seconds)
            if fate.says:
                emit(message(attempt, "AssistantMessage", "hello", turns=1))
            self._signal(attempt, fate, emit)
        finally:
            del self.used[attempt.task]
            emit(measured(attempt, 0, fate.memory))
        return Result(
            task=attempt.task,
            outcome=fate.outcome,
            text="done",
            session_id=session_of(attempt),
            cost_usd=fate.usd,
            error=None if fate.outcome.ok else fate.outcome,
        )

    def _signal(self, attempt: Attempt, fate: Fate, emit: Emit) -> None:
        if fate.outcome in SIGNALS:
            resets = time.time() + fate.reset if fate.reset and fate.outcome is Outcome.QUOTA else None
            emit(
                ApiSignal(
                    task=attempt.task,
                    attempt=attempt.number,
                    signal=SIGNALS[fate.outcome],
                    source="cli",
                    resets_at=resets,
                    retry_after=None if resets else fate.reset,
                    own_account=attempt.agent.own_account,
                )
            )


@dataclass
class Story:
    """A run that is started some times, with more money each time."""

    world: World
    limits: list[Limits]
    stops: list[float | None]
    """When each but the last is stopped, in seconds from its start."""
    tasks: list[tuple[bool, bool]]
    """Whether its inputs are looked at, and whether it has an account of its own."""
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    statuses: dict[str, Outcome] = field(default_factory=dict)

    async def play(self) -> None:
        for limits, stop in zip(self.limits, self.stops, strict=True):
            with anyio.fail_after(LONGEST), anyio.move_on_after(stop):
                async with self._open(limits) as run:
                    for number, (looks, own) in enumerate(self.tasks):
                        run.submit(
                            Task(
                                f"Do {number}.",
                                key=f"t{number}",
                                agent=OWN if own else Agent(),
                                inputs=[__file__] if looks else [],
                                retries=1,
                            )
                        )
                check_nothing_is_left(run)
            assert self.world.used == {}

    def _open(self, limits: Limits) -> Any:
        run = self.journal.records[0].run if self.journal.records else None
        return open_run(
            "test",
            executor=self.world,
            machine=self.world,
            journal=self.journal,
            limits=limits,
            run=run,
            directory=Path(),
        )


def check_nothing_is_left(run: Run) -> None:
    """Of a run that has come to its end: every place and everything that was set aside has been given back."""
    core = run._core
    governor, lending = core.governing.governor, core.lending
    memory, budget = governor.memory, governor.budget
    assert (core.state.places, lending.looking, lending.at_work) == (0, 0, 0)
    assert (memory._held, memory._measured, memory._aside, memory._waiting) == ({}, 0, 0, 0)
    assert (budget._busy, budget._unsettled) == (set(), 0.0)
    assert [(ledger.held, ledger._claims, ledger._live) for ledger in budget._ledgers.values()] == [
        (0.0, {}, {}) for _ in budget._ledgers
    ]
    assert {regime._canary for regime in governor.regime._regimes.values()} <= {None}


def check_starts(story: Story) -> None:
    """Of an account nothing starts in a hold or after a stop, and in a canary one at a time."""
    regimes, accounts, tries = dict[str, str](), dict[str, str](), dict[str, set[str]]()
    for event in (record.event for record in story.journal.records):
        match event:
            case RunStarted():
                regimes, tries = {}, {}
            case TaskAdded(task=task, account=account):
                accounts[task] = account
            case RegimeChanged(regime=regime, lane=lane):
                regimes[lane.removeprefix("account ")], tries[lane.removeprefix("account ")] = regime, set()
            case AttemptStarted(task=task):
                regime, beside = regimes.get(accounts[task], "go"), tries.setdefault(accounts[task], set())
                assert regime in ("go", "canary"), f"{task} starts in {regime}"
                beside.add(task)
                assert regime == "go" or len(beside) <= 1, f"{beside} try at once"
            case AttemptFinished(task=task):
                tries[accounts[task]].discard(task)


def check_payment(story: Story) -> None:
    """What was done is done once, and everything that was paid is in the sum, once."""
    events = [record.event for record in story.journal.records]
    done = Counter(event.task for event in events if isinstance(event, AttemptFinished) and event.outcome == Outcome.OK)
    assert set(done.values()) <= {1}
    told = sum(event.cost_usd for event in events if isinstance(event, AttemptFinished))
    assert told == pytest.approx(story.world.paid)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=40, deadline=None)
@given(
    fates=st.lists(fates(), max_size=25),
    total=st.sampled_from([1500, 4000, 64000]),
    usd=st.none() | st.sampled_from([0.03, 0.2, 1.0]),
    width=st.just("auto") | st.integers(1, 4),
    turns=st.none() | st.just(6),
    wait=st.booleans() | st.just(300.0),
    stops=st.lists(st.sampled_from([0.0, 0.5, 1.0, 8.0, 61.0, 700.0]), max_size=2),
    tasks=st.lists(st.tuples(st.booleans(), st.sampled_from([False, False, True])), min_size=1, max_size=12),
)
def test_a_governed_run_ends_well(
    backend: str,
    fates: list[Fate],
    total: int,
    usd: float | None,
    width: Any,
    turns: int | None,
    wait: Any,
    stops: list[float],
    tasks: list[tuple[bool, bool]],
) -> None:
    """It ends; all that was set aside is given back; what is done is paid once; nobody starts in a hold or a stop."""
    limits = [
        Limits(
            concurrent=width,
            usd=None if usd is None else usd * (number + 1),
            turns=None if turns is None else turns * (number + 1),
            memory="80%",
            wait_for_reset=wait,
        )
        for number in range(len(stops) + 1)
    ]
    story = Story(World(fates, total * MB), limits, [*stops, None], tasks)
    name, options = jumping(backend)
    anyio.run(story.play, backend=name, backend_options=options)
    check_starts(story)
    check_payment(story)
