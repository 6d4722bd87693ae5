"""The summary at the end of a run."""

import re
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.report import RunReport
from orchestrator.task import Outcome, Result, Status
from orchestrator.views.costs import costs_table, is_untold, lacks_cost, one_model, out_of_budget, this_time
from orchestrator.views.listing import Listed, left_out, listed
from orchestrator.views.regimes import answered, governed, stopped
from orchestrator.views.verdicts import api_words, compared, held_back, memory_words, pilot_words
from orchestrator.views.words import (
    SIGNS,
    clean,
    dollars,
    noted_words,
    one_line,
    plural,
    shortened,
    span,
    tokens,
    upstream_note,
)

WIDE = 70
"""Columns from which turns and tokens have room."""
LEAST_GAVE = 12
DEEPEST = 5
"""Levels of the tree that are indented."""
ENDINGS = {
    "running": "it still runs",
    "interrupted": "its process died and nothing of it runs any more; what had finished is kept",
    "cancelled": "it was stopped before its end; what had finished is kept",
    "crashed": "it broke off with an error; what had finished is kept",
}
"""What to say of a run that did not come to its end."""
COUNTED = re.compile(r"(all \d|\d+ of \d)")
"""How a text begins that says how many itself."""
UNKNOWN = "?"
"""In the place of a figure that is not known."""
PARALLEL = {"PARALLEL": "fully parallel", "PARTIAL": "partly parallel", "SEQUENTIAL": "sequential"}


def summary(report: RunReport, width: int) -> RenderableType:
    """Per task outcome, time, turns, tokens and cost; totals; the speed-up against one task after the other."""
    rows = listed(report)
    parts: list[RenderableType] = [task_table(report, rows, width)] if rows else []
    if hidden := left_out(report, rows):
        parts.append(Text(hidden, style="dim"))
    parts += [Text(totals(report), style="bold"), Text(timing(report))]
    if table := costs_table(report):
        parts.append(table)
    parts.extend(Text(said) for said in verdicts(report) if said)
    parts.extend(Text(said, style="yellow") for said in (governed(report), answered(report), stopped(report)) if said)
    if (said := api_words(report.calls)) and (report.upstream is None or report.calls.refused):
        parts.append(Text(f"API: {said}"))
    if report.reused:
        parts.append(Text(taken(report), style="green"))
    if report.status in ENDINGS:
        parts.append(Text(f"{report.status}: {ENDINGS[report.status]}", style="yellow"))
    if cut := out_of_budget(report):
        parts.append(Text(cut, style="yellow"))
    parts.extend(Text(failure, style="red") for failure in failures(report))
    parts.extend(Text(note, style="dim") for note in notes(report))
    return Group(*parts)


def verdicts(report: RunReport) -> Iterator[str | None]:
    """What held the run back and how its forecast came out, if it came to something; what a pilot foretells."""
    if report.succeeded and report.status != "running":
        yield held_back(report)
        yield compared(report)
    yield memory_words(report)
    yield from pilot_words(report)


def task_table(report: RunReport, listed: Sequence[Listed], width: int) -> Table:
    """A row each; what it gave takes the room that the figures leave, and goes where there is none."""
    names = ["task", "outcome", *(("time", "turns", "tokens", "cost") if width >= WIDE else ("time", "cost"))]
    rows = [row(each, report, width) for each in listed]
    widths = [
        max(len(cells[index]) for cells in [names, *(cells for cells, _, _ in rows)]) for index in range(len(names))
    ]
    widths[0] = min(widths[0], max(width // 3, 12))
    rest = width - sum(widths) - len(widths) * 2
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for index, (name, size) in enumerate(zip(names, widths, strict=True)):
        justify: JustifyMethod = "left" if index < 2 else "right"
        table.add_column(name, width=size, no_wrap=True, overflow="ellipsis", justify=justify)
    if rest >= LEAST_GAVE:
        table.add_column("what it gave", width=rest, no_wrap=True, overflow="ellipsis", style="dim")
    for each, (cells, colour, gave) in zip(listed, rows, strict=True):
        shown = [
            Text(cells[0], style="bold" if each.is_group else ""),
            Text(cells[1], style=colour),
            *map(Text, cells[2:]),
        ]
        table.add_row(*shown, *([Text(gave)] if rest >= LEAST_GAVE else []))
    return table


def row(listed: Listed, report: RunReport, width: int) -> tuple[list[str], str, str]:
    """A row's cells, the colour of its outcome, and what came of it."""
    sign, colour = SIGNS[listed.status]
    result = report.results.get(listed.task)
    name = f"{'  ' * min(listed.depth, DEEPEST)}{sign} {listed.label}"
    said = result.outcome.value if result else listed.status.value
    cells = group_figures(listed, report) if listed.is_group else figures(result)
    gave = group_gave(listed, report) if listed.is_group else clean(" ".join((words(result)).split()))
    return [name, said, *(cells if width >= WIDE else [cells[0], cells[3]])], colour, gave


def figures(result: Result | None) -> list[str]:
    """Time, turns, tokens and cost."""
    if result is None or not (result.reused or result.attempts or result.duration):
        return [""] * 4
    if result.reused:
        return ["before", "", "", ""]
    if is_untold(result):
        return [span(result.duration), *[UNKNOWN] * 3]
    spent = tokens(result.usage.all_input_tokens + result.usage.output_tokens)
    return [
        span(result.duration),
        str(result.turns),
        spent,
        UNKNOWN if lacks_cost(result) else dollars(result.cost_usd),
    ]


def words(result: Result | None) -> str:
    return (result.error or note(result) or result.text) if result else ""


def note(result: Result | None) -> str:
    """What is to be known of a result beside its outcome, as how a vote went."""
    return getattr(result, "note", None) or ""


def group_figures(listed: Listed, report: RunReport) -> list[str]:
    """A group's time from beginning to end; the rest is told of its parts."""
    standing = report.tree.get(listed.task)
    return [span(standing.seconds) if standing and standing.seconds is not None else "", "", "", ""]


def group_gave(listed: Listed, report: RunReport) -> str:
    """`plan, 8 of 8`, and what is to be known of it; how many, where that does not say it itself."""
    standing, result = report.tree[listed.task], report.results.get(listed.task)
    more = (result.error or note(result)) if result else ""
    counted = COUNTED.match(more) or not standing.total
    what = standing.kind if counted else f"{standing.kind}, {standing.done} of {standing.total}"
    return one_line(f"{what}: {more}" if more else what)


def totals(report: RunReport) -> str:
    """`12 tasks: 11 ok, 1 failed · 34.1k tokens · $0.31`"""
    counts = {status: report.count(status) for status in Status if status is not Status.DONE}
    others = "".join(f", {number} {status.value}" for status, number in counts.items() if number)
    usage = report.usage
    cached = f" ({usage.cache_read_tokens / usage.all_input_tokens:.0%} cached)" if usage.cache_read_tokens else ""
    spent = f"{tokens(usage.all_input_tokens)} tokens in{cached}, {tokens(usage.output_tokens)} out"
    cost = f"{dollars(report.cost_usd)}{one_model(report)}{this_time(report)}"
    return f"{plural(report.tasks, 'task')}: {report.succeeded} ok{others} · {spent} · {cost}"


def timing(report: RunReport) -> str:
    """`wall 5.2 s, sum of tasks 16.9 s: 3.3x as fast as one after the other (partly parallel)`"""
    if report.tasks < 2 or report.speedup < 1 or not report.succeeded:
        return f"wall {span(report.wall_s)}"
    times = f"{span(report.wall_s)}, sum of tasks {span(report.sum_s)}"
    return f"wall {times}: {report.speedup:.1f}x as fast as one after the other ({PARALLEL[report.parallel]})"


def how_to_go_on(report: RunReport) -> str:
    """The command that goes on with a run."""
    if report.plan is not None:
        return f"go on with: orchestrator resume {report.run}"
    return f"go on with: run {report.script} again" if report.script else "go on: do the same again"


def taken(report: RunReport) -> str:
    """`12 results were there before and cost nothing now (worth $0.24)`"""
    worth = sum(result.cost_usd for result in report.reused)
    were = "result was" if len(report.reused) == 1 else "results were"
    others = sorted({result.reused for result in report.reused if result.reused not in (None, report.run)})
    whence = f", from {some([*map(str, others)])}" if others else ""
    return f"{len(report.reused)} {were} there before and cost nothing now (worth {dollars(worth)}){whence}"


def failures(report: RunReport) -> list[str]:
    """Each cause in full, with the tasks that it befell."""
    bad = (
        (f"{result.outcome}: {clean(' '.join((result.error or '').split()))}", task)
        for task, result in report.results.items()
        if failed_itself(task, result, report)
    )
    return [f"{some(tasks)}: {cause}" for cause, tasks in gathered(bad).items()]


def failed_itself(task: str, result: Result, report: RunReport) -> bool:
    """Whether it failed for a reason of its own: that of a group with parts that failed is told with these."""
    if task in report.statuses:
        return report.statuses[task] is Status.FAILED
    return result.outcome.status is Status.FAILED and result.outcome is not Outcome.PARTIAL


def refused(report: RunReport) -> list[str]:
    """Each refused tool call, with the tasks that wanted it."""
    denials = (
        (shortened(clean(denial)), task)
        for task, result in report.results.items()
        for denial in dict.fromkeys(result.denials)
    )
    advice = "(let it through with the agent's `allow`)"
    return [f"refused: {denial} in {some(tasks)} {advice}" for denial, tasks in gathered(denials).items()]


def untold(report: RunReport) -> list[str]:
    """Whose turns, tokens and cost are not known, as they were ended before the CLI told them."""
    tasks = [result.task for result in report.leaf_results if is_untold(result) or lacks_cost(result)]
    return (
        [f"{UNKNOWN}: {some(tasks)}: cut off before the CLI had told it; what the API did is paid for"] if tasks else []
    )


def gathered(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The second of each pair, listed by the first."""
    lists: dict[str, list[str]] = {}
    for first, second in pairs:
        lists.setdefault(first, []).append(second)
    return lists


def some(tasks: list[str]) -> str:
    """The first three by name."""
    return ", ".join(tasks[:3]) + (f" and {len(tasks) - 3} more" if len(tasks) > 3 else "")


def notes(report: RunReport) -> list[str]:
    """What must not be passed over: refused tool calls, branches that hold work, and where the figures come from."""
    said = [*untold(report), *refused(report)]
    for task, result in report.results.items():
        if result.workspace and result.workspace.branch and result.workspace.commit:
            said.append(
                f"{task}: {plural(len(result.workspace.changed), 'file')} changed on branch {result.workspace.branch}"
            )
    if report.beside:
        said.append(
            f"run {report.beside} was at work on the same: this one began anew beside it, and took nothing from it"
        )
    said.extend(noted_words(report.noted, report.first_noted, report.run))
    said.extend(filter(None, [upstream_note(report.upstream)]))
    said.append(f"more: orchestrator show {report.run}")
    if report.status not in ("done", "running") or not report.complete:
        said.append(f"{how_to_go_on(report)} (what has finished is not paid for again)")
    return said
