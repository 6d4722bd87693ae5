"""What acceptance tests share."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Cli, make_cli

LONGEST = 120.0
"""Seconds that a test may take: whole runs with real CLI processes, on a machine that others use too."""


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A command line of the test's own."""
    return make_cli(tmp_path)


@pytest.fixture(autouse=True)
def ends_in_time() -> Iterator[None]:
    """In place of the fixture of all tests, with more time."""

    def give_up(*_: object) -> None:
        raise TimeoutError(f"the test took longer than {LONGEST} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, LONGEST, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
