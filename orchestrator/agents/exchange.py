"""An attempt's CLI at work: started, read to its end, and stopped when its time is up or nobody wants it any more."""

from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TypeGuard

import anyio
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint_if_cancelled
from claude_agent_sdk import (
    AssistantMessage,
    ClaudeAgentOptions,
    RateLimitEvent,
    ResultMessage,
    SystemMessage,
)

from orchestrator.agents.clock import Clock
from orchestrator.agents.conversation import Conversation, open_conversation
from orchestrator.agents.opening import Opening
from orchestrator.agents.outcome import Ending
from orchestrator.agents.signals import heard
from orchestrator.agents.translate import Message, to_event
from orchestrator.events import SessionStarted
from orchestrator.pauses import Pauses
from orchestrator.processes.den import OwnedProcess, owned_process
from orchestrator.protocols import Emit
from orchestrator.task import Attempt

STDERR_LINES = 20
LAST_WORDS = 1.5
"""Seconds that an interrupted CLI has for its result, which tells what it cost: it takes 0.02 to 0.05 s."""
LAST_LINES = 0.2
"""Seconds that it has after that to write its transcript's end. With a tool at work it would take 1.3 s to go."""
HOPELESS = (401, 403)


class Exchange:
    """One process, one prompt. `run` it once."""

    def __init__(self, attempt: Attempt, opening: Opening, place: Path, emit: Emit) -> None:
        self.started = anyio.Event()
        """Set once the CLI has begun, or ended."""
        self._attempt, self._opening, self._place, self._emit = attempt, opening, place, emit
        self._ending = Ending(session_id=opening.session_id, cost_before=opening.cost_usd, models_before=opening.models)
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._seen: set[str] = set()
        self._named = False
        self._told, self._over = anyio.Event(), anyio.Event()
        self._shield = anyio.CancelScope(shield=True)
        self._clock = Clock(attempt.agent, attempt.timeout)

    @property
    def pauses(self) -> Pauses:
        """When its clocks stand still."""
        return self._clock.pauses

    async def run(self, options: ClaudeAgentOptions, lease: Path) -> Ending:
        """What came of it, when the process and all that it started are gone. Only cancellation gets out."""
        options.stderr = self._stderr.append
        conversation = Conversation(self._opening.prompt, options)
        async with anyio.create_task_group() as group:
            await group.start(self._heed_cancellation, conversation)
            with self._shield:
                async with owned_process(lease) as process:
                    await self._read(conversation, process)
            group.cancel_scope.cancel()
        self._ending.stderr = list(self._stderr)
        await checkpoint_if_cancelled()
        return self._ending

    async def _read(self, conversation: Conversation, process: OwnedProcess) -> None:
        clock = self._clock
        clock.start()
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch, clock, conversation)
            try:
                async with open_conversation(conversation):
                    async for message in conversation.messages():
                        clock.heed(message)
                        self._take(message, conversation, process)
            except Exception as error:
                self._ending.error = error
            finally:
                for event in (self.started, self._told, self._over):
                    event.set()
            group.cancel_scope.cancel()

    def _take(self, message: Message, conversation: Conversation, process: OwnedProcess) -> None:
        self.started.set()
        if is_start(message) and not self._named:
            self._named = True
            self._emit(self._session_started(message))
        self._emit(to_event(self._attempt, message, self._seen, self._opening.cost_usd, self._opening.models))
        if signal := heard(self._attempt, message):
            self._emit(signal)
        note(self._ending, message)
        if isinstance(message, ResultMessage):
            self._told.set()
            conversation.finish()
        if is_hopeless(message) and self._ending.hopeless is None:
            self._ending.hopeless = message.data
            process.end()  # and read on: the stream ends when the CLI does

    def _session_started(self, message: SystemMessage) -> SessionStarted:
        return SessionStarted(
            task=self._attempt.task,
            attempt=self._attempt.number,
            session_id=message.data.get("session_id") or self._opening.session_id,
            directory=message.data.get("cwd") or str(self._place),
            how=self._opening.how,
        )

    async def _watch(self, clock: Clock, conversation: Conversation) -> None:
        self._ending.given_up = await clock.strikes()
        await self._stop(conversation)

    async def _heed_cancellation(self, conversation: Conversation, *, task_status: TaskStatus[None]) -> None:
        try:
            task_status.started()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await self._stop(conversation)

    async def _stop(self, conversation: Conversation) -> None:
        """Lets the CLI say what it has cost and write its transcript's end, then ends it with all that it started."""
        if self._ending.began:
            await self._hear_last_words(conversation)
            with anyio.move_on_after(LAST_LINES):
                await self._over.wait()
        if not self._over.is_set():
            self._shield.cancel()

    async def _hear_last_words(self, conversation: Conversation) -> None:
        with anyio.move_on_after(LAST_WORDS):
            async with anyio.create_task_group() as group:
                if not self._told.is_set():
                    group.start_soon(interrupt, conversation)
                await self._told.wait()
                group.cancel_scope.cancel()


async def interrupt(conversation: Conversation) -> None:
    """Interrupts, if there is anybody left to be interrupted: the stream's end tells when there is not."""
    with suppress(Exception):
        await conversation.interrupt()


def note(ending: Ending, message: Message) -> None:
    """Keeps what of a message counts for the ending. Of several results the last good one does."""
    ending.began = True
    match message:
        case AssistantMessage(parent_tool_use_id=None):
            ending.api_error = message.error or (None if message.content else ending.api_error)
            ending.retry = None if message.error is None else ending.retry
        case SystemMessage(subtype="api_retry", data=data):
            ending.retry = data
        case SystemMessage(subtype="model_refusal_no_fallback"):
            ending.refused = True
        case RateLimitEvent(rate_limit_info=info):
            ending.limit = info if info.status == "rejected" else None
        case ResultMessage():
            bad = message.is_error or ending.api_error is not None
            if ending.message is None or ending.bad or not bad:
                ending.message, ending.bad = message, bad


def is_start(message: Message) -> TypeGuard[SystemMessage]:
    """Whether the CLI tells of its session. It does so at the beginning of each turn."""
    return isinstance(message, SystemMessage) and message.subtype == "init"


def is_hopeless(message: Message) -> TypeGuard[SystemMessage]:
    """Whether the CLI is about to try for minutes what cannot succeed: it treats a 401 as it does a 500."""
    return (
        isinstance(message, SystemMessage)
        and message.subtype == "api_retry"
        and message.data.get("error_status") in HOPELESS
    )
