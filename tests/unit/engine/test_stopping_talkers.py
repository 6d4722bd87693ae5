"""Agents that add tasks, wait, write, publish and ask, killed at any moment: nothing is paid or said twice."""

from contextlib import suppress
from typing import Any

import pytest
from colleagues import BOTH, TALKS, add
from running import Stage

from orchestrator import Run, UsageError
from orchestrator.events import MessageSent, TaskFinished
from orchestrator.protocols import CallTool
from orchestrator.task import Attempt, Status
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio


async def boss(call: CallTool) -> str:
    await call("spawn_task", {"name": "x", "prompt": "do x"})
    await call("spawn_task", {"name": "y", "prompt": "do y", "needs": ["x"]})
    with suppress(UsageError):  # it may have ended by now
        await call("send_message", {"to": "peer", "text": "hello"})
        await call("send_message", {"to": "peer", "text": "hello"})  # once more, and meant so
    await call("publish", {"key": "port", "value": 80})
    found = await call("await_tasks", {})
    why = await call("ask", {"to": "x", "question": "why?"})
    return f"{[each['text'] for each in found['tasks']]} {why['answer']}"


async def peer(call: CallTool) -> str:
    read: list[Any] = []
    while len(read) < 2:
        read += (await call("read_messages", {"wait_s": 600}))["messages"]
    port = (await call("lookup", {"key": "port", "wait_s": 600}))["value"]
    return f"{[each['text'] for each in read]} {port}"


def script(attempt: Attempt) -> Reply:
    acts = {"boss": boss, "peer": peer}
    text = "because" if attempt.fork else f"<{attempt.task}>"
    return Reply(text, seconds=1 + len(attempt.task) % 3, act=acts.get(attempt.task), cost_usd=0.01)


async def tasks(run: Run) -> None:
    add(run, "boss", BOTH)
    add(run, "peer", TALKS)
    add(run, "after", needs=["boss"])
    add(run, "last", needs=["after", "peer"])


def came_to(story: Stage) -> dict[str, Any]:
    return {task.id: (task.result or {})["text"] for task in story.state.tasks.values() if ".ask-" not in task.id}


@pytest.mark.parametrize("width", [1, 3])
async def test_killed_anywhere(width: int) -> None:
    """Whatever of the journal was kept, what had finished is not done again, and each message was sent as often."""
    whole = Stage(script, width)
    async with whole.open() as run:
        await tasks(run)
    for kept in range(1, len(whole.journal.records)):
        story = Stage(script, width)
        for record in whole.journal.records[:kept]:
            story.journal.append(record.run, record.event)
        before = story.of(TaskFinished)
        async with story.open(run=run.id) as again:
            await tasks(again)
        assert came_to(story) == came_to(whole), kept
        asked = {attempt.task for attempt in story.executor.attempts}
        assert asked.isdisjoint(event.task for event in before if event.status == Status.DONE), kept
        assert len(story.of(MessageSent)) == 2, kept


async def test_edited_in_between() -> None:
    """A spawner that is asked something else has none of its former tasks; what asks the same takes what there is."""

    async def other(call: CallTool) -> None:
        await call("spawn_task", {"name": "z", "prompt": "do x"})

    whole = Stage(script)
    async with whole.open() as run:
        await tasks(run)
    story = Stage(lambda attempt: Reply("new", act=other if attempt.task == "boss" else None))
    records = [each for each in whole.journal.records if getattr(each.event, "task", "") not in ("after", "last")]
    for record in records[:-1]:
        story.journal.append(record.run, record.event)
    async with story.open(run=run.id) as again:
        add(again, "boss", BOTH)
        add(again, "peer", TALKS)
    assert set(story.statuses) == {"boss", "peer", "boss.x", "boss.y"}
    async with story.open(run=run.id) as again:
        add(again, "boss", BOTH, checks=["true"])
        add(again, "peer", TALKS)
    assert set(story.statuses) == {"boss", "peer", "boss.z"}
    assert [attempt.task for attempt in story.executor.attempts] == ["boss"]
    assert came_to(story)["boss.z"] == "<boss.x>"
