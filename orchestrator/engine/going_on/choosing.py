"""Which run it is to be: one that did not finish and is gone on with, or a new one."""

import secrets
import string
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from orchestrator.engine.going_on.earlier import Earlier
from orchestrator.errors import UsageError
from orchestrator.events import Record, RunFinished, RunStarted
from orchestrator.protocols import Journal

Reuse = Literal["unfinished", "any", "none"]
"""`unfinished`: go on with the last run of this plan or script, if it did not finish. `any`: take finished results from
every earlier run as well. `none`: from no run."""
FINISHED = ("done", "failed")
"""How a run ends that came to its end."""
ID_LETTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class Chosen:
    """A run that is this process's to drive."""

    run: str
    earlier: Earlier
    after: int = 0
    """The place in the journal behind which it goes on."""
    beside: str | None = None
    """A run of the same plan or script that another process drives."""


async def choose(journal: Journal, driving: ExitStack, begun: RunStarted, wanted: str | None, reuse: Reuse) -> Chosen:
    """The run to drive, as long as `driving` is open; `wanted` is the id of one that is to be gone on with.

    Raises UsageError when there is no run of that id, or when it is being driven already.
    """
    run = wanted or (await find_unfinished(journal, begun) if reuse != "none" else None)
    beside = None
    if run is not None:
        with ExitStack() as taken:
            is_ours = taken.enter_context(journal.drive(run))
            records = await journal.read(run, messages=False) if is_ours else []
            if wanted and not is_ours:
                raise UsageError(f"run {run}: it is being driven by another process: wait for its end, or stop it")
            if wanted and not records:
                raise UsageError(f"run {run}: there is no such run in this journal")
            if records and (wanted or not is_finished(records)):
                driving.enter_context(taken.pop_all())
                behind = await journal.read(run, records[-1].seq) or records
                return Chosen(run, Earlier.of(run, records), behind[-1].seq)
            beside = None if is_ours else run
    run = new_id(begun.name)
    driving.enter_context(journal.drive(run))
    return Chosen(run, Earlier(run), beside=beside)


async def find_unfinished(journal: Journal, begun: RunStarted) -> str | None:
    """The last run of the same plan or script, if it did not come to its end."""
    if begun.plan is None and begun.script is None:
        return None
    rows = await journal.runs(wanted=begun.name)
    same = next((row for row in rows if is_same(row, begun)), None)
    return same["run"] if same and not (same["status"] == "done" and same["complete"]) else None


def is_same(row: Mapping[str, Any], begun: RunStarted) -> bool:
    """Whether a run is of the same plan or script as the one that begins."""
    names = ("name", "plan", "script", "directory", "upstream")
    return all(row.get(name) == getattr(begun, name) for name in names)


def is_finished(records: Sequence[Record]) -> bool:
    """Whether the run came to its end since it was last started."""
    last = next(each.event for each in reversed(records) if isinstance(each.event, RunStarted | RunFinished))
    return isinstance(last, RunFinished) and last.status in FINISHED and last.complete


def script() -> str | None:
    """The path of the script that this process runs; None when there is none, as at an interactive prompt."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    return str(Path(path).absolute()) if path and Path(path).is_file() else None


def new_id(name: str) -> str:
    """`<name>-<six letters or digits>`: short enough to type, and fit for a folder and a branch."""
    safe = "".join(letter if (letter.isalnum() and letter.isascii()) or letter in "-_." else "-" for letter in name)
    return f"{safe.strip('-.')[:40] or 'run'}-{''.join(secrets.choice(ID_LETTERS) for _ in range(6))}"
