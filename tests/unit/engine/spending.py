"""Agents that cost something reply by reply, and stop at what they are granted, as the CLI has it."""

from dataclasses import dataclass, field

import anyio

from orchestrator.events import AgentMessage, SessionStarted
from orchestrator.protocols import CallTool, Emit, no_tools
from orchestrator.task import Attempt, Outcome, Result, Spent, Usage

MODEL = "m"


@dataclass
class Spenders:
    """An Executor. A task replies as often as `replies` says, each time for `usd` and a second; sessions keep count."""

    replies: dict[str, int]
    usd: float = 0.01
    tokens: int = 1000
    tells: bool = True
    """Whether an attempt that is broken off tells what it has cost."""
    done: dict[str, int] = field(default_factory=dict)
    """Replies by task, over all sessions."""
    sessions: dict[str, int] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    paid: float = 0.0

    async def run(self, attempt: Attempt, emit: Emit, call: CallTool = no_tools) -> Result:
        """Replies until the task is done, or the attempt has spent what it may."""
        self.attempts.append(attempt)
        session, usd, replies = attempt.resume or attempt.session_id, 0.0, 0
        emit(SessionStarted(task=attempt.task, attempt=attempt.number, session_id=session, directory="/", how="fresh"))
        try:
            while self.sessions.get(session, 0) < self.replies.get(attempt.task, 1):
                await anyio.sleep(1)
                self.sessions[session] = self.sessions.get(session, 0) + 1
                self.done[attempt.task] = self.done.get(attempt.task, 0) + 1
                usd, replies, self.paid = usd + self.usd, replies + 1, self.paid + self.usd
                emit(self._reply(attempt, f"reply {self.sessions[session]}"))
                if attempt.agent.usd is not None and usd >= attempt.agent.usd:
                    break
        finally:
            if self.tells:
                emit(AgentMessage(task=attempt.task, attempt=attempt.number, type="ResultMessage", cost_usd=usd))
        is_done = self.sessions.get(session, 0) >= self.replies.get(attempt.task, 1)
        spent = Spent(usd=usd, input_tokens=self.tokens * replies)
        return Result(
            task=attempt.task,
            outcome=Outcome.OK if is_done else Outcome.MAX_USD,
            text="done" if is_done else "",
            session_id=session,
            usage=Usage(input_tokens=spent.input_tokens),
            cost_usd=usd,
            models={MODEL: spent},
            turns=replies,
        )

    def _reply(self, attempt: Attempt, text: str) -> AgentMessage:
        return AgentMessage(
            task=attempt.task,
            attempt=attempt.number,
            type="AssistantMessage",
            turns=1,
            input_tokens=self.tokens,
            model=MODEL,
            data={"content": [{"block": "TextBlock", "text": text}]},
        )
