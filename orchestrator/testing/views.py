"""The contract that every view keeps.

@pytest.mark.anyio
@pytest.mark.parametrize("check", CHECKS)
async def test_contract(check):
    await check(MyView)
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

import anyio
import anyio.lowlevel

from orchestrator.events import AttemptStarted, Record
from orchestrator.protocols import View
from orchestrator.testing.samples import sample_records

Feed = AsyncGenerator[Sequence[Record], None]
Check = Callable[[Callable[[], View]], Awaitable[None]]


async def check_shows_all(make: Callable[[], View]) -> None:
    """It reads a whole run to its end, in one batch or record by record."""
    records = sample_records()
    for size in (1, 4, len(records)):
        read: list[Record] = []
        with anyio.fail_after(30):
            await _show(make(), _feed(records, size, read))
        assert read == records, f"it stopped after {len(read)} of {len(records)} records"


async def check_shows_nothing(make: Callable[[], View]) -> None:
    """A feed with nothing in it is shown, and left."""
    with anyio.fail_after(30):
        await _show(make(), _feed([], 1, []))


async def check_shows_parts(make: Callable[[], View]) -> None:
    """A feed that ends anywhere, as when a process has died, is shown, and left."""
    records = sample_records()
    for end in range(1, len(records)):
        with anyio.fail_after(30):
            await _show(make(), _feed(records[:end], end, []))


async def check_is_cancelled(make: Callable[[], View]) -> None:
    """A cancellation while it waits for more gets out."""
    begun = anyio.Event()

    async def feed() -> Feed:
        records = sample_records()
        yield records[: next(n for n, record in enumerate(records) if isinstance(record.event, AttemptStarted)) + 1]
        begun.set()
        await anyio.sleep_forever()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(_show, make(), feed())
            await begun.wait()
            group.cancel_scope.cancel()


CHECKS: tuple[Check, ...] = (check_shows_all, check_shows_nothing, check_shows_parts, check_is_cancelled)
"""What every view promises."""


async def check_view(make: Callable[[], View]) -> None:
    """The whole contract; `make` gives a new view. Raises AssertionError with what was not kept."""
    for check in CHECKS:
        await check(make)


async def _show(view: View, feed: Feed) -> None:
    async with aclosing(feed):
        await view.show(feed)


async def _feed(records: Sequence[Record], size: int, read: list[Record]) -> Feed:
    for begin in range(0, len(records), size):
        await anyio.lowlevel.checkpoint()
        batch = records[begin : begin + size]
        read.extend(batch)
        yield batch
