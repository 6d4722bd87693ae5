"""From the start of the program to the first prompt that a CLI is asked."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from statistics import median

from rich.table import Table

from tests.benchmarks.weight.places import Place, places

ROUNDS = 7
PLAN = "name: weight\ntasks:\n  one: {prompt: say hello}\n"
SCRIPT = """import anyio
from orchestrator import open_run

async def main():
    async with open_run("weight") as run:
        await run.map("say hello{}", [""])

anyio.run(main)
"""
PHASES = {
    "run": {
        "began": "the interpreter",
        "plan": "our imports",
        "journal": "the plan, and the rest of our imports",
        "SDK": "the journal",
        "after SDK": "the SDK's import",
        "guard": "what imports it, and the den",
        "CLI": "the guard, the attempt",
        "prompt": "the CLI's start",
    },
    "script": {
        "began": "the interpreter",
        "journal": "our imports",
        "SDK": "the journal",
        "after SDK": "the SDK's import",
        "guard": "what imports it, and the den",
        "CLI": "the guard, the attempt",
        "prompt": "the CLI's start",
    },
}
"""For each way its marks in order, and what was done when a mark is met."""


def phases(way: str, place: Place) -> Mapping[str, float]:
    """Seconds of each phase of one start."""
    what = place.folder / ("plan.yaml" if way == "run" else "script.py")
    what.write_text(PLAN if way == "run" else SCRIPT)
    marks = place.folder / "marks.json"
    command = [sys.executable, "-m", "tests.benchmarks.weight.marks", str(marks)]
    begun = time.time()
    subprocess.run(
        [*command, *(["run"] if way == "run" else []), str(what)],
        env=place.environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    met = json.loads(marks.read_text()) | {"prompt": first_prompt(place)}
    times = [begun, *(met[mark] for mark in PHASES[way])]
    return {what: after - before for what, before, after in zip(PHASES[way].values(), times, times[1:], strict=False)}


def first_prompt(place: Place) -> float:
    """When the first prompt came to a fake CLI: each line of a transcript has the time in its id."""
    (file,) = place.folder.glob("config/projects/*/*.jsonl")
    return int(json.loads(file.read_text().splitlines()[0])["uuid"].rpartition("-")[2]) / 1e9


def starting_table(rounds: int = ROUNDS) -> Table:
    """Both ways, by phase."""
    found: dict[str, list[Mapping[str, float]]] = {way: [] for way in PHASES}
    for _ in range(rounds):
        for way in PHASES:
            with places() as place:
                found[way].append(phases(way, place))
    table = Table(title=f"From exec to the first prompt at a CLI; medians of {rounds}")
    for column in ("", "`orchestrator run PLAN` s", "a script s"):
        table.add_column(column, justify="right" if column else "left")
    for what in PHASES["run"].values():
        cells = [[each[what] for each in several if what in each] for several in found.values()]
        table.add_row(what, *(f"{median(cell):.2f}" if cell else "" for cell in cells))
    table.add_section()
    table.add_row("all", *(f"{median(sum(each.values()) for each in several):.2f}" for several in found.values()))
    return table
