"""Forecasts, what came of them, and what held a run back, in words."""

from dataclasses import replace

import pytest
from drawing import Story, drawn, plain

from orchestrator.bottleneck import Ran
from orchestrator.events import RunForecast
from orchestrator.report import Forecast, RunReport
from orchestrator.task import Status
from orchestrator.views.summary import summary
from orchestrator.views.verdicts import chain, compared, forecast_words, held_back, pilot_words

EXPECTED = RunForecast(
    tasks=59, known=59, wall_s=130.0, work_s=1150.0, critical_s=31.0, critical=["ask", "check", "report"],
    bound_s=115.0, usd=1.2, basis="3 earlier runs",
)  # fmt: skip
LONG = [f"{number}" for number in range(9)]


def report_with(**given: object) -> RunReport:
    """A run that is done, with that."""
    return replace(Story().close().report, **given)  # type: ignore[arg-type]


def test_what_a_forecast_says() -> None:
    """Tasks, time, what it cannot be shorter than, cost, and where that is from."""
    assert forecast_words(EXPECTED, 10) == (
        "forecast: 59 tasks, about 2:10 (at least 1:55: the work by 10 at once; longest chain ask > check > report "
        "31.0 s), about $1.20; from 3 earlier runs"
    )


def test_what_is_guessed_is_said() -> None:
    """How many have never run; and that a chain, not the width, is the bound."""
    event = replace(EXPECTED, known=47, critical_s=115.0, usd=None, basis="1 earlier run")
    assert forecast_words(event, 10) == (
        "forecast: 59 tasks, about 2:10 (at least 1:55: the longest chain, ask > check > report); from 1 earlier run; "
        "12 of 59 tasks have never run: guessed"
    )


def test_a_long_chain_is_shortened() -> None:
    """The beginning and the end are told."""
    assert chain(LONG) == "0 > 1 > 2 > 3 > … > 8"


@pytest.mark.parametrize(
    ("took", "cost", "words"),
    [
        (145.0, 1.31, "forecast 2:10, took 2:25 (+12 %); $1.20, cost $1.31"),
        (65.0, 0.6, "forecast 2:10, took 65.0 s (-50 %); $1.20, cost $0.60"),
        (130.2, 1.2, "forecast 2:10, took 2:10; $1.20, cost $1.20"),
    ],
)
def test_what_came_of_it(took: float, cost: float, words: str) -> None:
    """Both times with the difference, both costs."""
    report = report_with(forecast=Forecast(expected=EXPECTED, wall_s=took, cost_usd=cost))
    assert compared(report) == words
    assert words in plain(drawn(summary(replace(report, statuses={"a": Status.DONE}), 100), 100))
    failed = replace(report, statuses={"a": Status.FAILED})
    assert words not in plain(drawn(summary(failed, 100), 100)), "of a run that came to nothing"


@pytest.mark.parametrize("given", [{"forecast": None}, {"status": "cancelled"}, {"complete": False}])
def test_nothing_to_compare(given: dict[str, object]) -> None:
    """Without a forecast, or without the end of the run, nothing is compared."""
    forecast = Forecast(expected=EXPECTED, wall_s=1.0, cost_usd=1.0)
    assert compared(report_with(**({"forecast": forecast} | given))) is None


def alike(count: int, seconds: float, waited: float = 0.0) -> list[Ran]:
    return [Ran(id=f"a[{number}]", seconds=seconds, waited=waited) for number in range(count)]


@pytest.mark.parametrize(
    ("ran", "wall", "words"),
    [
        (alike(10, 10.0), 51.0, "held back by the limit of 2 at once"),
        ([*alike(2, 1.0), Ran(id="b", seconds=50.0)], 51.0, "held back by its longest task: b (50.0 s)"),
        (
            [Ran(id="b", seconds=25.0), Ran(id="c", seconds=25.0, needs=("b",))],
            51.0,
            "held back by needs: b > c (50.0 s)",
        ),
        (alike(2, 5.0, waited=40.0), 46.0, "held back by waits between attempts, as for a rate limit"),
        (alike(2, 5.0), 46.0, "held back by start-up: processes starting, and time between tasks"),
        (alike(1, 5.0), 5.0, None),
        ([], 5.0, None),
    ],
)
def test_what_held_it_back(ran: list[Ran], wall: float, words: str | None) -> None:
    """Each cause in words; nothing of a run that did no more than one task."""
    assert held_back(report_with(ran=ran, wall_s=wall, concurrent=2)) == words


def test_a_pilot_says_what_it_was() -> None:
    """How much of the loops ran, and what the whole would take; nothing once the whole has run."""
    forecast = Forecast(expected=replace(EXPECTED, basis="its pilot"), wall_s=0.0, cost_usd=0.0)
    report = report_with(pilot=1, complete=False, forecast=forecast)
    first, second = pilot_words(report)
    assert first == "pilot: no more than 1 item of each loop"
    assert second.startswith("forecast of the whole: 59 tasks, about 2:10")
    assert any(line.startswith("go on: ") for line in plain(drawn(summary(report, 100), 100)))
    assert pilot_words(replace(report, complete=True)) == []


def test_the_json_has_the_figures() -> None:
    """Efficiency, the longest chain, the bound and what held it back are among the totals."""
    totals = report_with(ran=alike(10, 10.0), wall_s=62.5, concurrent=2).to_json()["totals"]
    assert (totals["efficiency"], totals["critical_s"], totals["bound_s"]) == (0.8, 10.0, 50.0)
    assert (totals["held_back"], totals["parallel"]) == ("start-up", "PARTIAL")
