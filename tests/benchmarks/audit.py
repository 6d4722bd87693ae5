"""The documentation audit, one task after the other, with a barrier between its phases, and without: times per phase.

The model's replies take as long as they might with the API: each conversation has a pace of its own, equal in all
three ways, and some categories are slow to ask. Each way runs in a process of its own, in turn.
"""

import json
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
from rich.console import Console
from rich.table import Table

EXAMPLES = Path(__file__).parents[2] / "examples"
CATEGORIES = ["installation", "first steps", "configuration", "errors", "security", "upgrading"]
QUESTIONS = 2
"""Per category."""
WIDTH = 10
WAYS: Mapping[str, tuple[str, int]] = {
    "one after the other": ("plan.yaml", 1),
    f"barrier, {WIDTH} at once": ("plan.yaml", WIDTH),
    f"pipeline, {WIDTH} at once": ("pipeline.yaml", WIDTH),
}


@dataclass(frozen=True, slots=True)
class Phase:
    """What a phase took, in seconds."""

    begun: float
    """Since the run's first task began."""
    ended: float
    work: float
    """Summed over its tasks."""


async def audit(plan: str, concurrent: int, folder: Path) -> None:
    """Runs the plan, with its journal and report in the folder. Raises AssertionError when not all went well."""
    from orchestrator import Limits, open_run

    values = {
        "docs": str(EXAMPLES / "research" / "documents"),
        "report": str(folder / "report.md"),
        "categories": [{"topic": topic, "questions": QUESTIONS} for topic in CATEGORIES],
    }
    async with open_run(
        "audit",
        limits=Limits(concurrent=concurrent),
        journal=folder / "journal.db",
        upstream="tests.benchmarks.servers:open_paced",
    ) as run:
        await run.plan(EXAMPLES / "doc_audit" / plan, vars=values)
    report = run.report()
    assert report.ok, report
    assert report.succeeded == len(CATEGORIES) * (1 + QUESTIONS) + 1, report


def phases(journal: Path) -> dict[str, Phase]:
    """From the journal, of the asking, the checking and both."""
    with closing(sqlite3.connect(journal)) as connection:
        query = "SELECT json_extract(data, '$.task'), at FROM events WHERE kind = ?"
        begun = dict(connection.execute(query, ("AttemptStarted",)).fetchall())
        ended = dict(connection.execute(query, ("TaskFinished",)).fetchall())
    asks, checks = ({task for task in begun if re.search(rf"{what}(\[\d+\])?$", task)} for what in ("ask", "check"))
    groups = {"ask": asks, "check": checks, "both": begun.keys()}
    zero = min(begun.values())
    return {
        name: Phase(
            min(begun[task] for task in tasks) - zero,
            max(ended[task] for task in tasks) - zero,
            sum(ended[task] - begun[task] for task in tasks),
        )
        for name, tasks in groups.items()
    }


def child(way: str) -> None:
    """Runs one way and prints what its phases took."""
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(audit, *WAYS[way], Path(folder))
        print(json.dumps({name: asdict(phase) for name, phase in phases(Path(folder) / "journal.db").items()}))


def main() -> None:
    """Prints the table."""
    found = {way: measured(way) for way in WAYS}
    first = next(iter(found.values()))
    table = Table(title=f"{len(CATEGORIES)} categories are asked, {len(CATEGORIES) * QUESTIONS} questions are checked")
    for column in ("", "asking s", "checking s", "both at once s", "whole s", "times as fast"):
        table.add_column(column, justify="left" if not column else "right")
    for way, spans in found.items():
        ask, check, both = spans["ask"], spans["check"], spans["both"]
        table.add_row(
            way,
            f"{ask.ended - ask.begun:.1f}",
            f"{check.ended - check.begun:.1f}",
            f"{max(0.0, ask.ended - check.begun):.1f}",
            f"{both.ended:.1f}",
            f"{first['both'].ended / both.ended:.1f}",
        )
    Console(width=110).print(table)


def measured(way: str) -> dict[str, Phase]:
    command = [sys.executable, "-m", "tests.benchmarks", "audit", way]
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return {name: Phase(**phase) for name, phase in told.items()}
