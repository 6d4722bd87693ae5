"""What an attempt's processes use is measured, and told."""

import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from orchestrator import Limits, open_run
from orchestrator.agents.claude import open_claude
from orchestrator.events import AttemptFinished, AttemptStarted, Event, ProcessesMeasured, SessionStarted
from orchestrator.journal.memory import MemoryJournal
from orchestrator.processes.measuring import SHARE
from orchestrator.task import Attempt, Outcome
from workspaces import Workspace, WorkspaceSpec

pytestmark = pytest.mark.anyio

Asks = Callable[..., Attempt]
OWN = 20_000_000
"""Bytes that a launcher and a fake CLI use by themselves, at most."""


class Told(list[ProcessesMeasured]):
    """An `emit` that keeps what was measured."""

    def __call__(self, event: Event) -> None:
        if isinstance(event, ProcessesMeasured):
            self.append(event)


@pytest.mark.parametrize("prompt", ["use 200 1 1.5", "brood 200 1 1.5"])
async def test_the_peak_is_right(asks: Asks, here: Workspace, prompt: str) -> None:
    """200 MB are measured as that, within 10 %, whether the CLI or a child of it uses them; at the end none is left."""
    told = Told()
    async with open_claude() as claude:
        result = await claude.run(asks(prompt), here, told)
    assert result.ok, result.error
    assert 200e6 <= told[-1].peak <= 200e6 * 1.1 + OWN
    assert told[-1].memory == 0
    assert [each.peak for each in told] == sorted(each.peak for each in told)


async def test_growth_is_told_while_it_happens(asks: Asks, here: Workspace) -> None:
    """Steps are told on the way up, in no more rows than there are steps of 20 MB or 10 %."""
    told = Told()
    async with open_claude() as claude:
        await claude.run(asks("use 300 2 0.5"), here, told)
    below = [each for each in told if 0 < each.memory < 200e6]
    assert below, [each.memory for each in told]
    assert len(told) <= 20


async def test_processor_time_is_told(asks: Asks, here: Workspace) -> None:
    """What the CLI computes is counted in seconds of processor time."""
    told = Told()
    async with open_claude() as claude:
        await claude.run(asks("use 500 0.5 1"), here, told)  # to write so much takes a tenth of a second and more
    assert 0.02 <= told[-1].cpu_s <= 3


async def test_many_are_measured_cheaply(asks: Asks, here: Workspace) -> None:
    """Of ten attempts each is told its own, and the looks take a few per cent of one core at most."""
    tolds = {size: Told() for size in range(20, 120, 10)}
    async with open_claude() as claude:
        begun = time.monotonic()
        async with anyio.create_task_group() as group:
            for size, told in tolds.items():
                session = f"5a0c7f9e-0000-4000-8000-{size:012}"
                attempt = asks(f"use {size} 0 2.5", task=f"t{size}", session_id=session, fresh=True)
                group.start_soon(claude.run, attempt, here, told)
        spent, took = claude._measuring.scanner.spent_s, time.monotonic() - begun
    for size, told in tolds.items():
        assert size * 1e6 <= told[-1].peak <= size * 1e6 * 1.1 + OWN
    assert spent / took < 2 * SHARE, (spent, took)


async def test_who_is_put_off_goes_on_in_its_session(tmp_path: Path) -> None:
    """Of two agents that use more than was expected the younger is ended, waits, and goes on in its session."""
    journal = MemoryJournal()
    limits = Limits(concurrent=2, memory="450MB")
    place = WorkspaceSpec(kind="here", path=str(tmp_path))
    async with open_run("memory", limits=limits, journal=journal, workspace=place) as run:
        # From these it is learned that agents need 20 MB.
        await run.map("use 5 0 {}", [0.6] * 8)
        results = await run.map("use 300 1 {}", [2, 2])
    assert all(result.ok for result in results), [result.error for result in results]
    assert sorted(result.attempts for result in results) == [1, 2]
    ended = [record.event for record in journal.records if isinstance(record.event, AttemptFinished)]
    put_off = [event for event in ended if event.outcome == Outcome.PUT_OFF]
    assert len(put_off) == 1
    begun = [record.event for record in journal.records if isinstance(record.event, AttemptStarted)]
    first, second = (event for event in begun if event.task == put_off[0].task)
    sessions = [record.event for record in journal.records if isinstance(record.event, SessionStarted)]
    assert second.resume in [event.session_id for event in sessions if event.task == first.task]
