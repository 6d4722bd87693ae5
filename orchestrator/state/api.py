"""Folds what the API said, and what its gateway made of requests."""

from orchestrator.events import ApiPaused, ApiSignal, RequestAnswered, RequestNoted
from orchestrator.state.calls import Calls
from orchestrator.state.figures import Figures, Folds


def api_signal(run: Figures, event: ApiSignal, at: float) -> None:
    run.signals[event.signal] += 1


def request_answered(run: Figures, event: RequestAnswered, at: float) -> None:
    run.calls.add(event)
    if (task := run.tasks.get(event.task)) is not None:
        task.calls = task.calls or Calls()
        task.calls.add(event)


def request_noted(run: Figures, event: RequestNoted, at: float) -> None:
    run.noted[event.note] += 1
    run.first_noted.setdefault(event.note, event.text)


def api_paused(run: Figures, event: ApiPaused, at: float) -> None:
    run.paused_until = event.until


FOLDS: Folds = {
    ApiSignal: api_signal,
    RequestAnswered: request_answered,
    RequestNoted: request_noted,
    ApiPaused: api_paused,
}
