"""What a task costs the run does not grow with the run: counted in calls, not in time."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import anyio
import pytest
from running import Stage

from orchestrator import Task
from orchestrator.engine.steps import Call, Expand, Node
from orchestrator.events import TaskAdded, TaskExpanded
from orchestrator.state import RunState
from orchestrator.task import Result

pytestmark = pytest.mark.anyio


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Counts calls of Python functions by name."""
    calls: Counter[str] = Counter()

    def heed(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            calls[frame.f_code.co_name] += 1

    sys.setprofile(heed)
    try:
        yield calls
    finally:
        sys.setprofile(None)


async def test_what_a_loop_gave_is_hashed_once() -> None:
    """Each of many tasks that need a loop takes the hash of what its parts gave from the first."""
    story = Stage()
    async with story.open() as run:
        await run.map("{}", range(30), key="one")
        with counted() as calls:
            for number in range(30):
                run.submit(Task("after", key=f"after-{number}", needs=[f"one[{part}]" for part in range(30)]))
            await run._core.wait("after-29")
    assert calls["digest"] == 30


def test_a_group_that_grows_one_by_one() -> None:
    """Adding a part to an open group does not copy those that it has."""
    state = RunState()
    state.apply(added("g", "group"), 0.0)
    state.apply(TaskExpanded(task="g", parts=[], more=True), 0.0)
    parts = state.tasks["g"].parts
    for number in range(5):
        state.apply(TaskExpanded(task="g", parts=[f"g.{number}"], more=True), 0.0)
    assert state.tasks["g"].parts is parts
    assert (parts, state.tasks["g"].open_parts) == ([f"g.{number}" for number in range(5)], 5)


def added(task: str, kind: str) -> TaskAdded:
    return TaskAdded(task=task, title=task, task_kind=kind, needs=[], parent=None, allow_failure=False)


async def test_enough_is_found_once() -> None:
    """A group that has enough ends a thousand other parts without asking again for each of them."""
    asked = []

    def enough(ended: Any) -> bool:
        asked.append(len(ended))
        return True

    def part(number: int) -> Node:
        step = Call(lambda: number)
        return Node(id=f"g[{number}]", title="", kind="call", prepare=lambda: step, parent="g")

    def gather(parts: Any) -> Result:
        return Result(task="g", outcome=parts[0].outcome)

    nodes = tuple(part(number) for number in range(1000))
    story = Stage()
    async with story.open() as run:
        run._core.add(
            [Node(id="g", title="g", kind="vote", prepare=lambda: Expand(nodes, gather=gather, enough=enough))]
        )
        with anyio.fail_after(1000):
            await run._core.wait("g")
    assert asked == [1]
