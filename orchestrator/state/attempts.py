"""Folds what happens in attempts: what they do, and what they use."""

from dataclasses import replace

from orchestrator.events import (
    AgentMessage,
    AttemptFinished,
    AttemptStarted,
    CheckFinished,
    ProcessesMeasured,
    SessionStarted,
    WorkspaceClosed,
    WorkspaceOpened,
)
from orchestrator.state.figures import Figures, Folds
from orchestrator.task import Outcome, Status, WorkspaceInfo


def attempt_started(run: Figures, event: AttemptStarted, at: float) -> None:
    task = run.tasks[event.task]
    task.attempts, task.doing = event.attempt, "starting"
    task.heard_at, task.api, task.api_tries, task.queued = at, None, 0, 0
    task.session_id = event.session_id if event.fork else event.resume or event.session_id
    task.told_usd, task.told_models, task.in_session = 0.0, {}, False
    task.live_tokens = task.live_turns = 0
    task.started = task.started or at
    if task.status is not Status.RUNNING:
        run.move_to(task, Status.RUNNING)
        run.running[task.id] = task
        run.places += task.runs_agent


def workspace_opened(run: Figures, event: WorkspaceOpened, at: float) -> None:
    run.tasks[event.task].workspace = WorkspaceInfo(
        kind=event.workspace,
        path=event.path,
        branch=event.branch,
        base=event.base,
        name=event.name,
        origin=event.origin,
    )


def workspace_closed(run: Figures, event: WorkspaceClosed, at: float) -> None:
    task = run.tasks[event.task]
    if task.workspace:
        task.workspace = replace(task.workspace, branch=event.branch, commit=event.commit, changed=tuple(event.changed))


def session_started(run: Figures, event: SessionStarted, at: float) -> None:
    task = run.tasks[event.task]
    task.session_id, task.in_session = event.session_id, True


def agent_message(run: Figures, event: AgentMessage, at: float) -> None:
    task = run.tasks[event.task]
    task.told_usd, task.told_models = event.cost_usd or task.told_usd, event.models or task.told_models
    task.doing = event.doing or task.doing
    task.heard_at, task.api = at, None
    task.api_tries = 0 if event.turns else task.api_tries
    task.turns += event.turns
    run.turns += event.turns
    task.input_tokens += event.input_tokens
    task.output_tokens += event.output_tokens
    task.cache_read_tokens += event.cache_read_tokens
    task.cache_write_tokens += event.cache_write_tokens
    task.live_tokens += event.input_tokens + event.output_tokens
    task.live_turns += event.turns
    run.tokens += event.input_tokens + event.output_tokens
    run.input_tokens += event.input_tokens
    run.output_tokens += event.output_tokens


def check_finished(run: Figures, event: CheckFinished, at: float) -> None:
    verdict = "passed" if event.exit_code == 0 else "failed"
    run.tasks[event.task].doing = f"{verdict}: {event.command}"


def processes_measured(run: Figures, event: ProcessesMeasured, at: float) -> None:
    task = run.tasks[event.task]
    run.use_memory(task, event.memory)
    task.peak_memory = max(task.peak_memory, event.peak)


def attempt_finished(run: Figures, event: AttemptFinished, at: float) -> None:
    task = run.tasks[event.task]
    task.cost_usd += event.cost_usd
    task.worked_s += event.duration
    task.doing, task.api = again(event), None
    run.cost_usd += event.cost_usd
    run.sum_s += event.duration
    if event.tokens:  # the whole count, in place of what the messages told
        run.tokens += event.tokens - task.live_tokens
    task.live_tokens = 0
    told = event.models or ({"": {"usd": event.cost_usd}} if event.cost_usd else {})
    run.count_models(task.agent or "", told)


def again(event: AttemptFinished) -> str | None:
    """When another attempt follows, in a few words; None when none does."""
    if event.retry_in is None:
        return None
    when = "at the reset" if event.outcome == Outcome.QUOTA else f"in {event.retry_in:.0f} s"
    return f"again {when} ({event.outcome})"


FOLDS: Folds = {
    ProcessesMeasured: processes_measured,
    AttemptStarted: attempt_started,
    WorkspaceOpened: workspace_opened,
    WorkspaceClosed: workspace_closed,
    SessionStarted: session_started,
    CheckFinished: check_finished,
    AgentMessage: agent_message,
    AttemptFinished: attempt_finished,
}
