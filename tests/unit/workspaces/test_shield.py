# ruff: noqa: PT012  # a scope is cancelled inside `raises`
"""What must be finished is finished, within bounds."""

import anyio
import pytest

from workspaces import WorkspaceError
from workspaces.shield import finish

pytestmark = pytest.mark.anyio


async def test_a_cancellation_waits_for_the_end() -> None:
    """Work goes on through a cancellation, and the caller is cancelled after it."""
    done = False

    async def work() -> None:
        nonlocal done
        scope.cancel()
        await anyio.sleep(0.01)
        done = True

    with anyio.CancelScope() as scope:
        await finish(work)
        await anyio.sleep_forever()
    assert done


async def test_the_grace_is_bounded() -> None:
    """Work that does not end after a cancellation is stopped, and that is an error."""
    with pytest.raises(WorkspaceError, match="did not end within"), anyio.CancelScope() as scope:
        scope.cancel()
        await finish(anyio.sleep_forever, grace=0.01)


async def test_no_limit_without_a_cancellation() -> None:
    """The grace counts from the cancellation only."""

    async def work() -> str:
        await anyio.sleep(0.02)
        return "done"

    assert await finish(work, grace=0) == "done"


async def test_errors_come_out_as_they_are() -> None:
    """An error is not wrapped in a group, and not lost in a cancellation."""

    async def work() -> None:
        raise LookupError("x")

    with pytest.raises(LookupError), anyio.CancelScope() as scope:
        scope.cancel()
        await finish(work)
