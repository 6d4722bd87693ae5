"""What makes a report of a run's folded events."""

from orchestrator.bottleneck import ran_of
from orchestrator.report.run import Forecast, RunReport
from orchestrator.report.standing import ordered, seconds_of, standings, status_of
from orchestrator.state import RunState
from orchestrator.task import Result, Spent


def report_of(run: str, state: RunState, *, now: float, alive: bool = True) -> RunReport:
    """The report of a run from its folded events.

    `now` is the Unix time in seconds; `alive` tells whether the process that drives the run still exists.
    """
    begun, ended = state.started, state.finished
    going = ended is not None or alive
    return RunReport(
        run=run,
        name=begun.name if begun else run,
        status=ended.status if ended else "running" if alive else "interrupted",
        results={task.id: Result.from_json(task.result) for task in ordered(state) if task.result is not None},
        statuses={task.id: status_of(task, going=going) for task in ordered(state) if task.counts},
        tree=standings(state, going=going),
        wall_s=ended.wall if ended else (now if alive else state.last_at) - state.started_at,
        sum_s=state.sum_s,
        longest_s=max((seconds_of(task) for task in state.leaves()), default=0.0),
        upstream=begun.upstream if begun else None,
        resumed=begun.resumed if begun else 0,
        plan=begun.plan if begun else None,
        script=begun.script if begun else None,
        spent_usd=state.cost_usd,
        earlier_usd=begun.spent_usd if begun else 0.0,
        by_agent=spent_by(state, 0),
        by_model=spent_by(state, 1),
        limits=begun.limits if begun else {},
        beside=begun.beside if begun else None,
        concurrent=state.widest,
        began_with=begun.concurrent if begun else 1,
        width=state.width,
        episodes=state.episodes,
        signals=dict(state.signals),
        answers=dict(sorted(state.answers.items())),
        held_s=state.held(now if alive and not ended else state.last_at),
        stopped=state.regime.reason if state.regime and state.regime.regime == "stop" else None,
        complete=ended.complete if ended else True,
        pilot=begun.pilot if begun else None,
        forecast=forecast_of(state, now if alive and not ended else state.last_at),
        noted=dict(state.noted),
        first_noted=dict(state.first_noted),
        calls=state.calls,
        task_calls={task.id: task.calls for task in state.tasks.values() if task.calls},
        ran=ran_of(state),
        peak_memory=state.peak_memory,
        mean_peak_memory=mean_peak(state),
        memory_awaited_s=state.memory_awaited_s
        + (state.last_at - state.memory_awaited_since if state.memory_awaited else 0.0),
    )


def mean_peak(state: RunState) -> int:
    """Bytes of an agent's processes at their peak, on average over the tasks of which they were measured."""
    peaks = [task.peak_memory for task in state.tasks.values() if task.peak_memory]
    return round(sum(peaks) / len(peaks)) if peaks else 0


def spent_by(state: RunState, which: int) -> dict[str, Spent]:
    """What ended attempts have cost by agent (0) or model (1), the dearest first."""
    sums: dict[str, Spent] = {}
    for names, spent in state.spent_by.items():
        sums[names[which]] = sums.get(names[which], Spent()) + spent
    return dict(sorted(sums.items(), key=lambda each: (-each[1].usd, each[0])))


def forecast_of(state: RunState, until: float) -> Forecast | None:
    if state.forecast is None:
        return None
    spent = state.cost_usd - state.forecast_usd
    return Forecast(expected=state.forecast, wall_s=until - state.forecast_at, cost_usd=spent)
