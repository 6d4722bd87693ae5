"""What executors and agent runners both promise of the run of an attempt."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import uuid4

import anyio

from orchestrator.protocols import Emit
from orchestrator.task import Attempt, Result
from orchestrator.testing.samples import Collected

Running = Callable[[Attempt, Emit], Awaitable[Result]]
Promise = Callable[[Running, Attempt], Awaitable[None]]


async def gives_result(run: Running, attempt: Attempt) -> None:
    """It gives a good result of its own task, which passes through JSON unharmed."""
    result = await run(attempt, Collected())
    assert result.ok, f"{result.outcome}: {result.error}"
    assert (result.task, result.session_id) == (attempt.task, attempt.session_id)
    there = Result.from_json(json.loads(json.dumps(result.to_json())))
    assert replace(there, message=None, value=None) == replace(result, message=None, value=None)


async def emits_its_own(run: Running, attempt: Attempt) -> None:
    """It emits events, all of them of this attempt."""
    events = Collected()
    await run(attempt, events)
    assert events, "nothing was emitted"
    assert events.all_belong_to(attempt), f"an event is of another attempt: {events}"


async def runs_many(run: Running, attempt: Attempt) -> None:
    """Ten run at once, each with its own events and its own result."""

    async def one(each: Attempt) -> None:
        events = Collected()
        result = await run(each, events)
        assert result.task == each.task, f"{each.task} was given the result of {result.task}"
        assert events.all_belong_to(each)

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(one, replace(attempt, task=f"many[{number}]", session_id=str(uuid4())))


async def is_cancelled(run: Running, attempt: Attempt) -> None:
    """A cancellation in the midst ends it within 5 s, emits nothing after that, and another attempt can run."""
    events = Collected()
    with anyio.CancelScope() as scope:

        def emit(event: object) -> None:
            scope.cancel()

        with anyio.fail_after(5, shield=False):
            await run(attempt, emit)
    assert scope.cancelled_caught, "the cancellation was swallowed"
    await run(replace(attempt, number=2, session_id=str(uuid4())), events)
    assert events


PROMISES: tuple[Promise, ...] = (gives_result, emits_its_own, runs_many, is_cancelled)
