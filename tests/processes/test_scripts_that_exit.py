"""Python scripts that end in the middle of a run: the program ends, and what had finished is in the journal."""

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.journal.sqlite import SqliteJournal

SCRIPT = """
import sys
import anyio
from orchestrator import open_run
from orchestrator.testing import Reply, ScriptedExecutor

async def leave(run):
    await run.call({call})

async def main():
    executor = ScriptedExecutor(lambda attempt: Reply("done", seconds=0 if attempt.task == "quick" else 1e6))
    async with open_run("exits", executor=executor, journal=sys.argv[1]) as run:
        await run.agent("x", key="quick")
        async with anyio.create_task_group() as group:
            group.start_soon(run.agent, "for ever")
            group.start_soon(leave, run)

anyio.run(main, backend="{backend}")
"""


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("call", "code"), [("lambda: sys.exit(5)", 5), ("lambda: 1 / 0", 1)], ids=["sys.exit", "an error"]
)
async def test_a_child_task_that_leaves(backend: str, call: str, code: int, tmp_path: Path) -> None:
    """`sys.exit` out of a task of the script ends the program, although asyncio cancels every task then."""
    journal = tmp_path / "journal.db"
    script = SCRIPT.format(call=call, backend=backend)
    done = subprocess.run(
        [sys.executable, "-c", script, journal], check=False, capture_output=True, text=True, timeout=30
    )
    # Trio and anyio give errors of a task group as a group, which Python ends with 1.
    assert done.returncode in ({code} if backend == "asyncio" else {code, 1}), done.stderr
    (row,) = await SqliteJournal(journal).runs()
    assert (row["ok"], row["tasks"], row["status"]) == (1, 3, "cancelled" if code == 5 else "crashed")
