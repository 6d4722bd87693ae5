"""A clock that jumps: time stands still while anything is at work, and when nothing is it jumps to the next timer.

    @pytest.fixture(params=backends())
    def anyio_backend(request):
        return request.param

An hour's wait is over at once, on asyncio and on trio alike. "At work" are tasks that can run, sockets and pipes that
have something within `GLANCE` real seconds, and threads of `anyio.to_thread` (or of asyncio's own executor): for these
the clock waits up to `PATIENCE` real seconds, then it jumps all the same, so that a thread that waits for a timer gets
it. It knows nothing of other processes, and of servers in threads of their own: tests that talk to such need real time.
"""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

import anyio
from anyio._backends import _asyncio as anyio_asyncio  # a limiter tells only of threads that share it

if TYPE_CHECKING:
    import trio

GLANCE = 0.0005
PATIENCE = 1.0

Value = TypeVar("Value")
Arguments = TypeVarTuple("Arguments")
Backend = tuple[str, dict[str, Any]]
"""A name and options, as the `anyio_backend` fixture and `anyio.run` take them."""


def backends() -> list[Any]:
    """asyncio and trio with jumping clocks, as parameters of an `anyio_backend` fixture."""
    import pytest  # noqa: PLC0415 - the package works without it

    return [pytest.param(jumping(name), id=name) for name in ("asyncio", "trio")]


def jumping(name: str) -> Backend:
    """One of the two with a jumping clock of its own; trio has to be installed for `trio`."""
    return (name, {"loop_factory": JumpingLoop}) if name == "asyncio" else (name, trio_options())


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop of asyncio whose time jumps."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._in_executor = 0
        super().__init__(JumpingSelector(self._jump, self._threads_at_work))

    def time(self) -> float:
        return self._now

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Arguments], Value], *args: *Arguments
    ) -> asyncio.Future[Value]:
        future = super().run_in_executor(executor, func, *args)
        self._in_executor += 1
        future.add_done_callback(self._left_executor)
        return future

    def _left_executor(self, _: object) -> None:
        self._in_executor -= 1

    def _jump(self, seconds: float) -> None:
        self._now += seconds

    def _threads_at_work(self) -> bool:
        try:
            workers, idle = anyio_asyncio._threadpool_workers.get(()), anyio_asyncio._threadpool_idle_workers.get(())
        except anyio.NoEventLoopError:
            return bool(self._in_executor)  # started without anyio
        return bool(self._in_executor) or len(workers) > len(idle)


class JumpingSelector(selectors.DefaultSelector):
    """Where the loop would sleep until its next timer, it looks around and jumps there."""

    def __init__(self, jump: Callable[[float], None], threads_at_work: Callable[[], bool]) -> None:
        super().__init__()
        self._jump = jump
        self._threads_at_work = threads_at_work

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(GLANCE) or (super().select(PATIENCE) if self._threads_at_work() else [])
        if not ready:
            self._jump(timeout)
        return ready


def trio_options() -> dict[str, Any]:
    """trio's own jumping clock, made to wait for threads."""
    import trio.testing  # noqa: PLC0415 - it is an extra

    clock = trio.testing.MockClock()

    class Patient(trio.abc.Instrument):
        """Sets how long trio waits before it jumps, whenever a task has begun or ended work in a thread."""

        def __init__(self) -> None:
            self._in_threads: set[trio.lowlevel.Task] = set()

        def before_run(self) -> None:
            self._in_threads.clear()
            clock.autojump_threshold = GLANCE

        def after_task_step(self, task: "trio.lowlevel.Task") -> None:
            (self._in_threads.add if is_in_thread(task) else self._in_threads.discard)(task)
            threshold = PATIENCE if self._in_threads else GLANCE
            if clock.autojump_threshold != threshold:
                clock.autojump_threshold = threshold

    return {"clock": clock, "instruments": [Patient()]}


def is_in_thread(task: "trio.lowlevel.Task") -> bool:
    """Whether the task waits for a function that runs in a thread."""
    alive = getattr(task.coro, "cr_frame", None) is not None
    return alive and any(frame.f_code.co_name == "to_thread_run_sync" for frame, _ in task.iter_await_frames())
