"""Folds what bounds a run."""

from orchestrator.events import BudgetReached, MemoryAwaited, RegimeChanged, WidthChanged
from orchestrator.state.figures import Figures, Folds


def width_changed(run: Figures, event: WidthChanged, at: float) -> None:
    run.width, run.widest = event.width, max(run.widest, event.width)
    run.episodes += event.episode


def regime_changed(run: Figures, event: RegimeChanged, at: float) -> None:
    run.lanes[event.lane] = event
    if event.lane:
        return  # others are started
    run.regime = event
    if event.regime in ("hold", "canary"):
        run.held_since = run.held_since or at
    elif run.held_since is not None:
        run.held_s, run.held_since = run.held_s + at - run.held_since, None


def budget_reached(run: Figures, event: BudgetReached, at: float) -> None:
    run.budget = event


def memory_awaited(run: Figures, event: MemoryAwaited, at: float) -> None:
    run.await_memory(event if event.awaited else None, at)


FOLDS: Folds = {
    WidthChanged: width_changed,
    RegimeChanged: regime_changed,
    BudgetReached: budget_reached,
    MemoryAwaited: memory_awaited,
}
