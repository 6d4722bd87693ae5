"""`runs`, `show` and `logs`: what the journal says, while a run goes on and ever after."""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any

import anyio
import psutil
from rich.table import Table

from orchestrator.cli.details import details_of, task_json
from orchestrator.cli.output import console, print_json
from orchestrator.cli.values import to_whole
from orchestrator.cli.wanted import Wanted, check_task, find_task
from orchestrator.errors import UsageError, bare_errors
from orchestrator.events import Record
from orchestrator.journal.sqlite import SqliteJournal
from orchestrator.report import RunReport, report_of
from orchestrator.settings import home
from orchestrator.state import RunState
from orchestrator.views.jsonl import to_json
from orchestrator.views.log import log_lines
from orchestrator.views.summary import summary
from orchestrator.views.words import dollars, span

Row = Mapping[str, Any]
SUGGESTIONS = 5
WIDE = 80
"""Columns from which every figure of a run has room."""


def runs(limit: str, as_json: bool) -> int:
    """Lists runs, newest first."""
    rows = [with_status(row) for row in anyio.run(SqliteJournal(home().journal).runs, to_whole("limit", limit))]
    if as_json:
        print_json(rows)
        return 0
    out = console()
    out.print(run_table(rows, wide=out.width >= WIDE))
    return 0


def run_table(rows: Sequence[Row], *, wide: bool) -> Table:
    """A row per run; in a narrow terminal without the figures that are needed least, so that ids stay whole."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("run", "status", *(("started (UTC)",) if wide else ())):
        table.add_column(name, no_wrap=True)
    for name in ("time", *(("tasks",) if wide else ()), "ok", "failed", *(("cost",) if wide else ())):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        began = time.strftime("%Y-%m-%d %H:%M", time.gmtime(row["started"]))
        cells = [row["run"], status_words(row), began, span(row["wall_s"]), row["tasks"], row["ok"], row["failed"]]
        cells.append(dollars(row["cost_usd"]))
        table.add_row(*(str(cells[index]) for index in (range(8) if wide else (0, 1, 3, 5, 6))))
    return table


def status_words(row: Row) -> str:
    """`done`; `done (pilot 2)` of a run that took no more than two items of each loop."""
    return f"{row['status']} (pilot {row['pilot']})" if row["pilot"] else str(row["status"])


def show(run: str | None, task: str | None, as_json: bool) -> int:
    """Prints a run's report, or one task of it whole."""
    report = anyio.run(read_report, run)
    if task is None:
        out = console()
        print_json(report.to_json()) if as_json else out.print(summary(report, out.width))
        return 0
    task = find_task(task, {**report.tree, **report.results}, report.run)
    if as_json:
        print_json(task_json(task, report))
    else:
        console().print(details_of(task, report), soft_wrap=True)
    return 0


def logs(run: str | None, task: str | None, follow: bool, as_json: bool) -> int:
    """Prints what a run's agents said and did; with `follow` until the run ends."""
    anyio.run(_logs, run, task, follow, as_json)
    return 0


async def _logs(run: str | None, task: str | None, follow: bool, as_json: bool) -> None:
    journal = SqliteJournal(home().journal)
    row = await find_run(journal, run)
    going = with_status(row)["status"] == "running"
    after, wanted = 0, Wanted(task)
    if task is not None:
        before = await journal.read(row["run"], messages=False)
        check_task(task, [record.event for record in before], row["run"], going=follow and going)
    if follow and going:
        with bare_errors():
            async with anyio.create_task_group() as group:
                group.start_soon(_stop_when_dead, row, group.cancel_scope)
                async with aclosing(journal.follow(row["run"])) as feed:
                    async for batch in feed:
                        _print_records(batch, wanted, as_json)
                        after = batch[-1].seq
                group.cancel_scope.cancel()
    records = await journal.read(row["run"], after)
    _print_records(records, wanted, as_json)


def _print_records(records: Sequence[Record], wanted: Wanted, as_json: bool) -> None:
    for record in records:
        if wanted.takes(record.event):
            lines = [json.dumps(to_json(record), ensure_ascii=False)] if as_json else log_lines(record)
            for line in lines:
                print(line, flush=True)


async def _stop_when_dead(row: Row, scope: anyio.CancelScope) -> None:
    """Ends the wait for a run whose process was killed: its end was never written."""
    while is_alive(row):  # noqa: ASYNC110 - a process that is not our child gives no event
        await anyio.sleep(1)
    scope.cancel()


async def read_report(run: str | None) -> RunReport:
    """The report of the run that `run` names."""
    journal = SqliteJournal(home().journal)
    row = await find_run(journal, run)
    state = RunState.of(await journal.read(row["run"]))
    return report_of(row["run"], state, now=time.time(), alive=is_alive(row))


async def find_run(journal: SqliteJournal, run: str | None) -> Row:
    """The run of that id, the only one whose id begins so, or the newest of that name; None: the newest of all.

    Raises UsageError when there is none.
    """
    newest = await journal.runs(SUGGESTIONS)
    if not newest:
        raise UsageError(f"{journal.path}: no run is in this journal yet")
    if run is None:
        return newest[0]
    rows = await journal.runs(wanted=run)
    beginning = [row for row in rows if str(row["run"]).startswith(run)]
    exact = [row for row in rows if row["run"] == run] or [row for row in rows if row["name"] == run]
    if found := exact or (beginning if len(beginning) == 1 else []):
        return found[0]
    close = ", ".join(str(row["run"]) for row in (beginning or newest)[:SUGGESTIONS])
    what = "more than one run begins so" if beginning else "no such run"
    raise UsageError(f"run {run!r}: {what}; expected an id or a name, as {close}")


def with_status(row: Row) -> dict[str, Any]:
    """The row with a status and a time also for a run that has no end yet."""
    if row["status"]:
        return dict(row)
    alive = is_alive(row)
    wall = (time.time() if alive else row["last_event"]) - row["last_started"]
    return {**row, "status": "running" if alive else "interrupted", "wall_s": wall}


def is_alive(row: Row) -> bool:
    """Whether the process that drives the run still exists: the same process, not another one of the same id."""
    try:
        process = psutil.Process(row["pid"])
        began: float = process.create_time()
        return process.status() != psutil.STATUS_ZOMBIE and abs(began - float(row["process_started"])) < 1.0
    except psutil.Error:
        return False
