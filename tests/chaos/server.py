"""The API of a round: a scripted model behind a loopback server, which notes who asks, and makes trouble on demand."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from anyio.from_thread import start_blocking_portal

from orchestrator.gateway.errors import ApiError
from orchestrator.gateway.model.conversation import read_conversation
from orchestrator.gateway.model.offline import OfflineModel
from orchestrator.gateway.seam import ApiEvent, Call
from orchestrator.gateway.server import open_gateway
from orchestrator.plan.model import Agent
from orchestrator.task import Attempt
from tests.chaos.kinds import MARKER, Expected
from workspaces import WorkspaceSpec

QUICKEST, SLOWEST = 0.05, 0.6
"""Seconds before a reply begins."""
HANG = 3600.0
NO_ROOM = re.compile("ENOSPC|EFBIG|No space left|File too large")
CUT_OFF = "[Tool call interrupted: there was no room]"


class CutOff(BaseException):
    """Ends a reply in the middle of it. (An Exception would be told to the client.)"""


@dataclass
class UsageLimit(ApiError):
    """A 429 as accounts with a subscription get it."""

    resets_at: float = 0.0
    """Unix time, s."""

    def headers(self, request_id: str) -> dict[str, str]:
        told = {"status": "rejected", "reset": f"{self.resets_at:.0f}"}
        unified = {f"anthropic-ratelimit-unified-{name}": value for name, value in told.items()}
        return super().headers(request_id) | unified


@dataclass(slots=True)
class Asked:
    """A request."""

    at: float
    """Unix time, s."""
    session: str
    task: str | None
    """None when the CLI asks for itself."""
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """What befalls some of the tasks' requests."""

    name: str
    """`hang`, `cut`, or the status of an error."""
    first: int
    """Requests before it begins."""
    times: int
    final: bool = False
    """Whether the client is told not to try again."""
    retry_after: float | None = None
    """Seconds after which it is."""
    reset: float | None = None
    """Seconds until a subscription's usage limit, which is the cause, is reset."""

    @property
    def error(self) -> ApiError:
        """What the client is told."""
        if self.reset is not None:
            return UsageLimit(429, retry_after=self.retry_after, final=True, resets_at=time.time() + self.reset)
        return ApiError(int(self.name), retry_after=self.retry_after, final=self.final)

    def befalls(self, number: int) -> bool:
        """Whether this request, counted from 0, is one of them."""
        return self.first <= number < self.first + self.times


@dataclass
class ScriptedModel(OfflineModel):
    """The offline model, playing the tasks' steps, a random short time later."""

    random: Random
    tasks: Mapping[str, Expected]
    trouble: Trouble | None = None
    asked: list[Asked] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        asked = Asked(time.time(), call.session_id or "", task_of(call))
        number = sum(each.task is not None for each in self.asked)
        self.asked.append(asked)
        if asked.task is None:
            return await super().answer(call)
        if asked.task in self.tasks:
            self.announce(to_attempt(self.tasks[asked.task], asked.session))
        trouble = self.trouble if self.trouble and self.trouble.befalls(number) else None
        asked.trouble = trouble.name if trouble else None
        await asyncio.sleep(self.random.uniform(QUICKEST, SLOWEST))
        call = replace(call, body={**call.body, "messages": retold(call.body["messages"])})
        return await self.disturb(trouble, call) if trouble else await super().answer(call)

    async def disturb(self, trouble: Trouble, call: Call) -> AsyncIterator[ApiEvent]:
        match trouble.name:
            case "hang":
                await asyncio.sleep(HANG)
            case "cut":
                return cut_off(await super().answer(call))
        raise trouble.error


def retold(value: Any) -> Any:
    """The messages, where a call that failed for want of room looks as if it had been cut off: it is made once more."""
    match value:
        case {"type": "tool_result", "is_error": True} if NO_ROOM.search(json.dumps(value)):
            return {**value, "content": CUT_OFF}
        case Mapping():
            return {key: retold(item) for key, item in value.items()}
        case list():
            return [retold(item) for item in value]
    return value


async def cut_off(events: AsyncIterator[ApiEvent]) -> AsyncIterator[ApiEvent]:
    """The beginning of a reply."""
    async for event in events:
        yield event
        if event["type"] == "content_block_delta":
            await asyncio.sleep(0.1)
            raise CutOff


def task_of(call: Call) -> str | None:
    """The task whose marker comes first among the words of the conversation; None for requests of the CLI's own."""
    if read_conversation(call).small:
        return None
    found = re.search(MARKER, "\n".join(texts(call.body["messages"])))
    return found.group(1) if found else None


def texts(value: Any) -> Iterator[str]:
    """All texts in the value, in order."""
    match value:
        case str():
            yield value
        case Mapping():
            for item in value.values():
                yield from texts(item)
        case list():
            for item in value:
                yield from texts(item)


def to_attempt(task: Expected, session: str) -> Attempt:
    """What the offline model has to know to play the task's steps."""
    return Attempt(
        run="",
        task=task.name,
        number=1,
        prompt=f"[task {task.name}]",
        agent=Agent(),
        workspace=WorkspaceSpec(),
        session_id=session,
        rehearsal=tuple(task.steps),
    )


@contextmanager
def serving(model: ScriptedModel) -> Iterator[dict[str, str]]:
    """Environment variables that lead a CLI to the model, as long as the block lasts."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(open_gateway(model)) as upstream:
        yield {**upstream.env, "ANTHROPIC_API_KEY": "sk-ant-made-up"}
