"""What a script may not ask for: it is told, and nothing is started."""

from typing import Any

import pytest
from running import Stage

from orchestrator import Run, UsageError

pytestmark = pytest.mark.anyio


async def stream(run: Run, items: Any) -> None:
    async with run.as_completed("x {}", items) as results:
        async for _ in results:
            pass


@pytest.mark.parametrize("items", [5, None, "abc", b"abc", {"a": 1}])
async def test_a_loop_over_no_list(items: Any) -> None:
    """A number, nothing, a text or a mapping is no list of items: a text is no loop over its letters."""
    stage = Stage()
    async with stage.open() as run:
        for ask in (
            lambda: run.map("x {}", items),
            lambda: run.pipeline(items, "x {}"),
            lambda: stream(run, items),
        ):
            with pytest.raises(UsageError, match=r"items: found .*, expected a list"):
                await ask()
    assert not stage.asked


async def test_a_vote_on_a_part_of_no_value() -> None:
    """`on` without `returns` is refused: the answers would all be texts, and nobody would have a vote."""
    stage = Stage()
    async with stage.open() as run:
        with pytest.raises(UsageError, match="on: found the text 'level' in a vote without returns, expected both"):
            await run.vote("x", times=3, on="level")
    assert not stage.asked


@pytest.mark.parametrize("plan", [5, None, ["plan.yaml"]])
async def test_what_is_no_plan(plan: Any) -> None:
    """Neither a plan nor a path: told in words."""
    async with Stage().open() as run:
        with pytest.raises(UsageError, match=r"plan: found .*, expected a Plan, or the path"):
            await run.plan(plan)


async def test_needs_as_in_a_plan() -> None:
    """`{"task": x}` is a need as in a plan file; a mapping that is none is shown."""
    stage = Stage()
    async with stage.open() as run:
        await run.agent("first", key="a")
        assert (await run.agent("second", key="b", needs=[{"task": "a"}])).ok
        with pytest.raises(UsageError, match=r"found \{'task': 'a', 'allow': 'maybe'\}, expected"):
            await run.agent("third", needs=[{"task": "a", "allow": "maybe"}])
