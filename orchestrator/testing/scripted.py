"""Agents that play a script: no CLI, no API, and with a jumping clock no time."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel

from orchestrator.checks import Time, ask_until_checked
from orchestrator.events import AgentMessage, ApiSignal
from orchestrator.processes.command import Command
from orchestrator.protocols import CallTool, Emit, no_tools
from orchestrator.task import Attempt, Outcome, Result, Usage
from orchestrator.work import asking
from workspaces import Workspace


@dataclass(frozen=True, slots=True)
class Reply:
    """What a scripted agent gives for one attempt."""

    text: str = "done"
    value: Any = None
    outcome: Outcome = Outcome.OK
    seconds: float = 0.0
    """How long it works, on the event loop's clock."""
    cost_usd: float = 0.0
    usage: Usage = field(default_factory=Usage)
    turns: int = 1
    error: str | None = None
    """None: for an outcome other than ok, the text."""
    signals: Sequence[Mapping[str, Any]] = ()
    """What the API says about how much it takes, at its end: fields of `ApiSignal`, as `{"signal": "rate_limit"}`."""
    act: Callable[[CallTool], Awaitable[str | None]] | None = None
    """What it does with the run's tools, once it has worked for its `seconds`; what that gives is its text, if it gives
    any. Time that passes in it is no part of the attempt's timeout."""


Script = Callable[[Attempt], Reply | str] | Mapping[str, Sequence[Reply | str]]
"""A function from the attempt to its reply; or replies by task id, one per attempt: the last one also answers what
comes after it, a task without any gets `Reply()`. A bare string is `Reply(text)`. What a function raises gets out."""

PLAIN: Script = {}


Checks = Callable[[Attempt, str], int | None] | Mapping[str, Sequence[int | None]]
"""A function from the attempt and a check's command to its exit code (None: it took too long); or exit codes by
command, one per time that it is run: the last one also answers what comes after it, a command without any passes."""

PASSING: Checks = {"false": [1]}


class ScriptedChecks:
    """Runs no command: `commands` has what was to be run, in order. An instance is what `LocalExecutor.check` takes."""

    def __init__(self, script: Checks = PASSING) -> None:
        self.commands: list[str] = []
        self._script = script

    async def __call__(self, attempt: Attempt, command: str, directory: Path) -> Command:
        """How the command ended, by the script; what it printed is `output of COMMAND`."""
        self.commands.append(command)
        if callable(self._script):
            exit_code = self._script(attempt, command)
        else:
            codes = self._script.get(command) or [0]
            exit_code = codes[min(self.commands.count(command), len(codes)) - 1]
        await anyio.lowlevel.checkpoint()
        return Command(exit_code=exit_code, output=f"output of {command}", duration=0.0)


class ScriptedAgent:
    """An AgentRunner. `attempts` has what it was asked, in order; `most_at_once` how many ran at the same time."""

    def __init__(self, script: Script = PLAIN) -> None:
        self.attempts: list[Attempt] = []
        self.at_once = 0
        self.most_at_once = 0
        self._script = script

    async def run(self, attempt: Attempt, workspace: Workspace, emit: Emit, call: CallTool = no_tools) -> Result:
        """Plays the attempt's reply. See `orchestrator.protocols.AgentRunner`."""
        self.attempts.append(attempt)
        reply = self._reply(attempt)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            emit(message(attempt, "SystemMessage", "thinking"))
            with anyio.move_on_after(attempt.timeout) as time:
                await anyio.sleep(reply.seconds)
            if reply.act and not time.cancelled_caught:
                said = await reply.act(call)
                reply = reply if said is None else replace(reply, text=said)
        finally:
            self.at_once -= 1
        if time.cancelled_caught:
            why = f"it took longer than its timeout of {attempt.timeout:g} s"
            return Result(task=attempt.task, outcome=Outcome.TIMEOUT, session_id=session_of(attempt), error=why)
        for turn in range(reply.turns):
            usage = reply.usage if turn == 0 else Usage()
            emit(message(attempt, "AssistantMessage", reply.text, turns=1, usage=usage))
        for signal in reply.signals:
            emit(ApiSignal(task=attempt.task, attempt=attempt.number, source="result", **signal))
        emit(replace(message(attempt, "ResultMessage", "finishing"), cost_usd=reply.cost_usd))
        return to_result(attempt, reply)

    def _reply(self, attempt: Attempt) -> Reply:
        if callable(self._script):
            reply = self._script(attempt)
        else:
            replies = self._script.get(attempt.task) or [Reply()]
            reply = replies[min(attempt.number, len(replies)) - 1]
        return Reply(reply) if isinstance(reply, str) else reply


class ScriptedExecutor:
    """An Executor whose agents and checks play a script, under the attempts' timeouts and in no workspace."""

    def __init__(self, script: Script = PLAIN, checks: Checks = PASSING) -> None:
        self.agent = ScriptedAgent(script)
        self.checks = ScriptedChecks(checks)

    @property
    def attempts(self) -> list[Attempt]:
        """What was asked, in order."""
        return self.agent.attempts

    @property
    def most_at_once(self) -> int:
        """How many ran at the same time."""
        return self.agent.most_at_once

    async def run(self, attempt: Attempt, emit: Emit, call: CallTool = no_tools) -> Result:
        """Plays the attempt's reply. See `orchestrator.protocols.Executor`."""
        begun = anyio.current_time()
        place = Workspace(path=Path.cwd())
        time = Time(attempt.timeout)
        ask = asking(place, self.agent, time.pauses.calling(call))
        result = await ask_until_checked(attempt, place.path, emit, ask, self.checks, time)
        return replace(result, duration=anyio.current_time() - begun)


def message(attempt: Attempt, kind: str, doing: str, *, turns: int = 0, usage: Usage | None = None) -> AgentMessage:
    """A message of the agent's stream, as the real one's are written down."""
    usage = usage or Usage()
    return AgentMessage(
        task=attempt.task,
        attempt=attempt.number,
        type=kind,
        doing=doing,
        turns=turns,
        input_tokens=usage.all_input_tokens,
        output_tokens=usage.output_tokens,
        data={"content": [{"block": "TextBlock", "text": doing}]} if kind == "AssistantMessage" else {},
    )


def session_of(attempt: Attempt) -> str:
    """The session that the attempt works in."""
    return attempt.session_id if attempt.resume is None or attempt.fork else attempt.resume


def to_result(attempt: Attempt, reply: Reply) -> Result:
    """The reply as the attempt's result."""
    return Result(
        task=attempt.task,
        outcome=reply.outcome,
        text=reply.text,
        value=reply.value,
        session_id=session_of(attempt),
        usage=reply.usage,
        cost_usd=reply.cost_usd,
        turns=reply.turns,
        error=None if reply.outcome.ok else reply.error or reply.text,
    )
