"""What commands print: people's text on a console, programs' JSON on stdout or into a file."""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.errors import UsageError


def console(*, stderr: bool = False) -> Console:
    """As wide as the terminal; 100 columns in a pipe, where there is none. NO_COLOR is heeded."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, soft_wrap=False, width=None if stream.isatty() else 100)


def print_json(data: Any) -> None:
    """One document on stdout."""
    print(json.dumps(data, ensure_ascii=False, indent=2))


def write_json(data: Any, target: str) -> None:
    """One document on stdout (`-`), or in a file, whole or not at all."""
    if target == "-":
        print_json(data)
        return
    path = Path(target)
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.absolute().parent, delete=False) as part:
            json.dump(data, part, ensure_ascii=False, indent=2)
            part.write("\n")
        os.replace(part.name, path)  # noqa: PTH105
    except OSError as error:
        raise UsageError(f"--json {target}: the file cannot be written: {error.strerror}") from error


def check_target(target: str | None) -> None:
    """Raises UsageError, before anything is started, for a file that could not be written at the end."""
    if target and target != "-" and not Path(target).absolute().parent.is_dir():
        raise UsageError(f"--json {target}: there is no folder {Path(target).absolute().parent}")
