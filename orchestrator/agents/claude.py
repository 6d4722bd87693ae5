"""The agent runner for the real thing: one Claude CLI process per attempt, through the SDK."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
from anyio.abc import TaskStatus

from orchestrator.agents.cli import find_claude
from orchestrator.agents.config import Config, open_config
from orchestrator.agents.exchange import Exchange
from orchestrator.agents.opening import Opening, driven, find_opening, fresh
from orchestrator.agents.options import to_options, write_settings
from orchestrator.agents.outcome import Ending, judge
from orchestrator.agents.signals import concluded
from orchestrator.agents.transcripts import is_session_id, mirror
from orchestrator.agents.translate import cost_of, describe_denial, models_of, usage_of
from orchestrator.events import ProcessesMeasured
from orchestrator.machine import cores
from orchestrator.processes.den import Den, open_den
from orchestrator.processes.files import allow_files
from orchestrator.processes.measuring import Measuring, Tell, open_measuring
from orchestrator.processes.turns import Turns, borrow
from orchestrator.protocols import CallTool, Emit, Sessions, Upstream, no_tools
from orchestrator.task import Attempt, Outcome, Result
from workspaces import Workspace

LONGEST_START = 10.0
"""Seconds that a process may keep others from starting."""

# What it would print of a stream that ends badly is told by the outcome; a handler of the user's own still gets it.
logging.getLogger("claude_agent_sdk").addHandler(logging.NullHandler())


class ClaudeRunner:
    """Runs attempts in CLI processes of their own; make one with `open_claude`."""

    def __init__(
        self,
        den: Den,
        measuring: Measuring,
        upstream: Upstream | None,
        sessions: Sessions | None,
        locks: Path | None,
    ) -> None:
        self._den = den
        self._measuring = measuring
        self._upstream = upstream
        self._sessions = sessions
        self._locks = locks
        self._turns = Turns()
        # Twenty starting at once on 2 cores do their first work after 8 to 12 s, two at a time after 0.7 s.
        self._start_gate = anyio.CapacityLimiter(cores())

    async def run(self, attempt: Attempt, workspace: Workspace, emit: Emit, call: CallTool = no_tools) -> Result:
        """Starts the CLI, reads its stream to the end, and says what came of it."""
        try:
            async with self._turns.take(driven(attempt)), open_config(attempt, self._den, self._upstream) as config:
                return await self._run(attempt, workspace, emit, config, call)
        except Exception as error:  # no room for its state, a journal that cannot be read
            return to_result(attempt, Ending(error=error))

    async def _run(self, attempt: Attempt, workspace: Workspace, emit: Emit, config: Config, call: CallTool) -> Result:
        with borrow(self._lock(attempt.resume)) as free:
            opening = await find_opening(attempt, workspace.path, config.projects, self._sessions, free)
        if opening is None:
            return gone(attempt)
        result = await self._exchange(attempt, opening, workspace, emit, config, call)
        if result.outcome is Outcome.UNKNOWN_SESSION and opening.resume and (instead := fresh(attempt)):
            return await self._exchange(attempt, instead, workspace, emit, config, call)
        return result

    async def _exchange(
        self, attempt: Attempt, opening: Opening, workspace: Workspace, emit: Emit, config: Config, call: CallTool
    ) -> Result:
        lock = self._lock(opening.session_id)
        env = {**config.env, **({"ORCHESTRATOR_SESSION_LOCK": str(lock)} if lock else {})}
        exchange = Exchange(attempt, opening, workspace.path, emit)
        if self._upstream:
            announced = replace(attempt, session_id=opening.session_id, prompt=opening.prompt)
            announced = replace(announced, workspace=replace(attempt.workspace, path=str(workspace.path)))
            self._upstream.announce(announced, exchange.pauses.heeding(emit))
        call = exchange.pauses.calling(call)
        options = to_options(attempt, opening, workspace.path, self._den, env, self._upstream, call)
        if self._sessions:
            options.session_store, options.session_store_flush = mirror(self._sessions), "eager"
        lease = self._den.lease(attempt.session_id)
        async with anyio.create_task_group() as group:
            await group.start(self._hold_place, exchange.started)
            with self._measuring.measured(lease, telling(attempt, emit)):
                ending = await exchange.run(options, lease)
        with borrow(lock):
            pass  # nobody drives it any more: so that no file is left for each session there ever was
        try:
            result = to_result(attempt, ending)
        except Exception as error:
            return to_result(attempt, Ending(error=error, session_id=opening.session_id))
        if signal := concluded(attempt, result.outcome, result.error, ending):
            emit(signal)
        return result

    def _lock(self, session_id: str | None) -> Path | None:
        """The file that is locked as long as the session is driven."""
        if self._locks is None or session_id is None or not is_session_id(session_id):
            return None
        return self._locks / f"{session_id}.lock"

    async def _hold_place(self, started: anyio.Event, *, task_status: TaskStatus[None]) -> None:
        """Holds one of the places for processes that are starting, though not for long: a hook may take its time."""
        async with self._start_gate:
            task_status.started()
            with anyio.move_on_after(LONGEST_START):
                await started.wait()


def telling(attempt: Attempt, emit: Emit) -> Tell:
    """Writes down what the attempt's processes use."""

    def tell(memory: int, peak: int, cpu_s: float) -> None:
        emit(
            ProcessesMeasured(
                task=attempt.task, attempt=attempt.number, memory=memory, peak=peak, cpu_s=round(cpu_s, 2)
            )
        )

    return tell


def gone(attempt: Attempt) -> Result:
    """The result of an attempt that can only go on with a session that is no more."""
    error = f"the session {attempt.resume} is gone: no transcript of it is on the disk or in the journal"
    return Result(task=attempt.task, outcome=Outcome.UNKNOWN_SESSION, session_id=attempt.resume, error=error)


def to_result(attempt: Attempt, ending: Ending) -> Result:
    """The attempt's result, whether good or bad."""
    outcome, why = judge(ending, attempt.schema)
    message = ending.message
    if message is None:
        session_id = ending.session_id or attempt.session_id
        return Result(task=attempt.task, outcome=outcome, session_id=session_id, error=why)
    models = models_of(message, ending.cost_before, ending.models_before)
    return Result(
        task=attempt.task,
        outcome=outcome,
        text=message.result or "",
        value=message.structured_output if outcome is Outcome.OK else None,
        session_id=message.session_id,
        usage=usage_of(message, models),
        cost_usd=cost_of(message, ending.cost_before) or 0.0,
        models=models,
        turns=message.num_turns,
        denials=tuple(describe_denial(denial) for denial in message.permission_denials or ()),
        error=why,
        message=message,
    )


@asynccontextmanager
async def open_claude(
    upstream: Upstream | None = None, sessions: Sessions | None = None, locks: Path | None = None
) -> AsyncIterator[ClaudeRunner]:
    """A runner whose processes are all ended when the block is left, or when this process dies.

    With an upstream, the agents ask it in place of the Anthropic API, and see nothing of the user's account. All
    transcripts are kept in `sessions` too, and sessions that are gone from the disk are taken from there. `locks` is a
    folder that all processes share which may drive the same sessions. Raises UsageError when there is no Claude CLI.
    """
    if locks:
        locks.mkdir(mode=0o700, parents=True, exist_ok=True)
    allow_files()
    async with open_den(find_claude()) as den, open_measuring() as measuring:
        write_settings(den, upstream)
        yield ClaudeRunner(den, measuring, upstream, sessions, locks)
