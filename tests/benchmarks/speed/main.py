"""Measures the contestants in turn, round after round, and prints the tables."""

import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rich.console import Console

from tests.benchmarks.speed.contestants import CONTESTANTS
from tests.benchmarks.speed.measuring import Bench, Case, Measured, open_bench
from tests.benchmarks.speed.options import Round, Wanted, parse
from tests.benchmarks.speed.tables import Runs, first_table, speed_table

WARM_UP = Case(agents=1, reply=0.0, turns=1, width=1)
"""Files are read from the disk before the first that is measured needs them."""


class Measuring:
    """What was measured so far."""

    def __init__(self, bench: Bench, seconds: float) -> None:
        self.bench, self.seconds, self.began = bench, seconds, time.monotonic()
        self.runs: dict[Round, dict[str, list[Measured]]] = {}
        self.longest: dict[Round, float] = {}

    def all(self, wanted: Wanted) -> None:
        """The first round of everything, and then as many more as there is time for."""
        for name in ("ours", "xargs"):
            self.bench.measure(CONTESTANTS[name], WARM_UP)
        for number in range(max([1, *(each.rounds for each in wanted.tables)])):
            for each in wanted.tables:
                if number < each.rounds:
                    self.once(each, number)
            if number == 0 and wanted.first:
                self.once(wanted.first, number)

    def once(self, wanted: Round, number: int) -> None:
        """One round, each time beginning with another contestant; none if it would end too late."""
        began = time.monotonic()
        if number and began - self.began + self.longest[wanted] > self.seconds:
            return
        runs = self.runs.setdefault(wanted, {name: [] for name in wanted.names})
        for name in rotated(wanted.names, number):
            print(f"{time.monotonic() - self.began:4.0f} s: {name}, {wanted.case}", file=sys.stderr)
            runs[name].append(self.bench.measure(CONTESTANTS[name], wanted.case))
        self.longest[wanted] = max(self.longest.get(wanted, 0.0), time.monotonic() - began)


def rotated(names: Sequence[str], by: int) -> Sequence[str]:
    by %= len(names)
    return [*names[by:], *names[:by]]


def singles(runs: dict[Round, dict[str, list[Measured]]]) -> Iterator[dict[str, object]]:
    """Every measurement as plain data."""
    for wanted, by_name in runs.items():
        for name, several in by_name.items():
            yield from (asdict(wanted.case) | {"contestant": name} | asdict(each) for each in several)


def show(wanted: Wanted, runs: dict[Round, dict[str, list[Measured]]]) -> None:
    for each, by_name in runs.items():
        whole: Runs = {name: several for name, several in by_name.items() if several}
        if whole:
            table = first_table if each is wanted.first else speed_table
            Console(width=170).print(table(each.case, whole))
    if wanted.json:
        wanted.json.write_text(json.dumps(list(singles(runs)), indent=1))


def stop(*_: object) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> None:
    """Prints the tables; at Ctrl-C those of what was measured by then, and everything that was started is ended."""
    wanted = parse(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    with open_bench() as bench:
        measuring = Measuring(bench, wanted.seconds)
        try:
            measuring.all(wanted)
        except KeyboardInterrupt:
            sys.exit(130)
        finally:
            show(wanted, measuring.runs)
