"""The clocks of an attempt: how long its CLI may take to start, be silent, keep a tool at work, and go."""

import math

import anyio
from claude_agent_sdk import (
    AssistantMessage,
    ResultMessage,
    SystemMessage,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
)

from orchestrator.agents.outcome import Verdict
from orchestrator.agents.translate import Message
from orchestrator.pauses import Pauses
from orchestrator.plan.model import Agent
from orchestrator.task import Outcome

LONGEST_EXIT = 10.0
"""Seconds that a CLI may take to go once it has given its result."""


class Clock:
    """Is told of every message, and says when it is time to give up."""

    def __init__(self, agent: Agent, timeout: float | None = None) -> None:
        """`timeout`: seconds for all of it, from the start of the process."""
        self._agent, self._timeout = agent, timeout
        self._started = self._last = anyio.current_time()
        self.pauses = Pauses(self._go_on)
        """While the agent waits for its run no time passes."""
        self._tools: dict[str, tuple[float, str]] = {}
        self.background = ""
        """What is at work in the background."""
        self._began = self._finished = False
        self._heard = anyio.Event()
        self._waits_until = -math.inf
        """When `strikes` looks again by itself."""

    def start(self) -> None:
        """The process is being started now."""
        self._started = self._last = anyio.current_time()

    def _go_on(self, waited: float) -> None:
        now = anyio.current_time()
        self._started, self._last = self._started + waited, now
        self._tools = {use: (min(since + waited, now), name) for use, (since, name) in self._tools.items()}
        self._wake()

    def _wake(self) -> None:
        """Has `strikes` look again if time is up earlier than it thinks; most messages only put that off."""
        if self.due()[0] < self._waits_until:
            self._heard.set()
            self._heard = anyio.Event()

    def heed(self, message: Message) -> None:
        """Any message is a sign of life."""
        self._last, self._began = anyio.current_time(), True
        match message:
            case AssistantMessage(content=list(blocks)):
                self._finished = False
                uses = (block for block in blocks if isinstance(block, ToolUseBlock))
                self._tools |= {use.id: (self._last, use.name) for use in uses}
            case UserMessage(content=list(blocks)):
                for block in blocks:
                    if isinstance(block, ToolResultBlock):
                        self._tools.pop(block.tool_use_id, None)
            case SystemMessage(subtype="background_tasks_changed", data=data):
                self.background = ", ".join(str(each.get("description")) for each in data.get("tasks") or ())
            case ResultMessage():
                self._finished = True
                self._tools.clear()
        self._wake()

    async def strikes(self) -> Verdict | None:
        """Returns when time is up, with what that makes of the attempt; None when it had given its result."""
        while True:
            at, verdict = self.due()
            if anyio.current_time() >= at:
                return verdict
            self._waits_until = at
            with anyio.CancelScope(deadline=at):
                await self._heard.wait()

    def due(self) -> tuple[float, Verdict | None]:
        """When time is up (by the event loop's clock) if nothing more is heard, and what that makes of the attempt."""
        if self.pauses.on:
            return math.inf, None
        at, verdict = self._next()
        if self._timeout is None or self._started + self._timeout > at:
            return at, verdict
        return self._started + self._timeout, (
            None if self._finished else (Outcome.TIMEOUT, f"it took longer than its timeout of {self._timeout:g} s")
        )

    def _next(self) -> tuple[float, Verdict | None]:
        agent = self._agent
        if not self._began:
            why = f"its process was not up within {agent.start_timeout:g} s (start_timeout)"
            return self._started + agent.start_timeout, (Outcome.NOT_STARTED, why)
        if self._tools:
            since, tool = min(self._tools.values())
            why = f"its tool {tool} took longer than {agent.tool_timeout:g} s (tool_timeout)"
            return since + agent.tool_timeout, (Outcome.STALLED, why)
        if self.background:
            why = f"in the background nothing was heard for {agent.tool_timeout:g} s (tool_timeout): {self.background}"
            return self._last + agent.tool_timeout, None if self._finished else (Outcome.STALLED, why)
        if self._finished:
            return self._last + LONGEST_EXIT, None
        why = f"it was silent for {agent.idle_timeout:g} s (idle_timeout)"
        return self._last + agent.idle_timeout, (Outcome.STALLED, why)
