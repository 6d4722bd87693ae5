"""Errors to exit codes: 2 for the user's, 3 for ours, 130 for an interruption."""

import errno
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from orchestrator.errors import InternalError, OrchestratorError
from orchestrator.settings import home

OK, SOME_FAILED, WRONG_INPUT, OUR_FAULT, INTERRUPTED = 0, 1, 2, 3, 130
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def guarded(command: Callable[[], int]) -> int:
    """The command's exit code; what it raises is told on stderr."""
    code = _carry_out(command)
    try:
        sys.stdout.flush()
    except OSError as error:
        return _forget_stdout(code) if isinstance(error, BrokenPipeError) else _no_room(error)
    return code


def _carry_out(command: Callable[[], int]) -> int:
    try:
        return command()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _forget_stdout(OK)  # whoever read our output has enough of it
    except OrchestratorError as error:
        if isinstance(error, InternalError):
            return _crashed(error)
        print(error, file=sys.stderr)
        return WRONG_INPUT
    except Exception as error:
        return _no_room(error) if isinstance(error, OSError) and error.errno in NO_ROOM else _crashed(error)


def _forget_stdout(code: int) -> int:
    """The code; what is still to be written goes nowhere, or Python would try again on its way out, and complain."""
    silence(sys.stdout.fileno())
    return code


def silence(*descriptors: int) -> None:
    """What is written to these files from now on goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _no_room(error: OSError) -> int:
    print(
        f"{error.filename or 'the output'} cannot be written: {error.strerror}; make room and try again",
        file=sys.stderr,
    )
    return WRONG_INPUT if error.filename else _forget_stdout(WRONG_INPUT)


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
