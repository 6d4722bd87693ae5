"""Errors to exit codes: 2 for the user's, 3 for ours, 130 for an interruption."""

import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from orchestrator.errors import InternalError, OrchestratorError
from orchestrator.settings import home

OK, SOME_FAILED, WRONG_INPUT, OUR_FAULT, INTERRUPTED = 0, 1, 2, 3, 130


def guarded(command: Callable[[], int]) -> int:
    """The command's exit code; what it raises is told on stderr."""
    try:
        return command()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough of it; without this Python complains once more on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except InternalError as error:
        return _crashed(error)
    except OrchestratorError as error:
        print(error, file=sys.stderr)
        return WRONG_INPUT
    except Exception as error:
        return _crashed(error)


def _crashed(error: Exception) -> int:
    print(f"this is a fault of the orchestrator: {type(error).__name__}: {error}", file=sys.stderr)
    try:
        print(f"please report it with the file {write_crash(error)}", file=sys.stderr)
    except OSError:
        traceback.print_exception(error)
    return OUR_FAULT


def write_crash(error: Exception) -> Path:
    """A crash report: the command's name, versions and the traceback; no arguments and no environment."""
    folder = home().crashes
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / time.strftime(f"%Y%m%d-%H%M%S-{os.getpid()}.txt", time.gmtime())
    lines = [f"python {sys.version}", f"platform {sys.platform}", "", *traceback.format_exception(error)]
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8", errors="replace") as file:
        file.write("\n".join(lines))
    return path
