"""The agent runner for the real thing: Claude CLI processes, through the SDK."""

import atexit
import gc
import logging
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from orchestrator.agents.cli import find_claude
from orchestrator.agents.config import find_projects
from orchestrator.agents.exchange import Exchange
from orchestrator.agents.kinds import kinds_of, may_share, spare_kind_of
from orchestrator.agents.leading import Leading, patience_of, pays
from orchestrator.agents.making import Maker
from orchestrator.agents.opening import Opening, driven, find_opening, fresh
from orchestrator.agents.options import write_settings
from orchestrator.agents.outcome import Ending, judge
from orchestrator.agents.pool import Pool, open_pool
from orchestrator.agents.process import Process
from orchestrator.agents.signals import concluded
from orchestrator.agents.transcripts import is_session_id
from orchestrator.agents.translate import cost_of, describe_denial, models_of, usage_of
from orchestrator.events import ProcessesMeasured
from orchestrator.processes.den import open_den
from orchestrator.processes.files import allow_files
from orchestrator.processes.measuring import Measuring, Tell, open_measuring
from orchestrator.processes.turns import Turns, borrow
from orchestrator.protocols import CallTool, Emit, Sessions, Upstream, no_tools
from orchestrator.task import Attempt, Outcome, Result
from workspaces import Workspace

# What it would print of a stream that ends badly is told by the outcome; a handler of the user's own still gets it.
logging.getLogger("claude_agent_sdk").addHandler(logging.NullHandler())
# Python's last collections of cycles go through all that the SDK has imported, for 0.2 to 0.3 s of processor time.
atexit.register(gc.freeze)


class ClaudeRunner:
    """Runs attempts in CLI processes, one at a time in each; make one with `open_claude`."""

    def __init__(self, maker: Maker, measuring: Measuring, pool: Pool, locks: Path | None, patience: float) -> None:
        """`patience`: see `Leading`."""
        self._maker, self._measuring, self._pool, self._locks = maker, measuring, pool, locks
        self._den, self._upstream, self._sessions = maker.den, maker.upstream, maker.sessions
        self._turns = Turns()
        self._leading = Leading(patience)
        self._may_lead = patience > 0 and (maker.upstream is None or maker.upstream.account)
        """Whether a prompt cache is there to be shared: offline there is none."""

    async def run(self, attempt: Attempt, workspace: Workspace, emit: Emit, call: CallTool = no_tools) -> Result:
        """Has a CLI do it, reads its stream to the end, and says what came of it."""
        try:
            async with self._turns.take(driven(attempt)):
                return await self._run(attempt, workspace, emit, call)
        except Exception as error:  # no room for its state, a journal that cannot be read
            return to_result(attempt, Ending(error=error))

    def expect(self, attempt: Attempt) -> None:
        """Starts a process ahead for an attempt that is likely next, where that helps. Raises nothing."""
        if (opening := fresh(attempt)) is None or attempt.resume:
            return

        def start() -> Awaitable[Process]:
            return self._maker.make(attempt, opening, self._den.parked, parked=True)

        with suppress(OSError):  # no room for its state: whoever is to run it tells
            spare = spare_kind_of(attempt, self._maker.describe(attempt, opening, self._den.parked))
            if spare:
                self._pool.expect(spare, self._den.parked, start, shared=may_share(attempt))

    async def _run(self, attempt: Attempt, workspace: Workspace, emit: Emit, call: CallTool) -> Result:
        projects = find_projects(attempt, self._den, self._upstream)
        with borrow(self._lock(attempt.resume)) as free:
            opening = await find_opening(attempt, workspace.path, projects, self._sessions, free)
        if opening is None:
            return gone(attempt)
        result = await self._exchange(attempt, opening, workspace, emit, call)
        if result.outcome is Outcome.UNKNOWN_SESSION and opening.resume and (instead := fresh(attempt)):
            return await self._exchange(attempt, instead, workspace, emit, call)
        return result

    async def _exchange(
        self, attempt: Attempt, opening: Opening, workspace: Workspace, emit: Emit, call: CallTool
    ) -> Result:
        def start() -> Awaitable[Process]:
            # One that serves many tasks cannot hold the locks of their sessions itself.
            lock = None if kinds.shared else self._lock(opening.session_id)
            return self._maker.make(attempt, opening, workspace.path, lock=lock)

        def begun() -> None:
            if kinds.spare:
                self._leading.begun(kinds.spare)

        exchange = Exchange(attempt, opening, workspace.path, emit, begun)
        kinds = kinds_of(attempt, workspace.path, self._maker.describe(attempt, opening, workspace.path))
        async with self._pool.process(kinds, workspace.path, start) as process, self._in_turn(attempt, kinds.spare):
            process.calls.call = exchange.pauses.calling(call)
            self._announce(attempt, opening, workspace, process.session_id, exchange.pauses.heeding(emit))
            lock, tell = None if process.locks else self._lock(process.session_id), telling(attempt, emit)
            with borrow(lock), self._measuring.measured(process.lease, tell, process.spent_s) as meter:
                ending = await exchange.run(process, clear=kinds.shared is not None)
            process.spent_s += meter.cpu_s
        if process.locks:
            with borrow(self._lock(process.session_id)):
                pass  # nobody drives it any more: so that no file is left for each session there ever was
        return self._conclude(attempt, ending, emit)

    @asynccontextmanager
    async def _in_turn(self, attempt: Attempt, kind: str | None) -> AsyncIterator[None]:
        """Waits until the agent need not write to the prompt cache what another does."""
        if kind is None or not self._may_lead or not pays(attempt):
            yield
            return
        first = await self._leading.turn(kind)
        try:
            yield
        finally:
            self._leading.over(kind, first)

    def _announce(self, attempt: Attempt, opening: Opening, workspace: Workspace, session_id: str, emit: Emit) -> None:
        if self._upstream:
            announced = replace(attempt, session_id=session_id, prompt=opening.prompt)
            announced = replace(announced, workspace=replace(attempt.workspace, path=str(workspace.path)))
            self._upstream.announce(announced, emit)

    def _conclude(self, attempt: Attempt, ending: Ending, emit: Emit) -> Result:
        try:
            result = to_result(attempt, ending)
        except Exception as error:
            return to_result(attempt, Ending(error=error, session_id=ending.session_id))
        if signal := concluded(attempt, result.outcome, result.error, ending):
            emit(signal)
        return result

    def _lock(self, session_id: str | None) -> Path | None:
        """The file that is locked as long as the session is driven."""
        if self._locks is None or session_id is None or not is_session_id(session_id):
            return None
        return self._locks / f"{session_id}.lock"


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
    upstream: Upstream | None = None,
    sessions: Sessions | None = None,
    locks: Path | None = None,
    wait_for_cache: bool | float = True,
) -> AsyncIterator[ClaudeRunner]:
    """A runner whose processes are all ended when the block is left, or when this process dies.

    With an upstream, the agents ask it in place of the Anthropic API, and see nothing of the user's account. All
    transcripts are kept in `sessions` too, and sessions that are gone from the disk are taken from there. `locks` is a
    folder that all processes share which may drive the same sessions. `wait_for_cache`: see `Limits`. Raises
    UsageError when there is no Claude CLI.
    """
    if locks:
        locks.mkdir(mode=0o700, parents=True, exist_ok=True)
    allow_files()
    async with open_den(find_claude()) as den, open_measuring() as measuring, open_pool() as pool:
        write_settings(den, upstream)
        yield ClaudeRunner(Maker(den, upstream, sessions), measuring, pool, locks, patience_of(wait_for_cache))
