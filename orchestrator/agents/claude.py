"""The agent runner for the real thing: one Claude CLI process per attempt, through the SDK."""

import logging
import os
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeGuard

import anyio
from anyio.abc import TaskStatus
from claude_agent_sdk import AssistantMessage, ResultMessage, SystemMessage, query

from orchestrator.agents.options import to_options, write_settings
from orchestrator.agents.outcome import Ending, judge
from orchestrator.agents.translate import Message, describe_denial, to_event, to_usage
from orchestrator.processes.den import Den, OwnedProcess, find_claude, open_den, owned_process
from orchestrator.protocols import Emit, Upstream
from orchestrator.task import Attempt, Outcome, Result
from workspaces import Workspace

STDERR_LINES = 20
LONGEST_START = 10.0
"""Seconds that a process may keep others from starting."""
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
        async with owned_process(self._den.lease(attempt.session_id)) as process:
            try:
                await self._drain(attempt, workspace, emit, ending, process)
            except Exception as error:
                ending.error = error
        try:
            return to_result(attempt, ending)
        except Exception as error:
            return to_result(attempt, Ending(error=error))

    async def _drain(
        self, attempt: Attempt, workspace: Workspace, emit: Emit, ending: Ending, process: OwnedProcess
    ) -> None:
        stderr: deque[str] = deque(maxlen=STDERR_LINES)
        seen: set[str] = set()
        started = anyio.Event()
        options = to_options(attempt, workspace.path, self._den, self._upstream, stderr.append)
        await process.group.start(self._hold_place, started)
        try:
            async for message in query(prompt=attempt.prompt, options=options):
                started.set()
                emit(to_event(attempt, message, seen))
                note(ending, message)
                if is_hopeless(message) and ending.hopeless is None:
                    ending.hopeless = message.data
                    process.end()  # and read on: the stream ends when the CLI does
        finally:
            started.set()
            ending.stderr = list(stderr)

    async def _hold_place(self, started: anyio.Event, *, task_status: TaskStatus[None]) -> None:
        """Holds one of the places for processes that are starting, though not for long: a hook may take its time."""
        async with self._start_gate:
            task_status.started()
            with anyio.move_on_after(LONGEST_START):
                await started.wait()


def note(ending: Ending, message: Message) -> None:
    """Keeps what of a message counts for the ending. Of several results the last good one does."""
    ending.began = True
    match message:
        case AssistantMessage(error=str(kind)):
            ending.api_error = kind
        case ResultMessage(is_error=bad) if not bad or ending.message is None or ending.message.is_error:
            ending.message = message


def is_hopeless(message: Message) -> TypeGuard[SystemMessage]:
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
    async with open_den(find_claude()) as den:
        write_settings(den, upstream)
        yield ClaudeRunner(den, upstream)
