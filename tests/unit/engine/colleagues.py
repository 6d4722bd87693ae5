"""Agents that use the run's tools, by a script for each task."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from running import Stage

from orchestrator import Agent, Run, Task
from orchestrator.events import AttemptFinished, AttemptStarted, TaskFinished, TaskWaits
from orchestrator.plan.model import Spawn
from orchestrator.protocols import CallTool
from orchestrator.task import Attempt, Outcome
from orchestrator.testing import Reply

Act = Callable[[CallTool], Awaitable[str | None]]
TALKS = Agent(talk=True)
SPAWNS = Agent(spawn=Spawn())
BOTH = Agent(talk=True, spawn=Spawn())


def acting(acts: Mapping[str, Act | Reply], seconds: float = 1.0) -> Callable[[Attempt], Reply]:
    """A script in which each task does its act; one without any says its own prompt."""

    def script(attempt: Attempt) -> Reply:
        act = acts.get(attempt.task)
        if isinstance(act, Reply):
            return act
        return Reply(f"said {attempt.prompt}", seconds=seconds, act=act, cost_usd=0.01)

    return script


def stage(concurrent: int = 4, /, **acts: Act | Reply) -> Stage:
    """A stage for tasks with these names (`_` stands for a dot)."""
    return Stage(acting({name.replace("__", "."): act for name, act in acts.items()}), concurrent)


def add(run: Run, name: str, agent: Agent = TALKS, **more: Any) -> None:
    """A task of that name, whose prompt is its name."""
    run.submit(Task(name, key=name, agent=agent, retries=more.pop("retries", 0), **more))


def told(stage: Stage, task: str) -> str:
    """What the task said, or why it failed."""
    result = stage.state.tasks[task].result
    assert result is not None
    return str(result["text"] if result["outcome"] == Outcome.OK else result["error"])


def most_at_work(stage: Stage) -> int:
    """How many agents were at work at once, by the journal; one that waits for something of the run is not."""
    most, at_work = 0, set[str]()
    for event in stage.events:
        match event:
            case AttemptStarted(task=task) | TaskWaits(task=task, waits_for=None):
                at_work.add(task)
            case AttemptFinished(task=task) | TaskFinished(task=task) | TaskWaits(task=task):
                at_work.discard(task)
        most = max(most, len(at_work))
    return most
