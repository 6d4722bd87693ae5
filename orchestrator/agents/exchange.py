"""An attempt's CLI at work: asked, read to the end, and stopped when its time is up or nobody wants it any more."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeGuard

import anyio
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint_if_cancelled
from claude_agent_sdk import (
    AssistantMessage,
    ConversationResetMessage,
    RateLimitEvent,
    ResultMessage,
    SystemMessage,
)

from orchestrator.agents.clock import Clock
from orchestrator.agents.opening import Opening
from orchestrator.agents.outcome import Ending
from orchestrator.agents.process import Process
from orchestrator.agents.signals import heard
from orchestrator.agents.translate import Message, to_event
from orchestrator.events import SessionStarted
from orchestrator.pauses import Pauses
from orchestrator.protocols import Emit
from orchestrator.task import Attempt

LAST_WORDS = 1.5
"""Seconds that an interrupted CLI has for its result, which tells what it cost: it takes 0.02 to 0.05 s."""
LAST_LINES = 0.2
"""Seconds that it has after that to write its transcript's end. With a tool at work it would take 1.3 s to go."""
HOPELESS = (401, 403)


class Exchange:
    """One prompt and what comes of it. `run` it once."""

    def __init__(
        self, attempt: Attempt, opening: Opening, place: Path, emit: Emit, begun: Callable[[], None] = lambda: None
    ) -> None:
        """`begun` is called when the API has begun to answer, and may be called again."""
        self._attempt, self._opening, self._place, self._emit = attempt, opening, place, emit
        self._ending = Ending(cost_before=opening.cost_usd, models_before=opening.models)
        self._begun = begun
        self._seen: set[str] = set()
        self._named = self._clearing = False
        self._told, self._over = anyio.Event(), anyio.Event()
        self._clock = Clock(attempt.agent, attempt.timeout)

    @property
    def pauses(self) -> Pauses:
        """When its clocks stand still."""
        return self._clock.pauses

    async def run(self, process: Process, clear: bool = False) -> Ending:
        """What came of it, when the process and all that it started are gone. Only cancellation gets out.

        With `clear` a process that has given a good result begins a new conversation instead (`Process.cleared`).
        """
        self._ending.session_id = process.session_id
        async with anyio.create_task_group() as group:
            await group.start(self._heed_cancellation, process)
            with anyio.CancelScope(shield=True):
                await self._read(process, clear)
            group.cancel_scope.cancel()
        self._ending.stderr, self._ending.error = list(process.stderr), process.error
        await checkpoint_if_cancelled()
        return self._ending

    async def _read(self, process: Process, clear: bool) -> None:
        self._clock.start()
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch, process)
            process.ask(self._opening.prompt)
            async for message in process.messages:
                if self._clearing and is_reset(message):
                    # What the session has cost is in its transcript by then.
                    process.cleared = await process.settle()
                    break
                self._clock.heed(message)
                if clear and not self._clearing and is_foreign(message, process):
                    clear = False  # its own result follows
                else:
                    self._take(message, process, clear)
            self._told.set()
            self._over.set()
            await self._leave(process)
            group.cancel_scope.cancel()

    async def _leave(self, process: Process) -> None:
        """Returns when nothing of the process is left, unless it is to have more to do."""
        if process.cleared:
            return
        process.finish()
        if self._clearing:
            await process.destroy()  # it is gone, or hangs: nobody else would end it then
        await process.ended.wait()

    def _take(self, message: Message, process: Process, clear: bool) -> None:
        if is_start(message) and not self._named:
            self._named = True
            self._emit(self._session_started(message))
        self._emit(to_event(self._attempt, message, self._seen, self._opening.cost_usd, self._opening.models))
        if signal := heard(self._attempt, message):
            self._emit(signal)
        note(self._ending, message)
        if isinstance(message, AssistantMessage | RateLimitEvent) and not self._ending.api_error:
            self._begun()
        if isinstance(message, ResultMessage):
            self._told.set()
            self._conclude(process, clear)
        if is_hopeless(message) and self._ending.hopeless is None:
            self._ending.hopeless = message.data
            process.end()  # and read on: the stream ends when the CLI does

    def _conclude(self, process: Process, clear: bool) -> None:
        """A stream that nobody ends does not tell whether there is more to come; what `/clear` does comes last."""
        if not clear or self._ending.bad or self._clock.background or self._ending.given_up:
            process.finish()
        elif not self._clearing:
            self._clearing = True
            process.clear()

    def _session_started(self, message: SystemMessage) -> SessionStarted:
        return SessionStarted(
            task=self._attempt.task,
            attempt=self._attempt.number,
            session_id=str(message.data.get("session_id") or self._ending.session_id),
            directory=message.data.get("cwd") or str(self._place),
            how=self._opening.how,
        )

    async def _watch(self, process: Process) -> None:
        self._ending.given_up = await self._clock.strikes()
        await self._stop(process)

    async def _heed_cancellation(self, process: Process, *, task_status: TaskStatus[None]) -> None:
        try:
            task_status.started()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await self._stop(process)

    async def _stop(self, process: Process) -> None:
        """Lets the CLI say what it has cost and write its transcript's end, then ends it with all that it started."""
        if self._ending.began:
            await self._hear_last_words(process)
            with anyio.move_on_after(LAST_LINES):
                await self._over.wait()
        if not self._over.is_set():
            await process.destroy()

    async def _hear_last_words(self, process: Process) -> None:
        with anyio.move_on_after(LAST_WORDS):
            async with anyio.create_task_group() as group:
                if not self._told.is_set():
                    group.start_soon(interrupt, process)
                await self._told.wait()
                group.cancel_scope.cancel()


async def interrupt(process: Process) -> None:
    """Interrupts, if there is anybody left to be interrupted: the stream's end tells when there is not."""
    with suppress(Exception):
        await process.interrupt()


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


def is_foreign(message: Message, process: Process) -> bool:
    """Whether it ends something else than what the process was asked last, as far as it says what it ends."""
    return isinstance(message, ResultMessage) and not process.was_asked(message)


def is_reset(message: Message) -> bool:
    """Whether the conversation is over and another begins. Without such a message the CLI is none that can do it."""
    return isinstance(message, ConversationResetMessage)


def is_hopeless(message: Message) -> TypeGuard[SystemMessage]:
    """Whether the CLI is about to try for minutes what cannot succeed: it treats a 401 as it does a 500."""
    return (
        isinstance(message, SystemMessage)
        and message.subtype == "api_retry"
        and message.data.get("error_status") in HOPELESS
    )
