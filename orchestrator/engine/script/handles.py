"""What a script holds of the tasks that it submitted: one, or the results of many."""

import math
from collections.abc import AsyncIterable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectSendStream

from orchestrator.engine.core import Core
from orchestrator.task import Outcome, Result, Status


@dataclass(frozen=True, slots=True)
class Handle:
    """A task that was submitted."""

    task: str
    """Its id in the run."""
    _core: Core

    async def result(self) -> Result:
        """Waits for the task's end."""
        return await self._core.wait(self.task)

    def cancel(self) -> None:
        """Ends the task, and its agent's processes, if it has not ended yet."""
        self._core.cancel(self.task)


class Results(list[Result]):
    """A list of results, one per item, in the items' order; successes and failures can be had apart."""

    @property
    def ok(self) -> bool:
        """Whether none of them failed, or was cancelled."""
        return not self.failed

    @property
    def succeeded(self) -> list[Result]:
        return [result for result in self if result.ok]

    @property
    def failed(self) -> list[Result]:
        """Those that failed or were cancelled; what was skipped is in neither list."""
        return [result for result in self if result.outcome.status in (Status.FAILED, Status.CANCELLED)]

    @property
    def values(self) -> list[Any]:
        """Of those that succeeded."""
        return [result.value for result in self if result.ok]

    @property
    def texts(self) -> list[str]:
        """Of those that succeeded."""
        return [result.text for result in self if result.ok]

    @property
    def outcomes(self) -> dict[Outcome, int]:
        """How many ended in which way."""
        ends = [result.outcome for result in self]
        return {outcome: ends.count(outcome) for outcome in dict.fromkeys(ends)}


async def results_of(handles: Sequence[Handle]) -> Results:
    """The results, in order; whoever stops waiting for them stops the tasks too."""
    try:
        return Results([await handle.result() for handle in handles])
    except BaseException:
        for handle in handles:
            handle.cancel()
        raise


class Forwarding:
    """Sends results on as they come, while the task group lasts; `handles` grows by what is fed."""

    def __init__(self, group: TaskGroup, handles: list[Handle]) -> None:
        self._send, self.receive = anyio.create_memory_object_stream[Result](math.inf)
        self._group = group
        self._handles = handles
        for handle in handles:
            group.start_soon(self._forward, handle, self._send.clone())

    def close(self) -> None:
        """Nothing else is to be sent but by those that send already."""
        self._send.close()

    def feed(self, items: AsyncIterable[Any], submit: Callable[[list[tuple[int, Any]]], list[Handle]]) -> None:
        """Submits each item when it comes, from now on."""
        self._group.start_soon(self._feed, items, submit, self._send.clone())

    async def _feed(
        self,
        items: AsyncIterable[Any],
        submit: Callable[[list[tuple[int, Any]]], list[Handle]],
        send: MemoryObjectSendStream[Result],
    ) -> None:
        with send:
            index = 0
            async for item in items:
                (handle,) = submit([(index, item)])
                self._handles.append(handle)
                self._group.start_soon(self._forward, handle, send.clone())
                index += 1

    async def _forward(self, handle: Handle, send: MemoryObjectSendStream[Result]) -> None:
        with send:
            await send.send(await handle.result())
