"""The attempts at a task, from the first to the one that succeeds or that no other can mend."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import uuid4

import anyio

from orchestrator.engine.going_on.keys import Identity
from orchestrator.engine.going_on.past import Past, to_go_on
from orchestrator.engine.governing import Governing
from orchestrator.engine.steps import Ask
from orchestrator.engine.telling import added, finished, live_usage, parsed, started, told
from orchestrator.events import AgentMessage, AttemptFinished, Event
from orchestrator.plan.model import Agent
from orchestrator.prompts import interrupted, repair
from orchestrator.protocols import Emit, Executor
from orchestrator.schedule.budget import LEAST_USD
from orchestrator.schedule.retry import How, Retry, Tally
from orchestrator.schedule.ruling import Refuse, Ruling
from orchestrator.state import RunState, TaskState
from orchestrator.task import Attempt, Outcome, Result, Usage, to_models, together

CUT_OFF = "it was cancelled"

LAST_RESULT = 0.5
"""Seconds that a CLI has for its result once its run's budget is spent: it takes 0.02 to 0.05 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """Makes a run's attempts, and keeps what they come to."""

    run: str
    state: RunState
    past: Past
    executor: Executor
    emit: Emit
    flush: Callable[[], Awaitable[None]]
    call: Callable[[Attempt, str, Mapping[str, Any]], Awaitable[Any]]
    """Does what an attempt's agent asks of its run."""
    governing: Governing
    take_place: Callable[[str], Awaitable[None]]
    """Waits for the place of a task whose agent was broken off while it had lent it."""
    lend: Callable[[str], AbstractAsyncContextManager[None]]
    """A block in which another works in the task's place."""
    totals: dict[str, Result] = field(default_factory=dict)
    """What the attempts at a task have come to so far."""
    before: dict[str, Result] = field(default_factory=dict)
    """What attempts at a task had come to before the run was gone on with."""
    begun: dict[str, float] = field(default_factory=dict)
    """When the attempt that is at work began, by task, on the event loop's clock."""
    scopes: dict[str, anyio.CancelScope] = field(default_factory=dict)
    """Of the attempts at work, by task."""
    broken: dict[str, Result] = field(default_factory=dict)
    """What attempts that were broken off come to, by task."""
    cut: dict[str, float] = field(default_factory=dict)
    """US dollars that attempts have cost which the run's budget has cut, by task."""
    words: dict[str, str] = field(default_factory=dict)
    """What the agents at work said last, by task."""

    def first(self, task: str, step: Ask, identity: Identity) -> Attempt:
        """The first attempt, written down; it goes on where an earlier one was cut off, if one was."""
        begun = self.past.find_begun(task, identity.question)
        attempt = replace(
            self._begin(task, step),
            number=begun.attempts + 1 if begun else 1,
            agent=self.governing.governor.clamp(task, step.agent),
            workspace=identity.workspace,
            place=step.place or self.past.find_place(self.run, task, identity.question),
        )
        before = begun.whole if begun else Result(task=task, outcome=Outcome.CANCELLED)
        self.totals[task] = self.before[task] = before
        if begun and (session := to_go_on(begun)):
            attempt = continued(attempt, session, step)
        self.emit(started(attempt, identity))
        return attempt

    def foreseen(self, task: str, step: Ask) -> Attempt | None:
        """The first attempt as it is going to be, not written down; None for one that goes on with a session."""
        return None if step.resume or task in self.past.earlier.begun else self._begin(task, step)

    def _begin(self, task: str, step: Ask) -> Attempt:
        return Attempt(
            run=self.run,
            task=task,
            number=1,
            prompt=step.prompt,
            agent=step.agent,
            workspace=step.workspace,
            session_id=str(uuid4()),
            resume=step.resume,
            fork=step.fork,
            checks=step.checks,
            fixes=step.retries if step.checks else 0,
            place=step.place,
            schema=step.schema,
            timeout=step.timeout,
            rehearsal=step.rehearsal,
            fresh=step.fresh,
        )

    def refused(self, task: str, identity: Identity, refusal: Result) -> Result:
        """The result of a task that may not start any more, with what it had come to in earlier starts of the run."""
        begun = self.past.find_begun(task, identity.question)
        return replace(begun.whole, outcome=refusal.outcome, error=refusal.error) if begun else refusal

    async def make(self, step: Ask, attempt: Attempt, identity: Identity) -> Result:
        """Attempts until one succeeds or another cannot help; the result has the sums over all of them."""
        task = self.state.tasks[attempt.task]
        tally = Tally(uncounted=attempt.number - 1)
        while True:
            last = await self._make_one(step, attempt, task)
            total = self.totals[task.id] = added(self.totals[task.id], last, attempt.number)
            excused = self.governing.excuses(task.id, last.outcome)
            retry = tally.decide(last.outcome, attempt.number, step.retries, excused=excused)
            if last.outcome is Outcome.TOO_LONG and step.resume and not step.fork:
                retry = None  # to go on with a session that is too long is to meet the same end
            spent = self.governing.governor.budget.is_spent(last.cost_usd)
            self.emit(finished(attempt, last, retry.wait if retry and not spent else None))
            del self.begun[task.id]
            if retry is None:
                return total
            if isinstance(ruling := await self._wait(task.id, retry.wait), Refuse):
                return refused(total, ruling)
            attempt = self._next(step, attempt, last, retry)
            self.emit(started(attempt, identity))

    async def _make_one(self, step: Ask, attempt: Attempt, task: TaskState) -> Result:
        before, turns = live_usage(task), task.turns
        begun = self.begun[task.id] = anyio.current_time()
        # An attempt that is not written down would be paid, and could be neither found nor gone on with.
        await self.flush()
        last = parsed(step, await self._execute(attempt))
        if last.usage == Usage():
            last = replace(last, usage=live_usage(task) - before)
        last = capped(last, attempt, self._own_usd(task.id, step))
        words = self.words.pop(task.id, "")
        return replace(
            last,
            text=last.text or ("" if last.ok else words),
            cost_usd=last.cost_usd or task.told_usd or self.governing.governor.budget.reckoned_usd(task.id),
            models=last.models or to_models(task.told_models),
            turns=last.turns or task.turns - turns,
            session_id=last.session_id or task.session_id,
            duration=last.duration or anyio.current_time() - begun,
        )

    async def _wait(self, task: str, seconds: float) -> Ruling:
        """Lets the time pass, while another works in the task's place; gives whether another attempt may be made."""
        self.governing.release(task)
        if refusal := self.governing.refusal(task):
            return refusal
        async with self.lend(task):
            await anyio.sleep(seconds)
        await self.take_place(task)
        return await self.governing.admit(task)

    async def _execute(self, attempt: Attempt) -> Result:
        scope = self.scopes[attempt.task] = anyio.CancelScope()
        try:
            with scope:
                return await self.executor.run(attempt, self._hear, partial(self.call, attempt))
            return replace(self.broken[attempt.task], workspace=self.state.tasks[attempt.task].workspace)
        except Exception as error:
            return Result(task=attempt.task, outcome=Outcome.CRASHED, error=told(error))
        finally:
            del self.scopes[attempt.task]
            self.broken.pop(attempt.task, None)

    def _hear(self, event: Event) -> None:
        """Writes the event down, and keeps what the agent says: its result has that, should it be cut short."""
        if isinstance(event, AgentMessage) and (words := spoken(event)):
            self.words[event.task] = words
        self.emit(event)
        if isinstance(event, AgentMessage) and event.task in self.broken and calls_tool(event):
            self.scopes[event.task].cancel()  # it was not the last reply

    def break_off(self, task: str, outcome: Outcome, why: str) -> None:
        """Ends the attempt at work, with what it has so far; a task that has none at work goes on as it is."""
        if (scope := self.scopes.get(task)) and task not in self.broken:
            self.broken[task] = Result(task=task, outcome=outcome, error=why)
            # The reply that spent the rest may have been the agent's last: its result comes at once then, and counts.
            grace = LAST_RESULT if outcome is Outcome.BUDGET else 0.0
            scope.deadline = min(scope.deadline, anyio.current_time() + grace)

    def _next(self, step: Ask, attempt: Attempt, last: Result, retry: Retry) -> Attempt:
        """The attempt after one that failed: in the same session where that can help, else from the start."""
        again = replace(
            attempt,
            number=attempt.number + 1,
            session_id=str(uuid4()),
            agent=self.governing.governor.clamp(attempt.task, self._agent_after(step, last)),
            prompt=step.prompt,
            resume=step.resume,
            fork=step.fork,
            otherwise=None,
            asked=None,
            fixes=max(attempt.fixes - 1, 0),
        )
        copied = self.state.tasks[attempt.task].in_session or not attempt.fork
        if retry.how is How.FRESH or last.session_id is None or not copied:
            return again
        if retry.how is How.REPAIR:
            return continued(again, last.session_id, step, repair(last.error or "", step.schema))
        return continued(again, last.session_id, step)

    def _agent_after(self, step: Ask, last: Result) -> Agent:
        """The step's agent, for another attempt; what it may spend by its own options is what others have left."""
        if last.outcome is Outcome.BUDGET:
            self.cut[last.task] = self.cut.get(last.task, 0.0) + last.cost_usd
        return step.agent.model_copy(update={"usd": self._own_usd(last.task, step)})

    def _own_usd(self, task: str, step: Ask) -> float | None:
        """What the agent may spend by its own options: the CLI counts each process by itself."""
        own = step.agent.usd
        return None if own is None else max(own - self.cut.get(task, 0.0), LEAST_USD)

    def cut_short(self, task: str) -> Result:
        """The result of a task that is cancelled at work, with what its attempts and their messages have told."""
        state, total = self.state.tasks[task], self.totals[task]
        if task in self.begun:  # and not waiting for its next attempt
            last = self._cut_off(state)
            duration, cost = total.duration + last.duration, total.cost_usd + last.cost_usd
            total = replace(total, duration=duration, cost_usd=cost, models=together(total.models, last.models))
        before = self.before.get(task, Result(task=task, outcome=Outcome.CANCELLED))
        live = before.usage + live_usage(state)
        return replace(
            total,
            outcome=Outcome.CANCELLED,
            error=CUT_OFF,
            session_id=state.session_id,
            workspace=state.workspace,
            usage=live if live.all_input_tokens > total.usage.all_input_tokens else total.usage,
            turns=max(before.turns + state.turns, total.turns),
            attempts=state.attempts,
            text="",
            value=None,
            message=None,
        )

    def _cut_off(self, task: TaskState) -> Result:
        """Writes down the end of the task's attempt at work, with what its messages have told; gives that."""
        last = Result(
            task=task.id,
            outcome=Outcome.CANCELLED,
            error=CUT_OFF,
            cost_usd=task.told_usd or self.governing.governor.budget.reckoned_usd(task.id),
            models=to_models(task.told_models),
            duration=anyio.current_time() - self.begun.pop(task.id),
            turns=task.live_turns,
        )
        attempt = AttemptFinished(
            task=task.id,
            attempt=task.attempts,
            outcome=last.outcome,
            error=last.error,
            cost_usd=last.cost_usd,
            duration=last.duration,
            tokens=task.live_tokens,
            turns=last.turns,
            models=task.told_models,
        )
        self.emit(attempt)
        return last


def capped(last: Result, attempt: Attempt, own: float | None) -> Result:
    """The result of an agent that has spent what it was granted of the run's budget, which is less than its own limit.

    One that has spent nothing is left as it is: to grant it as much again would be of no use.
    """
    granted = attempt.agent.usd
    if last.outcome is not Outcome.MAX_USD or not last.cost_usd or granted is None or (own and own <= granted):
        return last
    return replace(last, outcome=Outcome.BUDGET, error=f"it has spent the {granted:.4g} USD that the run had for it")


def refused(total: Result, refusal: Refuse) -> Result:
    """What a task comes to that another attempt would have followed, had its run not refused that.

    The run is then not complete, whatever the last attempt met.
    """
    if total.outcome is refusal.outcome:
        return total
    last = f"its last attempt ended with {total.outcome}" + (f": {total.error}" if total.error else "")
    return replace(total, outcome=refusal.outcome, error=f"{refusal.reason} ({last})")


def spoken(event: AgentMessage) -> str:
    """What the agent itself says in the message, and not one that it has started."""
    if event.type != "AssistantMessage" or event.data.get("parent_tool_use_id"):
        return ""
    blocks = event.data.get("content") or ()
    return "\n".join(block["text"] for block in blocks if block.get("block") == "TextBlock")


def continued(attempt: Attempt, session: str, step: Ask, prompt: str | None = None) -> Attempt:
    """The attempt, going on in that session; if that is gone, a new one begins, unless the task is to continue it."""
    return replace(
        attempt,
        prompt=prompt or interrupted(step.prompt),
        resume=session,
        fork=False,
        otherwise=None if step.resume else step.prompt,
        asked=step.prompt,
    )


def calls_tool(event: AgentMessage) -> bool:
    """Whether the agent goes on after this message: it has called a tool, and not the one that gives its result."""
    blocks = event.data.get("content") or ()
    uses = [block for block in blocks if isinstance(block, Mapping) and block.get("block") == "ToolUseBlock"]
    return any(use.get("name") != "StructuredOutput" for use in uses)
