"""Errors to exit codes."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.cli import exits
from orchestrator.errors import (
    Fault,
    InternalError,
    JournalError,
    OrchestratorError,
    PlanError,
    UsageError,
)

SECRET = "sk-ant-do-not-write-me-down"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ORCHESTRATOR_HOME, with a secret in the environment."""
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    return tmp_path / "home"


def raising(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize("code", [0, 1, 2, 3, 130])
def test_a_code_is_passed_on(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A command that ends by itself has the last word, and nothing is printed."""
    assert exits.guarded(lambda: code) == code
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "error", [OrchestratorError("x"), UsageError("x"), JournalError("x")], ids=lambda error: type(error).__name__
)
def test_errors_of_the_user_end_with_2(error: Exception, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong with the input or the set-up is said on stderr, without a crash report."""
    assert exits.guarded(raising(error)) == 2
    assert capsys.readouterr() == ("", "x\n")
    assert not home.exists()


def test_a_plan_s_faults_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Every fault of a plan is a line, in the order of the file."""
    faults = [
        Fault("p.yaml", 7, "tasks.b", "late"),
        Fault("p.yaml", 2, "tasks.a", "early"),
        Fault("p.yaml", 0, "", "all"),
    ]
    assert exits.guarded(raising(PlanError(faults))) == 2
    assert capsys.readouterr().err == "p.yaml: all\np.yaml:2: tasks.a: early\np.yaml:7: tasks.b: late\n"


def test_an_interruption_ends_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends with 130, without a word."""
    assert exits.guarded(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "error", [InternalError("broken"), RuntimeError("broken"), ValueError("broken"), KeyError("k")]
)
def test_our_faults_end_with_3(error: Exception, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What nobody expected ends with 3, names the error and the crash report, and shows no traceback."""
    assert exits.guarded(raising(error)) == 3
    out, err = capsys.readouterr()
    (report,) = (home / "crashes").iterdir()
    assert out == ""
    assert "this is a fault of the orchestrator" in err
    assert type(error).__name__ in err
    assert f"please report it with the file {report}" in err
    assert "Traceback" not in err


def test_a_crash_report(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report has the traceback, its cause and versions; nothing of the environment and of the arguments."""
    monkeypatch.setattr(sys, "argv", ["orchestrator", "run", "secret-plan.yaml"])

    def command() -> int:
        try:
            raise LookupError("the cause")
        except LookupError as cause:
            raise RuntimeError("broken") from cause

    exits.guarded(command)
    (path,) = (home / "crashes").iterdir()
    text = path.read_text("utf-8")
    for part in ("Traceback", "RuntimeError: broken", "LookupError: the cause", "test_exits.py", sys.version[:6]):
        assert part in text
    for secret in (SECRET, "secret-plan", "ANTHROPIC", str(os.environ["PATH"])):
        assert secret not in text


def test_a_crash_report_is_the_users_alone(home: Path) -> None:
    """Nobody else may read a crash report: an error's message may quote what an agent saw."""
    exits.guarded(raising(RuntimeError("x")))
    (path,) = (home / "crashes").iterdir()
    assert any(place.stat().st_mode & 0o077 == 0 for place in (home, path.parent, path))


def test_a_report_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is no place for the report the traceback goes to stderr, and the code is 3 all the same."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "file"))
    assert exits.guarded(raising(RuntimeError("broken"))) == 3
    assert "Traceback" in capsys.readouterr().err


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stdout that is a pipe of the test's own."""
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    monkeypatch.setattr(sys, "stdout", stream)
    os.close(reading)
    yield
    stream.close()


@pytest.mark.usefixtures("unread")
def test_a_reader_that_has_left() -> None:
    """A pipe that nobody reads any more ends in silence with 0, and later output does no harm."""

    def command() -> int:
        print("x" * 100_000, flush=True)
        return 0

    assert exits.guarded(command) == 0
    print("more", flush=True)
