"""Measures it all, and prints the tables."""

from collections.abc import Sequence

from rich.console import Console

from tests.benchmarks.weight import crowd, streams
from tests.benchmarks.weight.starting import starting_table


def main() -> None:
    """Prints the tables."""
    console = Console(width=150)
    for table in (starting_table, streams.streams_table, crowd.crowd_table):
        console.print(table())


def child(arguments: Sequence[str]) -> None:
    """One measurement, in this process."""
    match arguments:
        case ["stream", way, agents, messages]:
            streams.child(way, agents, messages)
        case ["crowd", way, agents]:
            crowd.child(way, int(agents))
        case _:
            raise SystemExit(f"weight: no such measurement: {' '.join(arguments)}")
