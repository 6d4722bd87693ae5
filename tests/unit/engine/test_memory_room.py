"""Agents are started as there is memory for them, and put off when it has run out all the same."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import anyio
import pytest

from orchestrator import Agent, Limits, Run, Task, open_run
from orchestrator.events import AttemptFinished, AttemptStarted, Event, MemoryAwaited
from orchestrator.journal.memory import MemoryJournal
from orchestrator.plan.model import Spawn
from orchestrator.task import Attempt, Outcome
from orchestrator.testing.growing import MB, Growing
from orchestrator.views.words import awaited

pytestmark = pytest.mark.anyio
GB = 1000 * MB


def opened(
    agents: Growing, journal: MemoryJournal, memory: str = "4GB", **other: Any
) -> AbstractAsyncContextManager[Run]:
    limits = Limits(concurrent=40, memory=memory)
    return open_run("test", executor=agents, journal=journal, limits=limits, **other)


def of(journal: MemoryJournal, kind: type[Event]) -> list[Any]:
    return [record.event for record in journal.records if isinstance(record.event, kind)]


def like_those_of_the_benchmark(_: Attempt) -> list[tuple[float, int]]:
    return [(0.5, 100 * MB), (0.5, 200 * MB), (2.0, 400 * MB)]


async def test_careful_first_and_near_full_soon() -> None:
    """Of 40 agents of 400 MB no more are at work than 4 GB hold, and once it is known what they need, nine are."""
    agents, journal = Growing(like_those_of_the_benchmark), MemoryJournal()
    async with opened(agents, journal) as run:
        results = await run.map("{}", range(40))
    assert all(result.ok for result in results)
    assert len(agents.attempts) == 40, "none was put off"
    assert 3.5 * GB <= agents.most <= 4 * GB
    assert agents.most_at_once == 9


async def test_as_many_begin_as_a_first_guess_allows() -> None:
    """Of agents of which nothing is known eight begin on 4 GB; more do once they show that they need less."""
    agents = Growing(lambda _: [(20.0, 250 * MB), (60.0, 300 * MB)])
    async with opened(agents, MemoryJournal()) as run:
        for number in range(20):
            run.submit(Task(f"{number}"))
        await anyio.sleep(1)
        assert len(agents.used) == 8
        await anyio.sleep(50)
        assert len(agents.used) == 12
    assert len(agents.attempts) == 20, "none was put off"


async def test_a_share_of_the_machine_is_kept_free() -> None:
    """With 80 % of 8 GB, of which others use 2 GB, the agents use no more than 4.4 GB."""
    agents, journal = Growing(like_those_of_the_benchmark, total=8 * GB, others=2 * GB), MemoryJournal()
    async with opened(agents, journal, "80%", machine=agents) as run:
        await run.map("{}", range(30))
    assert 3.5 * GB <= agents.most <= 4.4 * GB


async def test_one_is_let_in_whatever_there_is() -> None:
    """On a machine that is full already the agents are done one after the other."""
    agents, journal = Growing(like_those_of_the_benchmark, total=2 * GB, others=2 * GB), MemoryJournal()
    async with opened(agents, journal, "50%", machine=agents) as run:
        results = await run.map("{}", range(4))
    assert all(result.ok for result in results)
    assert agents.most_at_once == 1


async def test_what_others_free_is_used_within_a_second() -> None:
    """While a task waits for memory, it is looked again each second what there is."""
    agents, journal = Growing(lambda _: [(60.0, 400 * MB)], total=8 * GB, others=6 * GB), MemoryJournal()
    async with opened(agents, journal, "80%", machine=agents) as run:
        for number in range(2):
            run.submit(Task(f"{number}"))
        await anyio.sleep(10)
        assert len(agents.used) == 1
        agents.others = 0
        await anyio.sleep(1.1)
        assert len(agents.used) == 2
    told = of(journal, MemoryAwaited)[0]
    assert (told.limit, told.own) == (round(6.4 * GB), False)
    assert awaited(told).endswith(" are free of the 6.4 GB of this machine's memory that may be in use")


async def test_who_waits_for_memory_is_told() -> None:
    """The journal says that tasks wait for memory, though there are places, and when that is over."""
    agents, journal = Growing(lambda _: [(10.0, 400 * MB)]), MemoryJournal()
    async with opened(agents, journal, "1GB") as run:
        await run.map("{}", range(3))
        report = run.report()
    told = of(journal, MemoryAwaited)
    assert [each.awaited for each in told] == [True, False]
    assert told[0].expected > told[0].free
    assert (told[0].limit, told[0].own) == (GB, True)
    assert awaited(told[0]).endswith(" are free of the 1.0 GB that the run may use (--memory)")
    assert report.memory_awaited_s >= 0.0
    assert report.peak_memory == agents.most


async def test_agents_elsewhere_are_not_counted_here() -> None:
    """Of an executor's own machines nothing is known: a share of their memory limits nothing."""
    agents = Growing(like_those_of_the_benchmark)
    async with opened(agents, MemoryJournal(), "1%") as run:
        await run.map("{}", range(40))
    assert agents.most_at_once == 40


class Swelling:
    """Agents of 100 MB, but for those of the second wave: these take 600 MB where they were expected to take 105."""

    def __init__(self) -> None:
        self.times: dict[str, int] = {}

    def __call__(self, attempt: Attempt) -> list[tuple[float, int]]:
        if attempt.prompt.startswith("small"):
            return [(1.0, 100 * MB)]
        return [(1.0, 100 * MB), (1.0, 200 * MB), (1.0, 400 * MB), (10.0, 600 * MB)]


async def test_the_youngest_are_put_off_and_go_on() -> None:
    """Agents that swell beyond what was expected are put off, go on in their sessions, and all are done.

    None is put off again and again: those that are left have room, and who was put off waits until there is.
    """
    agents, journal = Growing(Swelling()), MemoryJournal()
    async with opened(agents, journal, "2GB") as run:
        await run.map("small {}", range(10))
        results = await run.map("large {}", range(12))
    assert all(result.ok for result in results)
    ended = of(journal, AttemptFinished)
    put_off = [event.task for event in ended if event.outcome == Outcome.PUT_OFF]
    assert put_off, "this plan is meant to overrun"
    assert len(put_off) == len(set(put_off)), f"put off again: {put_off}"
    again = [event for event in of(journal, AttemptStarted) if event.attempt > 1]
    assert sorted(event.task for event in again) == sorted(put_off)
    assert results[0].attempts == 1, "the oldest is not put off"


async def test_who_was_put_off_comes_before_new_ones() -> None:
    """A task that was at work waits no longer than those that never were."""
    agents, journal = Growing(Swelling()), MemoryJournal()
    async with opened(agents, journal, "2GB") as run:
        await run.map("small {}", range(10))
        await run.map("large {}", range(40))
    starts = of(journal, AttemptStarted)
    last_again = max(index for index, event in enumerate(starts) if event.attempt > 1)
    assert len(starts) - last_again > 10, "new ones were started before"


async def test_a_planner_that_waits_takes_no_room_from_its_workers() -> None:
    """An agent that waits for what it spawned cannot end before that is started, however little memory is left."""

    class Planner(Growing):
        async def run(self, attempt, emit, call=None):  # type: ignore[no-untyped-def]
            if attempt.prompt == "plan":
                self.used[attempt.task] = 800 * MB
                await call("spawn_task", {"name": "worker", "prompt": "work"})
                await call("await_tasks", {})
                del self.used[attempt.task]
            return await super().run(attempt, emit, call)

    agents = Planner(lambda _: [(1.0, 800 * MB)])
    async with opened(agents, MemoryJournal(), "1GB") as run:
        result = await run.agent("plan", agent=Agent(spawn=Spawn(count=1)))
    assert result.ok, result.error
    assert len(agents.attempts) == 2


async def test_whose_call_is_broken_off_counts_as_at_work() -> None:
    """An agent that was interrupted while it waited, and goes on, is no reason to let others in beside it."""

    class Interrupted(Growing):
        async def run(self, attempt, emit, call=None):  # type: ignore[no-untyped-def]
            if attempt.prompt == "plan":
                with anyio.move_on_after(1):
                    await call("read_messages", {"wait_s": 600})
            return await super().run(attempt, emit, call)

    agents = Interrupted(lambda _: [(60.0, 800 * MB)])
    async with opened(agents, MemoryJournal(), "1GB") as run:
        run.submit(Task("plan", agent=Agent(talk=True)))
        await anyio.sleep(5)
        run.submit(Task("other"))
    assert agents.most_at_once == 1


async def test_a_victim_that_waits_for_the_api_keeps_nobody_from_starting() -> None:
    """One that was to be put off, and whose attempt the API ended first, has its turn once it wants to go on."""

    class Limited(Growing):
        async def run(self, attempt, emit, call=None):  # type: ignore[no-untyped-def]
            with anyio.CancelScope(shield=attempt.prompt == "large"):
                result = await super().run(attempt, emit, call)
            limited = attempt.prompt == "large" and attempt.number == 1
            return replace(result, outcome=Outcome.RATE_LIMITED) if limited else result

    agents = Limited(lambda attempt: [(1.0, 3800 * MB)] if attempt.prompt == "large" else [(200.0, 300 * MB)])
    journal = MemoryJournal()
    async with opened(agents, journal) as run:
        run.submit(Task("small", key="small"))
        run.submit(Task("large", key="large"))
        await anyio.sleep(5)
        run.submit(Task("new", key="new"))
    assert [event.outcome for event in of(journal, AttemptFinished) if event.task == "large"] == ["rate_limited", "ok"]
    assert [event.task for event in of(journal, AttemptStarted)] == ["small", "large", "new", "large"]
