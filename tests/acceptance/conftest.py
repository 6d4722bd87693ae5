"""What acceptance tests share."""

from pathlib import Path

import pytest
from command_line import Cli, make_cli
from ran import Failed, Mixed


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A command line of the test's own."""
    return make_cli(tmp_path)


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Mixed:
    """The mixed plan, run once."""
    return Mixed(make_cli(tmp_path_factory.mktemp("mixed")))


@pytest.fixture(scope="session")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Failed:
    """The failing plan, run once."""
    return Failed(make_cli(tmp_path_factory.mktemp("failed")))
