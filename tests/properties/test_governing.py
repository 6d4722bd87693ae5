"""Whatever the API says, and whenever: how many agents are at work, and when they are started."""

import time
from typing import Any

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import Limits, open_run
from orchestrator.events import AgentMessage, ApiSignal, AttemptStarted, Event, RegimeChanged
from orchestrator.journal.memory import MemoryJournal
from orchestrator.schedule.width import COOLDOWN, CUT, MOST, Width
from orchestrator.state import RunState
from orchestrator.task import Attempt, Outcome
from orchestrator.testing import Reply, ScriptedExecutor, jumping

REPLY = AgentMessage(task="t", attempt=1, type="AssistantMessage", turns=1)
SIGNALS = ["rate_limit", "rate_limit", "overloaded", "server_error", "warning"]


def signals() -> st.SearchStrategy[Event]:
    return st.builds(
        ApiSignal,
        task=st.just("t"),
        attempt=st.just(1),
        signal=st.sampled_from(SIGNALS),
        source=st.just("cli"),
        retry_after=st.none() | st.floats(0, 60),
        own_account=st.booleans(),
    )


@given(
    begin=st.integers(1, 16),
    story=st.lists(st.tuples(st.floats(0, 30), st.booleans(), st.just(REPLY) | signals(), st.integers(1, 40))),
)
def test_the_width_keeps_its_bounds(begin: int, story: list[tuple[float, bool, Event, int]]) -> None:
    """It is never below 1 nor above the most; it falls by a fifth once per cooldown, and grows at most twofold."""
    busy = False
    width = Width(Limits(), RunState(), lambda: busy, lambda: width.places)
    width.places = begin
    now, last_cut = 0.0, -COOLDOWN
    for passed, busy, event, times in story:
        now += passed
        for _ in range(times):
            before = width.places
            for change in width.heed(event, now, now):
                assert 1 <= change.width <= MOST
                assert change.width == width.places
                if change.episode:
                    assert now - last_cut >= COOLDOWN
                    assert change.width == max(1, int(before * CUT))
                    last_cut = now
                else:
                    assert not busy
                    assert before < change.width <= 2 * before


class Account:
    """The `at`-th attempt and those after it meet the usage limit, until it is reset; others take their time."""

    def __init__(self, at: int, reset_after: float, seconds: list[float], *, told: bool) -> None:
        self._at, self._after, self._seconds, self._told = at, reset_after, seconds, told
        self._made = 0
        self.reached = self.reset = float("inf")

    def __call__(self, attempt: Attempt) -> Reply:
        now = anyio.current_time()
        self._made += 1
        if self._made >= self._at and self.reached > now:
            self.reached, self.reset = now, now + self._after
        if not self.reached <= now < self.reset:
            return Reply(seconds=self._seconds[self._made % len(self._seconds)])
        resets = {"resets_at": time.time() + self.reset - now} if self._told else {}
        signal: dict[str, Any] = {"signal": "quota", **resets}
        return Reply("limit", outcome=Outcome.QUOTA, turns=0, signals=[signal])


@settings(max_examples=20, deadline=None)
@given(
    backend=st.sampled_from(["asyncio", "trio"]),
    agents=st.integers(1, 15),
    at=st.integers(1, 15),
    width=st.integers(1, 5) | st.just("auto"),
    reset_after=st.floats(5, 3600),
    seconds=st.lists(st.floats(0.1, 600), min_size=1, max_size=5),
    told=st.booleans(),
)
def test_nobody_is_started_in_vain(
    backend: str, agents: int, at: int, width: Any, reset_after: float, seconds: list[float], told: bool
) -> None:
    """From the signal to the reset nobody is started, or one at a time where nobody tells it; then all is done.

    Wherever among the agents the limit is met, and however long they take.
    """
    account, journal = Account(at, reset_after, seconds, told=told), MemoryJournal()

    async def run() -> list[Outcome]:
        limits, executor = Limits(concurrent=width), ScriptedExecutor(account)
        async with open_run("test", limits=limits, executor=executor, journal=journal) as opened:
            return [result.outcome for result in await opened.map("Do {}.", range(agents), retries=0)]

    name, options = jumping(backend)
    assert anyio.run(run, backend=name, backend_options=options) == [Outcome.OK] * agents
    check_regimes([record.event for record in journal.records], told=told)


def check_regimes(events: list[Event], *, told: bool) -> None:
    """Nobody starts in a hold, one at a time in a canary, and where the reset is told there is one hold alone."""
    regime, tries, holds = "go", 0, 0
    for event in events:
        if isinstance(event, RegimeChanged):
            regime, tries, holds = event.regime, 0, holds + (event.regime == "hold")
        elif isinstance(event, AttemptStarted):
            tries += 1
            assert regime == "go" or (regime == "canary" and tries == 1)
    assert regime in ("go", "canary")
    assert holds <= 1 or not told


@settings(max_examples=20, deadline=None)
@given(
    backend=st.sampled_from(["asyncio", "trio"]),
    said=st.lists(
        st.fixed_dictionaries(
            {"signal": st.sampled_from([*SIGNALS, "quota"])},
            optional={"retry_after": st.floats(0.1, 100), "own_account": st.booleans()},
        ),
        min_size=1,
        max_size=12,
    ),
    outcomes=st.lists(st.sampled_from([Outcome.OK, Outcome.RATE_LIMITED, Outcome.CRASHED, Outcome.QUOTA]), min_size=1),
    agents=st.integers(1, 12),
)
def test_a_run_ends_whatever_the_api_says(
    backend: str, said: list[dict[str, Any]], outcomes: list[Outcome], agents: int
) -> None:
    """Signals of all kinds in any order, with or without the outcome that goes with them, never leave a run hanging."""
    made = 0

    def script(attempt: Attempt) -> Reply:
        nonlocal made
        made += 1
        if made > len(said):
            return Reply(seconds=1.0)
        return Reply(seconds=1.0, outcome=outcomes[made % len(outcomes)], turns=made % 2, signals=[said[made - 1]])

    async def run() -> int:
        async with open_run("test", executor=ScriptedExecutor(script), journal=MemoryJournal()) as opened:
            return len(await opened.map("Do {}.", range(agents)))

    name, options = jumping(backend)
    assert anyio.run(run, backend=name, backend_options=options) == agents
