"""Folds what the API said, and what its gateway made of requests."""

from orchestrator.events import (
    ApiPaused,
    ApiSignal,
    RequestAnswered,
    RequestDequeued,
    RequestNoted,
    RequestQueued,
    RunStarted,
)
from orchestrator.state.calls import Calls
from orchestrator.state.figures import Figures, Folds

STATUSES = {"rate_limit": 429, "overloaded": 529, "server_error": 500}
"""What signals that tell no status are mostly about."""


def api_signal(run: Figures, event: ApiSignal, at: float) -> None:
    run.signals[event.signal] += 1
    if (answer := answer_of(event)) and counts_answer(run, event):
        run.answers[answer] += 1
    waits = event.source == "cli" and event.retry_after and event.signal in {*STATUSES, "cut"}
    if waits and (task := run.tasks.get(event.task)) is not None:
        task.api, task.api_at = event, at
        task.api_tries += 1


def answer_of(event: ApiSignal) -> str | None:
    """The status that the API answered with, or `cut`; None where the signal is no answer."""
    if event.signal == "cut":
        return "cut"
    status = event.status or STATUSES.get(event.signal)
    return str(status) if status else None


def counts_answer(run: Figures, event: ApiSignal) -> bool:
    """Whether nobody else tells of the same answer: what the gateway hears, the CLI may hear after it."""
    if event.signal == "cut":
        return True
    between = run.started is not None and stands_between(run.started)
    return event.source != "fault" and (event.source == "gateway") == between


def stands_between(started: RunStarted) -> bool:
    """Whether requests pass the gateway on their way, to the API or, under limits per minute, to a model of ours."""
    paced = any(name.endswith("_per_minute") for name in started.limits)
    return started.gateway or (paced and started.upstream != "replay")


def request_answered(run: Figures, event: RequestAnswered, at: float) -> None:
    run.calls.add(event)
    if (task := run.tasks.get(event.task)) is not None:
        task.calls = task.calls or Calls()
        task.calls.add(event)


def request_queued(run: Figures, event: RequestQueued, at: float) -> None:
    if (task := run.tasks.get(event.task)) is not None:
        task.queued_at = task.queued_at if task.queued else at - event.queued_s
        task.queued += 1


def request_dequeued(run: Figures, event: RequestDequeued, at: float) -> None:
    if (task := run.tasks.get(event.task)) is not None:
        task.queued = max(task.queued - 1, 0)
        task.heard_at = at  # from now on it can be silent


def request_noted(run: Figures, event: RequestNoted, at: float) -> None:
    run.noted[event.note] += 1
    run.first_noted.setdefault(event.note, event.text)


def api_paused(run: Figures, event: ApiPaused, at: float) -> None:
    run.paused_until = event.until


FOLDS: Folds = {
    ApiSignal: api_signal,
    RequestAnswered: request_answered,
    RequestQueued: request_queued,
    RequestDequeued: request_dequeued,
    RequestNoted: request_noted,
    ApiPaused: api_paused,
}
