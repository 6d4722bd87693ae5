"""What is to be measured: the words of the command line."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import inf
from pathlib import Path
from typing import Any

from tests.benchmarks.speed.contestants import CONTESTANTS
from tests.benchmarks.speed.measuring import Case

USUAL = ("ours", "ours-at-once", "ours-directory", "ours-worktree", "pool", "semaphore", "xargs", "workflow")
WITH_GATHER = (
    "ours",
    "ours-at-once",
    "ours-directory",
    "ours-worktree",
    "pool",
    "semaphore",
    "gather",
    "xargs",
    "workflow",
)
"""asyncio's gather does what a task group does, and is left out where each agent takes its time."""
APART = ("ours-directory", "semaphore-directory")
"""Whose first turns' input is compared: agents of which each has a directory of its own."""
MINUTES = 9.5


@dataclass(frozen=True, slots=True)
class Round:
    """A case, how often, and who takes part."""

    case: Case
    rounds: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that is asked for."""

    tables: list[Round]
    first: Round | None
    """The second part."""
    seconds: float
    """No further round begins that would not end by then."""
    json: Path | None


def parse(arguments: Sequence[str]) -> Wanted:
    """Ends the program where the words mean nothing."""
    found = parser().parse_args(arguments)
    own = any((found.number, found.reply, found.turns))
    cases = [
        Case(number, reply, turns, found.width)
        for number, reply, turns in product(found.number or [50], found.reply or [3.0], found.turns or [1])
    ]
    usual = [Round(cases[0], found.rounds, found.only or USUAL)]
    usual.append(Round(Case(10, 0.2, 4, found.width), 1, found.only or WITH_GATHER))
    tables = [Round(case, found.rounds, found.only or WITH_GATHER) for case in cases] if own else usual
    first = Round(Case(found.first_number, found.first_reply, 1, found.first_number), 1, APART)
    return Wanted(
        tables=tables if "table" in found.parts else [],
        first=first if "first" in found.parts else None,
        seconds=60 * (found.minutes or (inf if own else MINUTES)),
        json=found.json,
    )


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks speed", description=__doc__)
    parser.add_argument("--number", type=listed(int), metavar="N,...", help="agents; 50, and 10 of four turns")
    parser.add_argument("--reply", type=listed(float), metavar="S,...", help="seconds until each reply begins; 3")
    parser.add_argument("--turns", type=listed(int), metavar="N,...", help="replies per agent; 1")
    parser.add_argument("--rounds", type=int, default=3, help="of which medians are told; 3")
    parser.add_argument("--width", type=int, default=10, help="agents at once; 10")
    parser.add_argument("--only", type=known, metavar="NAME,...", help=", ".join(CONTESTANTS))
    parser.add_argument(
        "--parts", type=listed(str), default=("table", "first"), metavar="PART,...", help="table, first"
    )
    parser.add_argument("--first-number", type=int, default=50, help="agents of the second part, all at once; 50")
    parser.add_argument("--first-reply", type=float, default=3.0, help="seconds until a reply there; 3")
    parser.add_argument("--minutes", type=float, help=f"no round begins that would end later; {MINUTES} by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where every single measurement is written")
    return parser


def listed(kind: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    return lambda words: tuple(kind(word) for word in words.split(","))


def known(words: str) -> tuple[str, ...]:
    names = tuple(words.split(","))
    for name in names:
        if name not in CONTESTANTS:
            raise argparse.ArgumentTypeError(f"found {name!r}, expected some of {', '.join(CONTESTANTS)}")
    return names
