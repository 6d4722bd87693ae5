"""Both journals that ship keep the contract, on both event loops."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk.testing import run_session_store_conformance

from orchestrator.events import Event, RunFinished
from orchestrator.journal.memory import MemoryJournal, open_memory
from orchestrator.journal.sqlite import open_sqlite
from orchestrator.protocols import Journal
from orchestrator.testing import check_journal
from orchestrator.testing.journals import (
    CHECKS,
    Check,
    check_drives,
    check_finds_results,
    check_follows_to_the_last_end,
    check_keeps_all,
    check_reads_behind,
)

pytestmark = pytest.mark.anyio

Open = Callable[..., AbstractAsyncContextManager[Journal]]


@pytest.fixture(params=["memory", "sqlite"])
def open_journal(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    if request.param == "memory":
        return lambda name="": open_memory()
    return lambda name="journal.db": open_sqlite(tmp_path / name)


@pytest.mark.parametrize("check", CHECKS)
async def test_journal_keeps(open_journal: Open, check: Check) -> None:
    """Each journal keeps each promise."""
    async with open_journal() as journal:
        await check(journal)


async def test_whole_journal_contract_in_one_call(open_journal: Open) -> None:
    """`check_journal` runs all of it, one check after the other, on one journal."""
    await check_journal(open_journal)


async def test_sessions_keep_the_contract_of_the_sdk(open_journal: Open) -> None:
    """The transcripts of both journals keep what the SDK demands of a session store."""
    async with AsyncExitStack() as stack:
        numbers = count()

        async def new_store() -> Any:
            journal = await stack.enter_async_context(open_journal(f"{next(numbers)}.db"))
            return journal.sessions

        await run_session_store_conformance(new_store)


class Loses(MemoryJournal):
    """Loses every fifth event."""

    count = 0

    def append(self, run: str, event: Event) -> None:
        self.count += 1
        if self.count % 5:
            super().append(run, event)


class Repeats(MemoryJournal):
    """Gives everything again, whatever `after` says."""

    async def read(self, run, after=0):  # type: ignore[no-untyped-def]
        return await super().read(run)


class Ends(MemoryJournal):
    """Ends a follower at the first end of the run that it meets."""

    async def follow(self, run, after=0):  # type: ignore[no-untyped-def]
        for record in await self.read(run, after):
            yield [record]
            if isinstance(record.event, RunFinished):
                return


class Shares(MemoryJournal):
    """Lets everybody drive a run."""

    def drive(self, run):  # type: ignore[no-untyped-def]
        return nullcontext(True)


class Takes(MemoryJournal):
    """Finds results of tasks that were not done."""

    async def find(self, key):  # type: ignore[no-untyped-def]
        return [record for record in reversed(self.records) if getattr(record.event, "key", None) == key]


@pytest.mark.parametrize(
    ("bad", "check"),
    [
        (Loses, check_keeps_all),
        (Repeats, check_reads_behind),
        (Ends, check_follows_to_the_last_end),
        (Shares, check_drives),
        (Takes, check_finds_results),
    ],
)
async def test_journal_contract_finds(bad: type[MemoryJournal], check: Check) -> None:
    """The suite fails for a journal that breaks a promise."""
    with pytest.raises(AssertionError):
        await check(bad())
