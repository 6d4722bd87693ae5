"""When a change of what processes use is told, and what is counted."""

import os
from pathlib import Path

import pytest

from orchestrator.processes.measuring import Meter
from orchestrator.processes.tree import identity
from orchestrator.processes.usage import Process, Scanner, Usage

MB = 10**6


class Rows(list[tuple[int, int, float]]):
    """What was told."""

    def __call__(self, memory: int, peak: int, cpu_s: float) -> None:
        self.append((memory, peak, cpu_s))


def metered(samples: list[int], every: float = 1.0) -> Rows:
    """What is told of these bytes, measured one after the other, and of the end."""
    rows = Rows()
    meter = Meter(rows, begun=0.0)
    for number, memory in enumerate(samples):
        meter.take(Usage(memory, number * 0.5), number * every)
    meter.end()
    return rows


def test_small_changes_are_not_told() -> None:
    """Less than 20 MB, and of much memory less than a tenth, is no news; the end is."""
    assert [row[0] for row in metered([100 * MB, 115 * MB, 90 * MB, 121 * MB])] == [100 * MB, 121 * MB, 0]
    assert [row[1] for row in metered([1000 * MB, 1090 * MB])] == [1000 * MB, 1090 * MB]


def test_a_fall_is_told() -> None:
    """What is used no more is free for others; the peak stays."""
    assert [row[:2] for row in metered([300 * MB, 100 * MB])] == [
        (300 * MB, 300 * MB),
        (100 * MB, 300 * MB),
        (0, 300 * MB),
    ]


def test_what_was_never_measured_is_not_told() -> None:
    """An attempt that was over at once has nothing to tell."""
    assert metered([]) == []


def test_ups_and_downs_make_few_rows() -> None:
    """A day of going up and down each second is a few hundred rows, and a new peak among them is told at once."""
    samples = [100 * MB, 400 * MB] * 43_200
    rows = metered(samples)
    assert len(rows) < 500
    assert metered([*samples, 600 * MB])[-2][:2] == (600 * MB, 600 * MB)


def test_growth_makes_few_rows() -> None:
    """From nothing to 8 GB in steps of 1 MB."""
    assert len(metered([number * MB for number in range(8000)])) < 60


def test_processor_time_never_falls() -> None:
    """A process that ends takes its time from the sum only if nobody has waited for it."""
    rows = Rows()
    meter = Meter(rows, begun=0.0)
    meter.take(Usage(100 * MB, 3.0), 0.0)
    meter.take(Usage(200 * MB, 1.0), 1.0)
    assert rows[-1][2] == 3.0


def test_growth_since_the_walk_counts_in_full() -> None:
    """What a process shares with others does not grow when it does."""
    process = Process("1", resident=200 * MB, share=105 * MB, resident_then=200 * MB)
    process.resident = 260 * MB
    assert process.memory == 165 * MB


@pytest.fixture
def lease(tmp_path: Path) -> str:
    """A lease of this process."""
    path = tmp_path / "one.lease"
    path.write_text(identity(os.getpid()))
    return str(path)


def test_where_there_is_no_proportional_size(lease: str) -> None:
    """The resident size has to do."""
    found = Scanner(read_share=lambda pid: None).scan([lease], 1.0)
    shared = Scanner(read_share=lambda pid: 7 * MB).scan([lease], 1.0)
    assert found[lease].memory > 10 * MB
    assert shared[lease].memory % (7 * MB) == 0


def test_a_lease_of_nobody_is_left_out(tmp_path: Path) -> None:
    """A launcher that has not signed yet, or has ended, is no reason to fail."""
    assert Scanner().scan([str(tmp_path / "none.lease")], 1.0) == {}
