"""The contract that every executor keeps.

@pytest.mark.anyio
@pytest.mark.parametrize("check", CHECKS)
async def test_contract(check):
    await check(MyExecutor(), sample_attempt())
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import uuid4

from orchestrator.events import CheckFinished
from orchestrator.protocols import Emit, Executor
from orchestrator.task import Attempt, Outcome, Result
from orchestrator.testing.running import PROMISES, Promise
from orchestrator.testing.samples import Collected

Check = Callable[[Executor, Attempt], Awaitable[None]]


def _check(promise: Promise) -> Check:
    async def check(executor: Executor, attempt: Attempt) -> None:
        async def run(attempt: Attempt, emit: Emit) -> Result:
            return await executor.run(attempt, emit)

        await promise(run, attempt)

    check.__name__, check.__doc__ = f"check_{promise.__name__}", promise.__doc__
    return check


async def check_ends_in_time(executor: Executor, attempt: Attempt) -> None:
    """An attempt whose timeout is shorter than its work ends as a timeout, with a reason."""
    result = await executor.run(replace(attempt, timeout=0.01), Collected())
    assert result.outcome is Outcome.TIMEOUT, f"{result.outcome}: {result.error}"
    assert result.error


async def check_measures(executor: Executor, attempt: Attempt) -> None:
    """A result tells how many seconds it took."""
    result = await executor.run(attempt, Collected())
    assert result.duration >= 0.01, f"duration is {result.duration}"


async def check_is_proven(executor: Executor, attempt: Attempt) -> None:
    """An attempt whose checks pass is ok; when one fails it is not, and keeps what the agent gave."""
    events = Collected()
    result = await executor.run(replace(attempt, checks=("true",)), events)
    assert result.ok, f"{result.outcome}: {result.error}"
    bad = await executor.run(replace(attempt, checks=("true", "false", "true"), session_id=str(uuid4())), events)
    assert (bad.outcome, bad.text) == (Outcome.CHECKS_FAILED, result.text), f"{bad.outcome}: {bad.error}"
    assert "false" in (bad.error or ""), f"the error does not name the check: {bad.error}"
    ran = [(event.command, event.exit_code) for event in events if isinstance(event, CheckFinished)]
    assert ran == [("true", 0), ("true", 0), ("false", 1)], f"these checks were told of: {ran}"
    assert events.all_belong_to(attempt), f"an event is of another attempt: {events}"


CHECKS: tuple[Check, ...] = (*map(_check, PROMISES), check_ends_in_time, check_measures, check_is_proven)
"""What every executor promises, of an attempt that takes more than a hundredth of a second and succeeds."""


async def check_executor(executor: Executor, attempt: Attempt) -> None:
    """The whole contract, with an attempt that takes more than a hundredth of a second and succeeds.

    Raises AssertionError with what was not kept.
    """
    for check in CHECKS:
        await check(executor, attempt)
