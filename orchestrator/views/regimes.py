"""Width and regime in words: how many agents are started, and whether any are."""

from datetime import UTC, datetime

from rich.text import Text

from orchestrator.events import ApiSignal, RegimeChanged, WidthChanged
from orchestrator.report import RunReport
from orchestrator.state import RunState
from orchestrator.views.words import clock, one_line, plural, span

FAR = 20 * 3600.0
"""Seconds from which on a time of day needs its day."""


def regime_line(state: RunState, now: float) -> Text | None:
    """What keeps agents from being started, with a countdown; None while nothing does. `now`: Unix time, s."""
    held = [event for _, event in sorted(state.lanes.items()) if event.regime != "go"]
    if not held or state.finished:
        return None
    return Text(one_line(regime_words(held[0], now)), style="yellow", no_wrap=True, overflow="ellipsis")


def regime_words(event: RegimeChanged, now: float) -> str:
    """`held until 17:05 (in 42 min): the usage limit is reached`; the time of day is that of this machine.

    One that is not about all agents says which ones first: `account own-1: held until ...`.
    """
    about = f"{event.lane}: " if event.lane else ""
    return about + lane_words(event, now)


def lane_words(event: RegimeChanged, now: float) -> str:
    """The same, without whom it is about."""
    match event.regime:
        case "hold" if event.until is not None:
            return f"held until {moment(event.until, now)} (in {patience(event.until - now)}): {event.reason}"
        case "stop":
            return f"stopped: {event.reason}" + (f" (reset {moment(event.until, now)})" if event.until else "")
        case "go":
            return f"goes on: {event.reason}"
    return f"{event.regime}: {event.reason}"


def governed_words(event: WidthChanged | RegimeChanged, now: float) -> str:
    """`12 at once now: all is calm`, or how agents are started from now on."""
    if isinstance(event, RegimeChanged):
        return regime_words(event, now)
    if event.width == event.before:
        return f"{event.reason}; it stays at {event.width} at once"
    return f"{event.width} at once now: {event.reason}"


def moment(at: float, now: float) -> str:
    """`17:05`; `Thu 17:05` for one that is far."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%a %H:%M" if abs(at - now) > FAR else "%H:%M")


def patience(seconds: float) -> str:
    """`45 s`, `42 min`, `3 h 05 min`."""
    seconds = max(seconds, 0.0)
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def governed(report: RunReport) -> str | None:
    """`held for 42:10 by the usage limit · 3 episodes of 429 · at most 32 at once, 8 in the end`; None if all was
    calm."""
    said = [f"held for {clock(report.held_s)} by the usage limit"] if report.held_s else []
    said += [f"{plural(report.episodes, 'episode')} of 429"] if report.episodes else []
    if report.concurrent != report.width or report.concurrent != report.began_with:
        said.append(f"at most {report.concurrent} at once, {report.width} in the end")
    return " · ".join(said) or None


def answered(report: RunReport) -> str | None:
    """`API answers other than 200: 429 3 times, 529 1 time, 2 broke off`; None without any."""
    said = [f"{status} {plural(number, 'time')}" for status, number in report.answers.items() if status != "cut"]
    said += [f"{cut} broke off"] if (cut := report.answers.get("cut")) else []
    return f"API answers other than 200: {', '.join(said)}" if said else None


def waiting_words(event: ApiSignal) -> str:
    """`the API answers 529 (overloaded): the CLI tries again in 0.5 s`."""
    why = f" ({event.reason})" if event.reason not in ("", "unknown") else ""
    what = "an answer of the API broke off" if event.signal == "cut" else f"the API answers {event.status}"
    return f"{what}{why}: the CLI tries again in {span(event.retry_after or 0.0)}"


def stopped(report: RunReport) -> str | None:
    """Why nothing more was started; None where it was."""
    return f"stopped: {report.stopped}" if report.stopped else None
