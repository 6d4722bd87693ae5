"""Other processes, and the first version's files: what several tests of the journal need."""

import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

from orchestrator.events import TaskAdded

HEED_MODES = """
import ctypes, os, sys
CAP_DAC_OVERRIDE, PR_CAPBSET_DROP = 1, 24
assert os.geteuid() or ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) == 0
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""Takes root's privilege over file modes from the program that it becomes."""

VERSION_1 = {
    "events": """CREATE TABLE events (
        seq     INTEGER PRIMARY KEY AUTOINCREMENT,
        at      REAL NOT NULL,
        run     TEXT NOT NULL,
        kind    TEXT NOT NULL,
        data    TEXT NOT NULL CHECK (json_valid(data))
    ) STRICT""",
    "events_by_run": "CREATE INDEX events_by_run ON events (run, seq)",
    "events_by_kind": "CREATE INDEX events_by_kind ON events (kind, run) WHERE kind <> 'AgentMessage'",
}
"""The first version's schema, never to be changed: files of it are in the world."""

ROWS_OF_VERSION_1 = Path(__file__).with_name("version_1.sql")
"""Two runs, one of them unfinished, as the first version wrote them."""


def added(task: str) -> TaskAdded:
    return TaskAdded(task=task, title="t", task_kind="agent")


def python(code: str, *args: object, heeding_modes: bool = False, stdin: int | None = None) -> subprocess.Popen[str]:
    """Another process that runs the code; with `heeding_modes` read-only files are so for root too."""
    before = ["-c", HEED_MODES] if heeding_modes else []
    command = [sys.executable, *before, "-c", textwrap.dedent(code), *map(str, args)]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def output(process: subprocess.Popen[str]) -> str:
    """What it printed. It must end well."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.strip()


def make_version_1(path: Path, copies: int = 1) -> None:
    """A journal of the first version; `copies`: how often it has its two runs, each under an id of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    for statement in VERSION_1.values():
        connection.execute(statement)
    connection.executescript(ROWS_OF_VERSION_1.read_text("utf-8"))
    for copy in range(2, copies + 1):
        renamed = "SELECT at, replace(run, '-1', ?), kind, data FROM events WHERE run GLOB '*-1'"
        connection.execute(f"INSERT INTO events (at, run, kind, data) {renamed}", [f"-{copy}"])
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()


def schema(path: Path) -> dict[str, str]:
    """What the file's tables and indexes are, by name."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'").fetchall()
    connection.close()
    return {name: " ".join(sql.split()) for name, sql in rows}


def version(path: Path) -> int:
    """The schema's version that the file says it has."""
    connection = sqlite3.connect(path)
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    return number


def rows(path: Path) -> list[tuple[object, ...]]:
    """All events, as they are in the file."""
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT * FROM events ORDER BY seq").fetchall()
    connection.close()
    return found
