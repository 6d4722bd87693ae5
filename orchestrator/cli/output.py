"""What commands print: people's text on a console, programs' JSON on stdout or into a file."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from rich.console import Console

from orchestrator.engine.files import replace_file
from orchestrator.errors import UsageError


def console(*, stderr: bool = False) -> Console:
    """As wide as the terminal; 100 columns in a pipe, where there is none. NO_COLOR is heeded."""
    stream = sys.stderr if stderr else sys.stdout
    return PlainConsole(stderr=stderr, highlight=False, soft_wrap=False, width=None if stream.isatty() else 100)


class PlainConsole(Console):
    """Leaves a broken pipe to whoever prints: rich would end the program."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def print_json(data: Any) -> None:
    """One document on stdout."""
    print(json.dumps(data, ensure_ascii=False, indent=2))


def write_json(data: Any, target: str) -> None:
    """One document on stdout (`-`), or in a file, whole or not at all."""
    if target == "-":
        print_json(data)
        return
    try:
        replace_file(Path(target), json.dumps(data, ensure_ascii=False, indent=2) + "\n")
    except OSError as error:
        raise UsageError(f"--json {target}: the file cannot be written: {error.strerror}") from error


def check_target(target: str | None) -> None:
    """Raises UsageError, before anything is started, for a file that could not be written at the end."""
    if not target or target == "-":
        return
    path = Path(target).absolute()
    if path.is_dir():
        raise UsageError(f"--json {target}: found a folder, expected a file")
    if path.exists() and not path.is_file():
        return  # a pipe or a device
    if not path.parent.is_dir():
        raise UsageError(f"--json {target}: there is no folder {path.parent}")
    try:
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UsageError(f"--json {target}: no file can be made in {path.parent}: {error.strerror}") from error
