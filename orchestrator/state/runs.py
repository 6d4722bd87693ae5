"""Folds what happens to a run as a whole."""

from orchestrator.events import RunFinished, RunForecast, RunStarted
from orchestrator.state.figures import Figures, Folds


def run_started(run: Figures, event: RunStarted, at: float) -> None:
    """A run that is gone on with begins anew; what had finished is added, and found, once more."""
    Figures.__init__(run, started=event, started_at=at, last_at=at, cost_usd=event.spent_usd)
    run.turns, run.tokens = event.spent_turns, event.spent_tokens
    for agent, models in event.spent_by.items():
        run.count_models(agent, models)
    run.width = run.widest = event.concurrent


def run_forecast(run: Figures, event: RunForecast, at: float) -> None:
    run.forecast, run.forecast_at, run.forecast_usd = event, at, run.cost_usd


def run_finished(run: Figures, event: RunFinished, at: float) -> None:
    run.await_memory(None, at)
    run.finished = event
    run.held_s, run.held_since = run.held(at), None


FOLDS: Folds = {
    RunStarted: run_started,
    RunForecast: run_forecast,
    RunFinished: run_finished,
}
