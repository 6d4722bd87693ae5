"""Does what agents at work ask of their run, and tells them what cannot be done."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match

from orchestrator.engine.steps import Ask
from orchestrator.engine.talking.floor import Caller
from orchestrator.engine.talking.post import Post
from orchestrator.engine.talking.staff import Staff
from orchestrator.errors import UsageError
from orchestrator.events import Event, TaskSpawned
from orchestrator.plan.words import listed, shorten
from orchestrator.task import Attempt, plain
from orchestrator.tools import ALL, tools_of


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a run's agents turn to."""

    post: Post
    staff: Staff

    async def call(self, attempt: Attempt, tool: str, given: Mapping[str, Any]) -> Any:
        """What the agent is told. Raises UsageError for what cannot be done."""
        given = sound(given)
        check(attempt, tool, given)
        tools: Mapping[str, Callable[[Caller, Mapping[str, Any]], Awaitable[Any]]] = {
            "send_message": self.post.send_message,
            "read_messages": self.post.read_messages,
            "publish": self.post.publish,
            "lookup": self.post.lookup,
            "ask": self.staff.ask,
            "spawn_task": self.staff.spawn_task,
            "await_tasks": self.staff.await_tasks,
        }
        return await tools[tool](Caller.of(attempt), given)

    def heed(self, event: Event) -> None:
        """Is told of every event of the run."""
        self.post.heed(event)

    def restore(self, task: str, step: Ask, before: Sequence[TaskSpawned]) -> None:
        """Adds what the task's agent had added before the run was gone on with."""
        self.staff.restore(task, step, before)


def check(attempt: Attempt, tool: str, given: Mapping[str, Any]) -> None:
    """Raises UsageError for a tool that the attempt's agent may not use, and for input that it does not take."""
    names = [each.name for each in tools_of(attempt.agent)]
    if tool not in names:
        there = f"expected one of {listed(names)}" if names else "this agent has none (talk, spawn)"
        raise UsageError(f"found {tool!r} as a tool of the run, {there}")
    if fault := best_match(Draft202012Validator(ALL[tool].schema).iter_errors(dict(given))):
        where = ".".join(map(str, fault.absolute_path))
        raise UsageError(f"{f'{where}: ' if where else ''}{shorten(why(fault), 300)}")


def why(fault: ValidationError) -> str:
    """What is wrong, without repeating megabytes that are."""
    if fault.validator == "maxLength":
        return f"found {len(str(fault.instance))} characters, expected {fault.validator_value} at most"
    found = repr(fault.instance)
    return fault.message.replace(found, shorten(found), 1)


def sound(given: Mapping[str, Any]) -> dict[str, Any]:
    """The input as the journal can keep it, without numbers that are none, and halves of characters.

    Raises UsageError for what is too deep, or too long a number, to be written down.
    """
    try:
        text = json.dumps(plain(given), ensure_ascii=False)
        return dict(json.loads(text.encode("utf-8", "replace")))
    except (RecursionError, ValueError) as error:
        raise UsageError(f"found what cannot be written down as JSON: {error}") from error
