"""Runs a command, or a script, of ours, and notes when it comes to what: by Python's audit events, nothing is patched.

python -m tests.benchmarks.weight.marks FILE (run PLAN | PROGRAM)

FILE is given a JSON object: for each mark the time of day (s) at which it was first met.
"""

import time

BEGAN = time.time()

import json  # noqa: E402 - the first thing is the time
import runpy  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

PARTS = {"guard": "guard", "claude": "CLI"}
"""What is started, by a part of its command."""
marks: dict[str, float] = {"began": BEGAN}


def note(event: str, about: tuple[Any, ...]) -> None:
    """Heeds an audit event."""
    if event == "import":
        name = imported(about[0])
    elif event == "open":
        name = "plan" if str(about[0]).endswith("plan.yaml") else None
    elif event == "sqlite3.connect":
        name = "journal"
    elif event == "subprocess.Popen":
        words = [Path(str(word)).name for word in about[1]]
        name = next((mark for word, mark in PARTS.items() if word in words), None)
    else:
        return
    if name:
        marks.setdefault(name, time.time())


def imported(module: str) -> str | None:
    """The SDK's import begins, or is over: the first module of ours after it tells."""
    if module == "claude_agent_sdk":
        return "SDK"
    return "after SDK" if "SDK" in marks and module.startswith("orchestrator.") else None


def main(file: str, *words: str) -> None:
    """Never returns, where the command ends the program."""
    sys.addaudithook(note)
    try:
        if words[0] == "run":
            sys.argv = ["orchestrator", *words]
            runpy.run_module("orchestrator", run_name="__main__")
        else:
            sys.argv = list(words)
            runpy.run_path(words[0], run_name="__main__")
    finally:
        Path(file).write_text(json.dumps(marks))


if __name__ == "__main__":
    main(*sys.argv[1:])
