"""Ends what must not be left half done, also when it is cancelled meanwhile."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from workspaces.protocol import WorkspaceError

T = TypeVar("T")

GRACE = 60.0
"""Seconds that remain once cancelled. Without a cancellation there is no limit: a large repository takes its time."""


async def finish(work: Callable[[], Awaitable[T]], *, grace: float = GRACE) -> T:
    """What `work` returns. A cancellation reaches it `grace` seconds late, and the caller when it is done.

    The caller may then not get the result, so `work` writes down what must not be lost.

    Raises WorkspaceError when `grace` ran out, or what `work` raises.
    """
    results: list[T] = []
    failure: Exception | None = None
    late = False

    async def limit(scope: anyio.CancelScope) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            scope.deadline = anyio.current_time() + grace

    try:
        async with anyio.create_task_group() as watch:
            with anyio.CancelScope(shield=True) as scope:
                watch.start_soon(limit, scope)
                try:
                    results.append(await work())
                except Exception as error:
                    failure = error
            late = scope.cancelled_caught
            watch.cancel_scope.cancel()
    finally:
        # In the place of a cancellation too: it may say where somebody's work is.
        if failure is not None:
            raise failure
        if late:
            raise WorkspaceError(f"It was cancelled and did not end within {grace:g} s.")
    return results[0]
