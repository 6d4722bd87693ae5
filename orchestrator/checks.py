"""Whether what an agent did holds: commands run in its workspace; what they say against it goes back to the agent."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from uuid import uuid4

import anyio

from orchestrator.events import AgentMessage, CheckFinished, Event
from orchestrator.pauses import Pauses
from orchestrator.processes.command import Command, run_command
from orchestrator.prompts import MOST_OUTPUT, failed_check
from orchestrator.protocols import Emit
from orchestrator.task import Attempt, Outcome, Result, to_models, together

LONGEST = 600.0
"""Seconds that a check may take, if the attempt has as many left."""
LEAST_USD = 0.0001
"""US dollars that a round may spend when nothing is left: enough to be told by the CLI that nothing is."""
LAST_LINES = 10
"""Lines of a failed check's output that are told in the error."""

Ask = Callable[[Attempt, Emit], Awaitable[Result]]
"""Runs the agent once, in the same workspace each time."""
RunCheck = Callable[[Attempt, str, Path], Awaitable[Command]]
"""Runs one of the attempt's checks in a directory, for at most `attempt.timeout` seconds; it never fails."""


async def run_check(attempt: Attempt, command: str, directory: Path) -> Command:
    """How the check went. One that cannot even be started has failed: the agent may have removed its directory."""
    told = f"export ORCHESTRATOR_RUN={quote(attempt.run)} ORCHESTRATOR_TASK={quote(attempt.task)}; {command}"
    try:
        return await run_command(told, directory, attempt.timeout or LONGEST)
    except (OSError, ValueError) as error:
        return Command(exit_code=None, output=f"it could not be started: {error}", duration=0.0)


@dataclass(frozen=True, slots=True)
class Failure:
    """A check that failed."""

    command: str
    found: Command

    @property
    def why(self) -> str:
        """The command, how it ended, and the last lines of its output."""
        code = self.found.exit_code
        how = "did not end by itself" if code is None else f"ended with exit code {code}"
        lines = self.found.output.strip().splitlines()[-LAST_LINES:]
        return "\n".join([f"the check {self.command!r} {how}{':' if lines else ''}", *lines])


class NoTimeError(Exception):
    """The attempt's timeout is over."""


class Time:
    """What an attempt may take with all its rounds and checks.

    Waiting until its agent is started is no part of it, nor is what the agent waits for with the run's own tools, nor
    the time of its requests in the gateway's queue.
    """

    def __init__(self, timeout: float | None) -> None:
        self._timeout = math.inf if timeout is None else timeout
        self._begun: float | None = None
        self.pauses = Pauses(self._add)
        """They take none of it."""

    def begin(self) -> None:
        """Only the first time counts."""
        if self._begun is None:
            self._begun = anyio.current_time()

    def begun_by(self, emit: Emit) -> Emit:
        """An `emit` whose first event begins it."""

        def emit_on(event: Event) -> None:
            self.begin()
            emit(event)

        return emit_on

    def _add(self, seconds: float) -> None:
        self._timeout += seconds

    def left(self) -> float:
        """Seconds, infinitely many without a timeout. Raises NoTimeError when there are none."""
        self.begin()
        assert self._begun is not None
        left = self._begun + self._timeout - anyio.current_time()
        if left <= 0:
            raise NoTimeError
        return left


async def ask_until_checked(
    attempt: Attempt, directory: Path, emit: Emit, ask: Ask, run: RunCheck, time: Time | None = None
) -> Result:
    """The agent's result, once its checks pass. One that fails goes back to the agent, `attempt.fixes` times at most.

    The result has the sums over all rounds. It is the agent's last one: also with the outcome CHECKS_FAILED, when no
    fix was left or the session was gone; any other way in which the agent fails is its own outcome. The attempt's
    timeout is for all of it: when it is over before all checks have passed, that is CHECKS_FAILED if one has failed,
    and else TIMEOUT.
    """
    time, fixes, failure = time or Time(attempt.timeout), attempt.fixes, None
    emit = time.pauses.heeding(emit)
    result = await ask(attempt, time.begun_by(emit))
    try:
        while result.ok and (failure := await find_failure(attempt, directory, emit, run, time)):
            if not fixes or result.session_id is None:
                return refused(result, failure)
            fixes -= 1
            last = await ask(to_fix(attempt, result, failure, time.left()), counting_on(emit, result))
            if last.outcome is Outcome.UNKNOWN_SESSION:
                return refused(result, failure, "its session is gone")
            result = summed(result, with_whole_time(last, attempt))
    except NoTimeError:
        if failure:
            return refused(result, failure, f"its timeout of {attempt.timeout:g} s left no time to mend it and see")
        error = f"its timeout of {attempt.timeout:g} s was over before all its checks had run"
        return replace(result, outcome=Outcome.TIMEOUT, error=error)
    return result


def refused(result: Result, failure: Failure, why_final: str = "") -> Result:
    """The result of an agent whose work does not pass, with the reason why it is not told so."""
    error = f"{failure.why}\n({why_final})" if why_final else failure.why
    return replace(result, outcome=Outcome.CHECKS_FAILED, error=error)


def with_whole_time(last: Result, attempt: Attempt) -> Result:
    """The result of a later round. If that took longer than the rest of the time, its error tells what the whole is."""
    if last.outcome is not Outcome.TIMEOUT or attempt.timeout is None:
        return last
    return replace(last, error=f"{last.error} (which was what checks and earlier work left of {attempt.timeout:g} s)")


async def find_failure(attempt: Attempt, directory: Path, emit: Emit, run: RunCheck, time: Time) -> Failure | None:
    """The first of the checks that fails. Those behind it are not run: they may build on it. Raises NoTimeError."""
    for command in attempt.checks:
        found = await run(replace(attempt, timeout=min(time.left(), LONGEST)), command, directory)
        emit(
            CheckFinished(
                task=attempt.task,
                attempt=attempt.number,
                command=command,
                exit_code=found.exit_code,
                output=found.output[-MOST_OUTPUT:],
                duration=found.duration,
            )
        )
        if found.exit_code != 0:
            return Failure(command, found)
    return None


def to_fix(attempt: Attempt, result: Result, failure: Failure, seconds: float) -> Attempt:
    """The same attempt in the session as it stands, told what has failed, with what is left of its money and time."""
    found, usd = failure.found, attempt.agent.usd
    left = None if usd is None else max(usd - result.cost_usd, LEAST_USD)
    return replace(
        attempt,
        prompt=failed_check(failure.command, found.exit_code, found.output),
        agent=attempt.agent.model_copy(update={"usd": left}),
        timeout=None if attempt.timeout is None else max(0.1, round(seconds, 1)),
        resume=result.session_id,
        fork=False,
        asked=None,
        otherwise=None,
        session_id=str(uuid4()),
    )


def counting_on(emit: Emit, before: Result) -> Emit:
    """An `emit` for a later round: what a message tells of the cost includes that of the rounds before."""

    def emit_on(event: Event) -> None:
        if isinstance(event, AgentMessage) and event.cost_usd is not None:
            models = together(before.models, to_models(event.models))
            told = {model: spent.to_json() for model, spent in models.items()}
            event = replace(event, cost_usd=before.cost_usd + event.cost_usd, models=told)
        emit(event)

    return emit_on


def summed(before: Result, last: Result) -> Result:
    """The last result, with cost, tokens and turns of the earlier rounds; what it does not have it keeps."""
    return replace(
        last,
        text=last.text or before.text,
        value=before.value if last.value is None else last.value,
        session_id=last.session_id or before.session_id,
        message=before.message if last.message is None else last.message,
        usage=before.usage + last.usage,
        cost_usd=before.cost_usd + last.cost_usd,
        models=together(before.models, last.models),
        turns=before.turns + last.turns,
        denials=(*before.denials, *last.denials),
    )
