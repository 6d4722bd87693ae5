"""Both journals that ship keep the contract, on both event loops."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from orchestrator.events import Event
from orchestrator.journal.memory import MemoryJournal, open_memory
from orchestrator.journal.sqlite import open_sqlite
from orchestrator.protocols import Journal
from orchestrator.testing import check_journal
from orchestrator.testing.journals import CHECKS, Check, check_keeps_all, check_reads_behind

pytestmark = pytest.mark.anyio

Open = Callable[[], AbstractAsyncContextManager[Journal]]


@pytest.fixture(params=["memory", "sqlite"])
def open_journal(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    return open_memory if request.param == "memory" else lambda: open_sqlite(tmp_path / "journal.db")


@pytest.mark.parametrize("check", CHECKS)
async def test_journal_keeps(open_journal: Open, check: Check) -> None:
    """Each journal keeps each promise."""
    async with open_journal() as journal:
        await check(journal)


async def test_whole_journal_contract_in_one_call(open_journal: Open) -> None:
    """`check_journal` runs all of it, one check after the other, on one journal."""
    await check_journal(open_journal)


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


@pytest.mark.parametrize(("bad", "check"), [(Loses, check_keeps_all), (Repeats, check_reads_behind)])
async def test_journal_contract_finds(bad: type[MemoryJournal], check: Check) -> None:
    """The suite fails for a journal that loses events, and for one that repeats them."""
    with pytest.raises(AssertionError):
        await check(bad())
