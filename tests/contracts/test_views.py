"""Every view that ships keeps the contract, on both event loops."""

import io
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from rich.console import Console

from orchestrator.events import Record
from orchestrator.protocols import View
from orchestrator.testing import check_view
from orchestrator.testing.views import CHECKS, Check
from orchestrator.views.jsonl import JsonlView
from orchestrator.views.lines import LinesView
from orchestrator.views.live import LiveView

pytestmark = pytest.mark.anyio

VIEWS: dict[str, Callable[[], View]] = {
    "jsonl": lambda: JsonlView(io.StringIO()),
    "lines": lambda: LinesView(io.StringIO()),
    "live": lambda: LiveView(Console(file=io.StringIO(), force_terminal=True, width=100, height=30)),
    "live-narrow": lambda: LiveView(Console(file=io.StringIO(), force_terminal=True, width=20, height=5)),
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("check", CHECKS)
async def test_view_keeps(view: str, check: Check) -> None:
    """Each view keeps each promise."""
    await check(VIEWS[view])


async def test_whole_view_contract_in_one_call() -> None:
    """`check_view` runs all of it."""
    await check_view(VIEWS["lines"])


class Leaves:
    """Stops at the first batch."""

    async def show(self, feed: AsyncIterator[Sequence[Record]]) -> None:
        async for _ in feed:
            return


class Stumbles:
    """Expects a run's beginning in whatever comes first."""

    async def show(self, feed: AsyncIterator[Sequence[Record]]) -> None:
        assert len([batch async for batch in feed]) > 0


@pytest.mark.parametrize("bad", [Leaves, Stumbles])
async def test_view_contract_finds(bad: Callable[[], View]) -> None:
    """The suite fails for a view that leaves before the end, and for one that needs more than it is given."""
    with pytest.raises(AssertionError):
        await check_view(bad)
