"""A script with every pattern, stopped at any moment and run again: it comes to the same, and nothing is paid twice."""

from collections import Counter
from typing import Any

import anyio
import pytest
from running import Stage

from orchestrator import Plan, Result, Run
from orchestrator.events import AttemptFinished, RunStarted, TaskAdded
from orchestrator.state import RunState
from orchestrator.task import Attempt, Outcome
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio

PLAN = Plan.model_validate(
    {
        "vars": {"topics": ["a", "b"]},
        "tasks": {
            "ask": {"foreach": "{{ vars.topics }}", "prompt": "ask {{ item }}"},
            "sum": {"prompt": "sum {{ tasks.ask.texts | join(', ') }}"},
        },
    }
)
PARTS = {"parts": [{"title": "x", "task": "do x"}, {"title": "y", "task": "do y"}, {"title": "z", "task": "do z"}]}
ANSWERS = {"all.v[0]": "blue", "all.v[1]": "green", "all.v[2]": "Blue", "all.w[2]": "?", "all.w[4]": "?"}


def answer(attempt: Attempt) -> Reply:
    """Each task takes a time of its own, and says what it was asked; one part fails, voters differ."""
    seconds = 2 + sum(map(ord, attempt.task)) % 9
    if attempt.task == "all.f.part[1]":
        return Reply("no", outcome=Outcome.REFUSED, seconds=seconds)
    values = {"all.f.split": PARTS, "all.v.judge": {"choice": 2, "reason": "calm"}}
    text = ANSWERS.get(attempt.task, "yes" if ".w[" in attempt.task else f"<{attempt.prompt}>")
    return Reply(text, value=values.get(attempt.task), seconds=seconds)


def refine(before: Result, item: str) -> str | None:
    return None if item == "b" else f"refine {before.text}"


async def script(run: Run) -> dict[str, Any]:
    """All patterns at once, in a group; what they came to."""
    told: dict[str, Any] = {}

    async def keep(name: str, asked: Any) -> None:
        told[name] = await asked

    async with run.group("all") as inside, anyio.create_task_group() as group:
        group.start_soon(keep, "judged", inside.vote("which", times=3, key="v", judge="calm", retries=0))
        group.start_soon(keep, "voted", inside.vote("whether", times=6, key="w", retries=0))
        group.start_soon(keep, "staged", inside.pipeline([*"abc"], "look at {}", refine, "end {}", key="p"))
        group.start_soon(keep, "joined", inside.fan_out("all of it", key="f", retries=0))
        group.start_soon(keep, "planned", inside.plan(PLAN, key="plan"))
    last = await run.agent("last", key="last", needs=[{"task": "all", "allow": "failed"}])
    return {
        "judged": (told["judged"].text, told["judged"].note),
        "voted": told["voted"].text,
        "staged": told["staged"].texts,
        "joined": (told["joined"].text, told["joined"].note),
        "planned": {name: result.text for name, result in told["planned"].items()},
        "last": last.text,
    }


async def finished(stage: Stage) -> dict[str, Any]:
    async with stage.open() as run:
        return await script(run)


async def test_stopped_anywhere() -> None:
    """Wherever it was stopped, the same script comes to the same, and no task that succeeded is asked again."""
    whole = await finished(Stage(answer, concurrent=5))
    for moment in range(1, 40, 4):
        stage = Stage(answer, concurrent=5)
        with anyio.move_on_after(moment + 0.5):
            await finished(stage)
        if stage.state.finished and stage.state.finished.complete:
            break
        assert await finished(stage) == whole
        paid = Counter(event.task for event in stage.of(AttemptFinished) if event.outcome == Outcome.OK)
        assert set(paid.values()) == {1}, (moment, paid)
        assert len(stage.of(RunStarted)) == 2
    assert moment > 20


async def test_stopped_again_and_again() -> None:
    """Stopped every few seconds, it gets to its end all the same."""
    whole = await finished(Stage(answer, concurrent=5))
    stage = Stage(answer, concurrent=5)
    for _ in range(20):
        with anyio.move_on_after(11.5):
            assert await finished(stage) == whole
            break
    assert stage.state.finished is not None
    assert stage.state.finished.complete
    paid = Counter(event.task for event in stage.of(AttemptFinished) if event.outcome == Outcome.OK)
    assert set(paid.values()) == {1}


async def test_every_view_has_the_tree() -> None:
    """The journal alone tells the tree: each part is in its group, at any depth."""
    stage = Stage(answer, concurrent=5)
    await finished(stage)
    state: RunState = stage.state
    for event in stage.of(TaskAdded):
        if event.parent is not None:
            assert event.task in (state.tasks[event.parent].parts or [])
            assert event.task.startswith(event.parent)
    assert {event.task_kind for event in stage.of(TaskAdded)} == {"agent", "group", "loop", "pipeline", "plan", "vote"}
