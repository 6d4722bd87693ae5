"""The agent runner for the real thing: one Claude CLI process per attempt, through the SDK."""

import logging
import os
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from claude_agent_sdk import AssistantMessage, ResultMessage, SystemMessage, query

from orchestrator.agents.options import to_options
from orchestrator.agents.outcome import Ending, judge
from orchestrator.agents.process import Den, ended_on_cancel, find_claude, open_den
from orchestrator.agents.translate import Message, describe_denial, to_event, to_usage
from orchestrator.protocols import Emit, Upstream
from orchestrator.task import Attempt, Outcome, Result
from workspaces import Workspace

STDERR_LINES = 20
HOPELESS = (401, 403)

# What it would print of a stream that ends badly is told by the outcome; a handler of the user's own still gets it.
logging.getLogger("claude_agent_sdk").addHandler(logging.NullHandler())


class ClaudeRunner:
    """Runs attempts in CLI processes of their own; make one with `open_claude`."""

    def __init__(self, den: Den, upstream: Upstream | None) -> None:
        self._den = den
        self._upstream = upstream
        # Twenty starting at once on 2 cores do their first work after 8 to 12 s, two at a time after 0.7 s.
        self._start_gate = anyio.CapacityLimiter(os.cpu_count() or 2)

    async def run(self, attempt: Attempt, workspace: Workspace, emit: Emit) -> Result:
        """Starts the CLI, reads its stream to the end, and says what came of it."""
        if self._upstream:
            self._upstream.announce(attempt)
        ending = Ending()
        async with ended_on_cancel(self._den.lease(attempt.session_id)) as give_up:
            try:
                await self._drain(attempt, workspace, emit, ending, give_up)
            except Exception as error:
                ending.error = error
        return to_result(attempt, ending)

    async def _drain(
        self, attempt: Attempt, workspace: Workspace, emit: Emit, ending: Ending, give_up: Callable[[], None]
    ) -> None:
        stderr: deque[str] = deque(maxlen=STDERR_LINES)
        seen: set[str] = set()
        options = to_options(attempt, workspace.path, self._den, self._upstream, stderr.append)
        try:
            async for message in self._started_through_gate(query(prompt=attempt.prompt, options=options)):
                emit(to_event(attempt, message, seen))
                note(ending, message)
                if is_hopeless(message) and ending.hopeless is None:
                    ending.hopeless = message.data
                    give_up()  # and read on: the stream ends when the CLI does
        finally:
            ending.stderr = list(stderr)

    async def _started_through_gate(self, stream: AsyncIterator[Message]) -> AsyncIterator[Message]:
        """The stream; until its first message comes, it holds one of the places for processes that are starting."""
        async with self._start_gate:
            first = await anext(stream, None)
        if first is not None:
            yield first
            async for message in stream:
                yield message


def note(ending: Ending, message: Message) -> None:
    """Keeps what of a message counts for the ending. Of several results the last good one does."""
    match message:
        case AssistantMessage(error=str(kind)):
            ending.api_error = kind
        case ResultMessage(is_error=bad) if not bad or ending.message is None or ending.message.is_error:
            ending.message = message


def is_hopeless(message: Message) -> bool:
    """Whether the CLI is about to try for minutes what cannot succeed: it treats a 401 as it does a 500."""
    return (
        isinstance(message, SystemMessage)
        and message.subtype == "api_retry"
        and message.data.get("error_status") in HOPELESS
    )


def to_result(attempt: Attempt, ending: Ending) -> Result:
    """The attempt's result, whether good or bad."""
    outcome, why = judge(ending, attempt.schema)
    message = ending.message
    if message is None:
        return Result(task=attempt.task, outcome=outcome, session_id=attempt.session_id, error=why)
    return Result(
        task=attempt.task,
        outcome=outcome,
        text=message.result or "",
        value=message.structured_output if outcome is Outcome.OK else None,
        session_id=message.session_id,
        usage=to_usage(message.usage),
        cost_usd=message.total_cost_usd or 0.0,
        turns=message.num_turns,
        denials=tuple(describe_denial(denial) for denial in message.permission_denials or ()),
        error=why,
        message=message,
    )


@asynccontextmanager
async def open_claude(upstream: Upstream | None = None) -> AsyncIterator[ClaudeRunner]:
    """A runner whose processes are all ended when the block is left, or when this process dies.

    With an upstream, the agents ask it in place of the Anthropic API, and see nothing of the user's account.
    Raises UsageError when there is no Claude CLI.
    """
    with open_den(find_claude()) as den:
        yield ClaudeRunner(den, upstream)
