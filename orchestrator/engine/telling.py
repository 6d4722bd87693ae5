"""What the engine tells of a task: its events and results, as pure functions of what came of its attempts."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from orchestrator.engine.going_on.keys import Identity
from orchestrator.engine.steps import Ask, Node
from orchestrator.errors import OrchestratorError
from orchestrator.events import AttemptFinished, AttemptStarted, TaskAdded
from orchestrator.schedule.piloting import Whole
from orchestrator.state import TaskState
from orchestrator.task import Attempt, Outcome, Result, Usage, together


def added_event(node: Node, account: str) -> TaskAdded:
    return TaskAdded(
        task=node.id,
        title=node.title,
        task_kind=node.kind,
        needs=list(node.needs),
        parent=node.parent,
        allow_failure=node.allow_failure,
        allows=list(node.allows),
        agent=node.agent,
        account=account,
        model=node.runs.model if node.runs else None,
    )


def started(attempt: Attempt, identity: Identity) -> AttemptStarted:
    return AttemptStarted(
        task=attempt.task,
        attempt=attempt.number,
        prompt=attempt.prompt,
        agent=attempt.agent.model_dump(mode="json", exclude={"env", "mcp_servers"}, exclude_defaults=True),
        workspace=asdict(attempt.workspace),
        schema=dict(attempt.schema) if attempt.schema is not None else None,
        timeout=attempt.timeout,
        session_id=attempt.session_id,
        key=identity.key,
        question=identity.question,
        resume=attempt.resume,
        fork=attempt.fork,
        place=attempt.place,
        own_account=attempt.agent.own_account,
    )


def finished(attempt: Attempt, result: Result, retry_in: float | None) -> AttemptFinished:
    return AttemptFinished(
        task=attempt.task,
        attempt=attempt.number,
        outcome=result.outcome,
        error=result.error,
        cost_usd=result.cost_usd,
        duration=result.duration,
        retry_in=retry_in,
        tokens=result.usage.all_input_tokens + result.usage.output_tokens,
        turns=result.turns,
        models={model: spent.to_json() for model, spent in result.models.items()},
    )


def lesson(task: TaskState, result: Result, whole: Whole, now: float) -> Mapping[str, Any] | None:
    """What later runs learn from the task's end, at `now` (Unix time, s); what is not said is as usual."""
    if task.parts is not None and task.is_group:
        return _group_lesson(task, result, whole, now)
    if not result.ok or result.reused is not None:
        return None
    return _stood(task) | {"seconds": round(result.duration, 3), "usd": round(result.cost_usd, 6)}


def _group_lesson(task: TaskState, result: Result, whole: Whole, now: float) -> Mapping[str, Any] | None:
    """How many parts it had; its time too, if it did them all, and now."""
    if result.outcome not in (Outcome.OK, Outcome.PARTIAL):
        return None
    parts, count = task.parts or [], whole.count(task.id)
    did_all = result.ok and len(parts) == count and not any(whole.state.tasks[part].reused for part in parts)
    seconds = round(now - task.started, 3) if did_all and task.started is not None else None
    return _stood(task) | {"seconds": seconds, "usd": None, "parts": count}


def _stood(task: TaskState) -> dict[str, Any]:
    known = {"kind": task.kind, "agent": task.agent, "parent": task.parent, "needs": list(task.needs)}
    return {name: value for name, value in known.items() if value}


def parsed(step: Ask, result: Result) -> Result:
    """The result with its value as the caller wants it; output that the caller's model refuses is invalid output."""
    if not result.ok or step.parse is None:
        return result
    try:
        return replace(result, value=step.parse(result.value))
    except Exception as error:
        why = f"its structured output is refused: {error}"
        return replace(result, outcome=Outcome.INVALID_OUTPUT, value=None, error=why)


def live_usage(task: TaskState) -> Usage:
    """What the messages of the task's attempts have told."""
    cached = task.cache_read_tokens, task.cache_write_tokens
    return Usage(
        input_tokens=task.input_tokens - sum(cached),
        output_tokens=task.output_tokens,
        cache_read_tokens=cached[0],
        cache_write_tokens=cached[1],
    )


def added(total: Result, last: Result, attempts: int) -> Result:
    """The last attempt's result, with cost, tokens, turns and time of the earlier ones on top."""
    return replace(
        last,
        usage=total.usage + last.usage,
        cost_usd=total.cost_usd + last.cost_usd,
        models=together(total.models, last.models),
        turns=total.turns + last.turns,
        duration=total.duration + last.duration,
        attempts=attempts,
    )


def cancelled(task: str, why: str = "it was cancelled before it started") -> Result:
    return Result(task=task, outcome=Outcome.CANCELLED, error=why)


def unneeded(result: Result) -> Result:
    """The result of a part that was ended since its group has enough without it."""
    return replace(result, outcome=Outcome.UNNEEDED, error="it was decided without it")


def told(error: BaseException) -> str:
    """What to say of an error: our own speak for themselves."""
    return str(error) if isinstance(error, OrchestratorError) else f"{type(error).__name__}: {error}"
