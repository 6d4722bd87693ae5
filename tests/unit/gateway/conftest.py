from pathlib import Path

import pytest

README = """# Kettle

Kettle boils water on a schedule.

## Installation

Install it with pip: `pip install kettle`. Python 3.11 is required.

```sh
# Download first
pip download kettle
```

## Quick start

Run `kettle boil --at 7:00`.
"""
CONFIGURATION = """# Configuration

Settings live in `kettle.toml`.

## Timeouts

`timeout` is given in seconds; the default is 30.

## Logging

Put `log_level` on debug to see each step.
"""


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A directory with a little documentation: it explains installation, time-outs and logging, and nothing else."""
    place = tmp_path / "docs-of-kettle"
    (place / "docs").mkdir(parents=True)
    (place / "README.md").write_text(README)
    (place / "docs" / "configuration.md").write_text(CONFIGURATION)
    return place


@pytest.fixture
def anyio_backend() -> str:
    """The model is asked by a server, which has a loop of asyncio."""
    return "asyncio"
