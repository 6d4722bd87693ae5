"""The jumping clock: waits cost nothing, and what is at work is waited for."""

import socket
import threading
import time
from collections.abc import AsyncIterator

import anyio
import pytest
from anyio import to_thread
from load import at_most

pytestmark = pytest.mark.anyio


async def test_an_hour_is_over_at_once() -> None:
    """An hour passes on the loop's clock, and hardly any time on the wall."""
    begun, wall = anyio.current_time(), time.monotonic()
    await anyio.sleep(3600)
    assert anyio.current_time() - begun == pytest.approx(3600)
    assert time.monotonic() - wall < at_most(2)


async def test_timers_fire_in_their_order() -> None:
    """Sleeps end by their length, however they were begun."""
    ended = []

    async def sleep(seconds: float) -> None:
        await anyio.sleep(seconds)
        ended.append(seconds)

    async with anyio.create_task_group() as group:
        for seconds in (300.0, 20.0, 1000.0, 0.5):
            group.start_soon(sleep, seconds)
    assert ended == [0.5, 20.0, 300.0, 1000.0]


async def test_a_thread_is_waited_for() -> None:
    """A timeout of a minute does not end a thread that works for a fifth of a real second."""
    with anyio.fail_after(60):
        await to_thread.run_sync(time.sleep, 0.2)
    begun = anyio.current_time()
    await to_thread.run_sync(time.sleep, 0.01)
    assert anyio.current_time() == begun


async def test_a_thread_under_a_limiter_of_its_own_is_waited_for() -> None:
    """It does not matter which limiter a thread runs under, nor whether a generator awaits it."""

    async def generate() -> AsyncIterator[None]:
        await to_thread.run_sync(time.sleep, 0.1, limiter=anyio.CapacityLimiter(1))
        yield

    with anyio.fail_after(60):
        assert [each async for each in generate()] == [None]


async def test_a_thread_that_waits_for_a_timer_is_not_waited_for_in_vain() -> None:
    """A thread that only goes on once a timer has fired gets there."""
    go = threading.Event()

    async def later() -> None:
        await anyio.sleep(10)
        go.set()

    async with anyio.create_task_group() as group:
        group.start_soon(later)
        assert await to_thread.run_sync(go.wait, 30)


async def test_a_timeout_fires() -> None:
    """What would take for ever is ended by its timeout."""
    with anyio.move_on_after(7200) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught


async def test_sockets_are_served() -> None:
    """What is in a socket is read before the clock jumps."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        theirs.sendall(b"word")
        with anyio.fail_after(5):
            await anyio.wait_readable(ours)
        assert ours.recv(10) == b"word"
