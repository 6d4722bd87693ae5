"""Forecasts, what came of them, and what held a run back: in words."""

from collections.abc import Sequence

from orchestrator.events import RunForecast
from orchestrator.report import RunReport
from orchestrator.state import Calls
from orchestrator.views.words import dollars, plural, size, span

MOST_NAMES = 6
"""Tasks of a chain that are told by name."""
NEAR = 0.5
"""Seconds that are no difference."""


def forecast_words(event: RunForecast, concurrent: int, pilot: int | None = None) -> str:
    """`forecast: 59 tasks, about 2:10 (at least …), about $1.20; from 3 earlier runs`."""
    what = "forecast of the whole" if pilot and event.basis == "its pilot" else "forecast"
    cost = f", about {dollars(event.usd)}" if event.usd is not None else ""
    said = [f"{what}: {plural(event.tasks, 'task')}, about {span(event.wall_s)} ({least(event, concurrent)}){cost}"]
    said.append(f"from {event.basis}")
    if guessed := event.tasks - event.known:
        said.append(f"{guessed} of {plural(event.tasks, 'task')} have never run: guessed")
    return "; ".join(said)


def least(event: RunForecast, concurrent: int) -> str:
    """`at least 1:55: the work by 10 at once; longest chain ask > check > report 0:31`."""
    names = chain(event.critical)
    if event.critical_s >= event.bound_s:
        return f"at least {span(event.bound_s)}: the longest chain, {names}"
    work = f"at least {span(event.bound_s)}: the work by {concurrent} at once"
    return f"{work}; longest chain {names} {span(event.critical_s)}"


def chain(tasks: Sequence[str]) -> str:
    """`ask > check[3] > report`, of a long one the beginning and the end."""
    if len(tasks) > MOST_NAMES:
        tasks = [*tasks[: MOST_NAMES - 2], "…", tasks[-1]]
    return " > ".join(tasks)


def compared(report: RunReport) -> str | None:
    """`forecast 2:10, took 2:25 (+12 %); $1.20, cost $1.31`; None when there is nothing to compare."""
    if report.forecast is None or report.status not in ("done", "failed") or not report.complete:
        return None
    expected, took = report.forecast.expected, report.forecast.wall_s
    times = f"forecast {span(expected.wall_s)}, took {span(took)}"
    if expected.wall_s and abs(took - expected.wall_s) > NEAR:
        times += f" ({(took - expected.wall_s) / expected.wall_s:+.0%})".replace("%", " %")
    if expected.usd is None:
        return times
    return f"{times}; {dollars(expected.usd)}, cost {dollars(report.forecast.cost_usd)}"


def held_back(report: RunReport) -> str | None:
    """`held back by needs: ask[0] > check[3] > report (31.0 s)`; None when too little ran."""
    if report.held_back is None:
        return None
    return f"held back by {brake_words(report.held_back, report)}"


def brake_words(brake: str, report: RunReport) -> str:
    """What held a run back, in words."""
    words = {
        "limit": f"the limit of {report.concurrent} at once",
        "needs": f"needs: {chain(report.critical_path)} ({span(report.critical_s)})",
        "usage limit": f"the account's usage limit: {span(report.held_s)}",
        "memory": f"memory: agents waited for it for {span(report.memory_awaited_s)}",
        "rate": "waits between attempts, as for a rate limit",
        "start-up": "start-up: processes starting, and time between tasks",
    }
    if brake in words:
        return words[brake]
    longest = max((each for each in report.ran if not is_group(each.id, report)), key=lambda each: each.seconds)
    return f"its longest task: {longest.id} ({span(longest.seconds)})"


def memory_words(report: RunReport) -> str | None:
    """`memory: 3.9 GB at most, 402 MB an agent; agents waited for it for 0:35`; None when it was not measured."""
    if not report.peak_memory:
        return None
    said = f"memory: {size(report.peak_memory)} at most, {size(report.mean_peak_memory)} an agent"
    waited = report.memory_awaited_s
    return f"{said}; agents waited for it for {span(waited)}" if waited else said


def api_words(calls: Calls) -> str | None:
    """`128 requests, 0.8 % answered 429, queued 12 s on average, first token after 0.9 s`; None without any."""
    if not calls.requests:
        return None
    said = [plural(calls.requests, "request"), f"{calls.refused / calls.requests * 100:.1f} % answered 429"]
    said += [f"queued {span(calls.queued_s / calls.answered)} on average"] if calls.queued_s else []
    said += [f"first token after {span(calls.first_token_s / calls.begun)}"] if calls.begun else []
    return ", ".join(said)


def is_group(task: str, report: RunReport) -> bool:
    return task in report.tree and report.tree[task].is_group


def pilot_words(report: RunReport) -> list[str]:
    """What a pilot was, and what the whole would take."""
    if report.pilot is None or report.complete:
        return []
    said = [f"pilot: no more than {plural(report.pilot, 'item')} of each loop"]
    if report.forecast and report.forecast.expected.basis == "its pilot":
        said.append(forecast_words(report.forecast.expected, report.concurrent, report.pilot))
    return said
