"""Carries out what the governor says: writes it down, wakes who waits for it, and breaks off what must end."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from orchestrator.engine.lending import Lending
from orchestrator.events import (
    AgentMessage,
    ApiSignal,
    AttemptFinished,
    AttemptStarted,
    Event,
    ProcessesMeasured,
    RequestAnswered,
    RunStarted,
    TaskWaits,
)
from orchestrator.protocols import Emit
from orchestrator.schedule.governor import Governor
from orchestrator.schedule.ruling import Go, Refuse, Ruling, Wait
from orchestrator.state import RunState, TaskState
from orchestrator.task import Outcome

HEEDED = frozenset(
    {
        AgentMessage,
        ApiSignal,
        AttemptFinished,
        AttemptStarted,
        ProcessesMeasured,
        RequestAnswered,
        RunStarted,
        TaskWaits,
    }
)
"""Events that tell the governor anything. Of the others there are hundreds of thousands."""
TIMED = frozenset({ApiSignal, AttemptStarted, ProcessesMeasured, RunStarted})
"""Those of them after which it may have to look at the time earlier than it meant to."""


@dataclass(slots=True)
class Governing:
    """The governor of a run at work."""

    governor: Governor
    state: RunState
    lending: Lending
    emit: Emit
    pump: Callable[[], None]
    """Makes the run's decisions."""
    break_off: Callable[[str, Outcome, str], None]
    """Ends a task's attempt, with what it has so far."""
    _looks_at: float = -math.inf
    """When `run` heeds the time next, on the event loop's clock; before all times while it is at it."""
    _woken: anyio.Event = field(default_factory=anyio.Event)
    _changed: anyio.Event | None = None
    """Of those that wait for the governor to say otherwise, if there are any."""

    async def run(self) -> None:
        """Heeds the time until it is cancelled."""
        while True:
            self._looks_at = self.governor.due(anyio.current_time())
            with anyio.CancelScope(deadline=self._looks_at):
                await self._woken.wait()
            self._woken, self._looks_at = anyio.Event(), -math.inf
            for event in self.governor.tick(anyio.current_time(), time.time()):
                self.emit(event)
            self._press()
            self._tell()
            self.pump()

    def heed(self, event: Event) -> None:
        """Told of every event of the run, after it is folded in."""
        if type(event) not in HEEDED or (isinstance(event, AgentMessage) and not tells_spent(event)):
            return
        now = anyio.current_time()
        followed = self.governor.heed(event, now, time.time())
        for each in followed:
            self.emit(each)
        # Who waits is waited for no more; nor is an agent with an account of its own, which tries nothing for others.
        frees = isinstance(event, TaskWaits) or (isinstance(event, AttemptStarted) and event.own_account)
        earlier = type(event) in TIMED and self.governor.due(now) < self._looks_at
        if followed or frees or earlier or self.governor.presses:
            self._wake()

    def resize(self, concurrent: int) -> None:
        """Fixes how many agents may be at work at once. Those at work go on."""
        self.emit(self.governor.resize(concurrent))
        self._wake()

    def reserve(self, task: str) -> None:
        """Sets aside what a task that is starting is expected to need."""
        self.governor.reserve(self.state.tasks[task])

    def release(self, task: str) -> None:
        """Gives back what was set aside for it: it has ended, or waits for its next attempt."""
        self.governor.release(task)
        self._tell()

    async def admit(self, task: str) -> Ruling:
        """Returns once the task may make another attempt (what that needs is reserved then), or may not any more.

        It lends its place as long as it waits.
        """
        state = self.state.tasks[task]
        while not isinstance(ruling := self.rule(state), Go | Refuse):
            async with self.lending.lent(task):
                while isinstance(self.rule(state), Wait):
                    await self._change()
        if isinstance(ruling, Go):
            self.reserve(task)
            self._wake()  # who waited for this one to come first waits no more
        return ruling

    async def confirm(self, task: str) -> Ruling:
        """Returns once a task that was looked up, and for which all is set aside, may start, or may not any more.

        What was said before that need hold no more. It keeps its place: it has nothing to give back.
        """
        state = self.state.tasks[task]
        while isinstance(ruling := self.governor.rule_again(state), Wait):
            await self._change()
        self.governor.regime.reserve(task)
        return ruling

    def refusal(self, task: str) -> Refuse | None:
        """Why the task may not make another attempt in this run; None as long as it may."""
        return self.governor.refusal(self.state.tasks[task])

    def excuses(self, task: str, outcome: Outcome) -> bool:
        """Whether an attempt that ended so is none of the task's own, and is made once more when that can help."""
        is_cut = self.governor.budget.grants_more_after(outcome)
        return is_cut or outcome is Outcome.PUT_OFF or self.governor.regime.waits_after(task, outcome)

    def rule(self, task: TaskState) -> Ruling:
        """Whether the task may start now, were there a place for it."""
        ruling = self.governor.rule(task)
        # The governor may have to look again, at a time of its own, now that somebody waits.
        if isinstance(ruling, Wait) and self.governor.due(anyio.current_time()) < self._looks_at:
            self._wake()
        return ruling

    def _press(self) -> None:
        """Breaks off what the governor wants ended."""
        for task, outcome, why in self.governor.to_end():
            self.break_off(task, outcome, why)

    def _wake(self) -> None:
        self._woken.set()

    def _tell(self) -> None:
        self.lending.concurrent = self.governor.width.places
        if self._changed:
            self._changed.set()
            self._changed = None

    async def _change(self) -> None:
        """Returns once the governor may say otherwise."""
        self._changed = self._changed or anyio.Event()
        await self._changed.wait()


def tells_spent(message: AgentMessage) -> bool:
    """Whether it tells of anything that its agent has spent; most tell what that does."""
    return bool(message.turns or message.input_tokens or message.output_tokens or message.cost_usd is not None)
