"""Who drives a run: between processes, after a kill, and where no lock can be made."""

import signal
import subprocess
from pathlib import Path

import pytest
from elsewhere import output, python

from orchestrator.errors import JournalError
from orchestrator.journal.sqlite import SqliteJournal

DRIVE = """
    import sys
    from pathlib import Path
    from orchestrator.journal.sqlite import SqliteJournal
    with SqliteJournal(Path(sys.argv[1])).drive("run-1") as ours:
        print(ours, flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def journal(tmp_path: Path) -> SqliteJournal:
    return SqliteJournal(tmp_path / "journal.db")


def driven_elsewhere(journal: SqliteJournal) -> "subprocess.Popen[str]":
    """Another process that has the run when this returns, and has it until it is ended."""
    process = python(DRIVE, journal.path, stdin=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def test_another_process_drives_the_run(journal: SqliteJournal) -> None:
    """As long as one process drives a run no other does; when it leaves, the next one may, and no file is left."""
    with driven_elsewhere(journal) as process:
        with journal.drive("run-1") as ours:
            assert not ours
        with journal.drive("run-2") as ours:
            assert ours
        process.communicate(timeout=60)
    with journal.drive("run-1") as ours:
        assert ours
        assert output(python(DRIVE, journal.path, stdin=subprocess.DEVNULL)) == "False"
    assert list(journal.path.parent.rglob("*.lock")) == []


def test_a_killed_process_drives_nothing(journal: SqliteJournal) -> None:
    """After SIGKILL the run is free, though the file is still there."""
    with driven_elsewhere(journal) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    assert len(list(journal.path.parent.rglob("*.lock"))) == 1
    with journal.drive("run-1") as ours:
        assert ours


def test_only_one_of_many_drives_it(journal: SqliteJournal) -> None:
    """Of processes that all want a run at once one gets it, however often it changes hands."""
    code = """
        import os, sys
        from pathlib import Path
        from orchestrator.journal.sqlite import SqliteJournal
        journal, inside = SqliteJournal(Path(sys.argv[1])), Path(sys.argv[1]).with_name("inside")
        won = 0
        while won < 200:
            with journal.drive("run-1") as ours:
                if ours:
                    os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
                    inside.unlink()
                    won += 1
    """
    for process in [python(code, journal.path) for _ in range(3)]:
        output(process)


@pytest.mark.parametrize("run", ["..", "a/b", "x" * 100, "ä 漢字"])
def test_any_name_will_do(journal: SqliteJournal, run: str) -> None:
    """Whatever a run is called, its lock is a file in the one folder."""
    with journal.drive(run) as ours:
        assert ours
        assert len(list(journal.path.with_name("journal.db.runs").iterdir())) == 1


def test_a_place_for_no_lock(journal: SqliteJournal) -> None:
    """Where the lock cannot be made, for want of a folder or of rights, this is said with the path and advice."""
    missing = SqliteJournal(journal.path.parent / "missing" / "journal.db")
    with pytest.raises(JournalError, match=r"missing/journal\.db\.runs.*: check that the folder exists"):
        missing.drive("r").__enter__()
    assert not missing.path.parent.exists()
    code = """
        import sys
        from pathlib import Path
        from orchestrator.errors import JournalError
        from orchestrator.journal.sqlite import SqliteJournal
        try:
            SqliteJournal(Path(sys.argv[1])).drive("r").__enter__()
        except JournalError as error:
            print(error)
    """
    journal.path.parent.chmod(0o500)
    said = output(python(code, journal.path, heeding_modes=True))
    journal.path.parent.chmod(0o700)
    assert str(journal.path) in said
    assert "make the folder writable" in said
