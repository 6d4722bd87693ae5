"""What was measured, as tables."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from rich.table import Table

from tests.benchmarks.speed.contestants import CONTESTANTS
from tests.benchmarks.speed.measuring import Case, Measured

Runs = Mapping[str, Sequence[Measured]]
"""By contestant."""


def middle(runs: Sequence[Measured], figure: Callable[[Measured], float]) -> float:
    return median(map(figure, runs))


def told(case: Case, runs: Runs) -> str:
    """What a table is about."""
    times = {len(each) for each in runs.values()}
    rounds = "one round" if times == {1} else f"medians of {'-'.join(map(str, sorted(times)))} rounds"
    turns = "one turn" if case.turns == 1 else f"{case.turns} turns"
    return (
        f"{case.agents} agents of {turns}, {case.width} at once, replies after {case.reply:g} s, "
        f"ideal {case.ideal:g} s; {rounds}"
    )


def speed_table(case: Case, runs: Runs) -> Table:
    """Time, processor time, memory and input; each × is to the first row."""
    table = Table(title=told(case, runs))
    columns = ("wall s", "/ ideal", "×", "CPU-s/agent", "×", "PSS MB", "processes", "requests", "input kU", "×")
    for column in ("", *columns, "before s", "after s", "done"):
        table.add_column(column, justify="right" if column else "left")
    base = next(iter(runs.values()))
    for name, several in runs.items():
        wall, of_wall = compared(several, base, lambda each: each.wall)
        cpu, of_cpu = compared(several, base, lambda each: each.cpu / case.agents)
        units, of_units = compared(several, base, lambda each: each.units / 1000)
        table.add_row(
            *(CONTESTANTS[name].label, f"{wall:.1f}", f"{wall / case.ideal:.2f}", of_wall, f"{cpu:.2f}", of_cpu),
            *(f"{middle(several, lambda each: each.memory / 1e6):.0f}",),
            *(f"{middle(several, lambda each: each.processes):.0f}", asked(several), f"{units:.1f}", of_units),
            *(f"{middle(several, lambda each: each.started):.1f}", f"{middle(several, lambda each: each.ended):.1f}"),
            done(case, several),
        )
    table.caption = (
        "kU: 1000 input tokens' price (written to the cache 1.25, read 0.1); before: until the first request; "
        "after: from the last reply to the exit; processes: those that a look every 0.2 s saw"
    )
    return table


def first_table(case: Case, runs: Runs) -> Table:
    """What the first turns' input costs where each agent has a directory of its own."""
    table = Table(title=f"Input of first turns: {told(case, runs)}; a directory each")
    for column in ("", "kU", "U/agent", "×", "tokens/agent", "written", "read", "asked within s", "wall s", "done"):
        table.add_column(column, justify="right" if column else "left")
    base = next(iter(runs.values()))
    for name, several in runs.items():
        units, of_units = compared(several, base, lambda each: each.units)
        tokens = middle(several, lambda each: sum(each.tokens.values()))
        table.add_row(
            *(CONTESTANTS[name].label, f"{units / 1000:.1f}", f"{units / case.agents:.0f}", of_units),
            f"{tokens / case.agents:.0f}",
            *(share(several, tokens, "written"), share(several, tokens, "read")),
            *(f"{middle(several, lambda each: each.spread):.1f}", f"{middle(several, lambda each: each.wall):.1f}"),
            done(case, several),
        )
    return table


def compared(
    runs: Sequence[Measured], base: Sequence[Measured], figure: Callable[[Measured], float]
) -> tuple[float, str]:
    """A figure, and how many times that of the first row."""
    value = middle(runs, figure)
    return value, f"{value / middle(base, figure):.2f}"


def share(runs: Sequence[Measured], tokens: float, kind: str) -> str:
    return f"{middle(runs, lambda each: each.tokens[kind]) / tokens:.0%}"


def asked(runs: Sequence[Measured]) -> str:
    """Requests to the model, and others where there were any."""
    others = middle(runs, lambda each: each.other_requests)
    return f"{middle(runs, lambda each: each.requests):.0f}" + (f" + {others:.0f}" if others else "")


def done(case: Case, runs: Sequence[Measured]) -> str:
    """How many agents came to their end in the worst round, and what went wrong."""
    text = f"{min(each.finished for each in runs)}/{case.agents}"
    if any(each.status for each in runs):
        text += f", exit {next(each.status for each in runs if each.status)}"
    if refused := max(each.refused for each in runs):
        text += f", {refused} tool errors"
    return text
