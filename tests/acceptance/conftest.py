"""What acceptance tests share."""

from pathlib import Path

import pytest
from command_line import Cli, make_cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A command line of the test's own."""
    return make_cli(tmp_path)
