"""What a run has cost, of what it may, and for whom: in words."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import JustifyMethod
from rich.table import Table

from orchestrator.events import BudgetReached
from orchestrator.report import RunReport
from orchestrator.state import RunState
from orchestrator.task import Outcome, Result, Spent, Usage
from orchestrator.views.words import clean, clock, dollars, plural, tokens

OWN = "(the run's own)"
"""The agent of tasks that name none."""
UNTOLD = "(not told)"
"""The model of attempts that ended before the CLI could tell."""
LEAST_USD = 0.00005
"""A part that is shown is at least as dear."""
CUT_OFF = frozenset(
    {
        Outcome.BUDGET,
        Outcome.CANCELLED,
        Outcome.CRASHED,
        Outcome.INTERRUPTED,
        Outcome.KILLED,
        Outcome.NO_RESULT,
        Outcome.PUT_OFF,
        Outcome.STALLED,
        Outcome.TIMEOUT,
        Outcome.UNNEEDED,
    }
)
"""Outcomes of agents that may have spent what nobody could tell any more."""


def is_untold(result: Result) -> bool:
    """Whether an agent was ended before anything was told of what it has spent: nothing is known, which is not 0."""
    cut = result.outcome in CUT_OFF and result.session_id is not None and result.attempts > 0
    return cut and not result.turns and result.usage == Usage()


def lacks_cost(result: Result) -> bool:
    """Whether an agent was ended before the CLI told its cost, which it does at the end."""
    return result.outcome in CUT_OFF and result.usage != Usage() and not result.cost_usd


def spent_words(result: Result) -> str:
    """`3 turns, $0.0169`; what is not known is said to be so."""
    if is_untold(result):
        return "cut off before its first reply: what it has spent is not known"
    cost = "its cost was not told" if lacks_cost(result) else dollars(result.cost_usd)
    return f"{plural(result.turns, 'turn')}, {cost}"


def costs_table(report: RunReport) -> Table | None:
    """By agent and by model; None where that is only one of each: then `one_model` says it."""
    if max(len(report.by_agent), len(report.by_model)) < 2 or report.cost_usd < LEAST_USD:
        return None
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("cost by", "", "tokens in", "cached", "out", "cost", "share"):
        justify: JustifyMethod = "left" if name in ("cost by", "") else "right"
        table.add_column(name, no_wrap=True, overflow="ellipsis", justify=justify)
    for what, parts, nameless in (("agent", report.by_agent, OWN), ("model", report.by_model, UNTOLD)):
        for cells in rows(what, parts, nameless, report.cost_usd):
            table.add_row(*cells)
    return table


def rows(what: str, parts: Mapping[str, Spent], nameless: str, whole: float) -> Iterator[Sequence[str]]:
    """A row for each; none where there is only one."""
    for number, (name, spent) in enumerate(parts.items() if len(parts) > 1 else ()):
        usage = spent.usage
        share = usage.cache_read_tokens / usage.all_input_tokens if usage.all_input_tokens else 0.0
        figures = [tokens(usage.all_input_tokens), f"{share:.0%}", tokens(usage.output_tokens)]
        part = f"{spent.usd / whole:.0%}" if whole else ""
        yield (what if number == 0 else "", clean(name) or nameless, *figures, dollars(spent.usd), part)


def one_model(report: RunReport) -> str:
    """` (claude-sonnet-5-5)`, where all was paid to one."""
    names = list(report.by_model)
    return f" ({clean(names[0])})" if len(names) == 1 and names[0] and report.cost_usd >= LEAST_USD else ""


def this_time(report: RunReport) -> str:
    """` ($0.12 of it this time)`, of a run that was gone on with: its cost is that of all its starts."""
    if not report.resumed or not report.earlier_usd:
        return ""
    return f" ({dollars(max(report.cost_usd - report.earlier_usd, 0.0))} of it this time)"


def out_of_budget(report: RunReport) -> str | None:
    """`8 tasks not done: the run's budget of 1 USD is spent (…): resume it with more, as --usd 2`."""
    cut = [result for result in report.leaf_results if result.outcome is Outcome.BUDGET]
    if not cut:
        return None
    said = next((each.error for each in cut if each.error and each.error.startswith("the run's")), cut[0].error)
    return f"{plural(len(cut), 'task')} not done: {said}"


def models_words(models: Mapping[str, Spent]) -> str:
    """`claude-opus-5-5 $0.31, claude-haiku-5-5 $0.0042`"""
    dearest = sorted(models.items(), key=lambda each: -each[1].usd)
    return ", ".join(f"{name or UNTOLD} {dollars(spent.usd)}" for name, spent in dearest)


def budget_words(state: RunState, now: float) -> Iterator[str]:
    """`0.42 of 1.00 USD`, `1.2M of 2.0M tokens`, `3:10 of 2:00:00`; nothing without a budget."""
    limits = state.started.limits if state.started else {}
    if usd := limits.get("usd"):
        yield f"{state.cost_usd:.2f} of {usd:.2f} USD" if usd >= 0.1 else f"{state.cost_usd:.4f} of {usd:.4f} USD"
    if most := limits.get("tokens"):
        yield f"{tokens(state.tokens)} of {tokens(most)} tokens"
    if most := limits.get("turns"):
        yield f"{state.turns} of {most} turns"
    if most := limits.get("time"):
        yield f"{clock(now - state.started_at)} of {clock(most)}"


def reached_words(event: BudgetReached) -> str:
    """`0.81 of 1 USD are spent: from 0.8 USD on (soft) nothing new is started, …; agents at work may finish`."""
    unit = {"usd": "USD", "time": "s"}.get(event.budget, event.budget)
    spent, limit, at = (
        f"{amount:.0f}" if amount >= 1000 else f"{amount:.4g}" for amount in (event.spent, event.limit, event.soft)
    )
    what = "over" if event.budget == "time" else "spent"
    if event.line == "soft":
        rest = f"from {at} {unit} on (soft) nothing new is started, no second attempt either; agents at work may finish"
        return f"{spent} of {limit} {unit} are {what}: {rest}"
    whose = "time" if event.budget == "time" else "budget"
    return f"the {whose} of {limit} {unit} is {what} ({spent}): nothing new is started, agents at work are interrupted"
