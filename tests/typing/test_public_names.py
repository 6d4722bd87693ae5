"""The front door: the names there are, their types, and what opening it costs."""

import subprocess
import sys
from pathlib import Path

import pytest

import orchestrator

ROOT = Path(__file__).parents[2]
NAMES = [
    "Agent",
    "Candidate",
    "Fault",
    "Handle",
    "InternalError",
    "JournalError",
    "Limits",
    "OrchestratorError",
    "Outcome",
    "Plan",
    "PlanError",
    "Result",
    "Results",
    "Run",
    "RunReport",
    "Spawn",
    "Spent",
    "Status",
    "Task",
    "TaskFailed",
    "Usage",
    "UsageError",
    "Vote",
    "Waited",
    "WorkspaceInfo",
    "WorkspaceSpec",
    "majority",
    "open_run",
    "resume_run",
    "run_plan",
]
HEAVY = [
    "claude_agent_sdk",
    "pydantic",
    "anyio",
    "typer",
    "rich",
    "jinja2",
    "sqlite3",
    "starlette",
    "uvicorn",
    "psutil",
]


def test_the_names_are_these() -> None:
    """The public names are the pinned ones, sorted; another one is a decision, and so is one less."""
    assert orchestrator.__all__ == NAMES == sorted(NAMES)


def test_each_name_is_there() -> None:
    """Every public name can be had, is the object of its own name, and is listed by `dir`."""
    for name in NAMES:
        assert getattr(orchestrator, name).__name__ == name
    assert dir(orchestrator) == NAMES


def test_another_name_is_not() -> None:
    """A name that is none is an AttributeError, as of any module."""
    assert not hasattr(orchestrator, "no_such_name")


def test_the_errors_are_one_family() -> None:
    """Everything that is raised on purpose can be caught as OrchestratorError, and its message is its docstring."""
    for name in ("InternalError", "JournalError", "TaskFailed", "UsageError"):
        error = getattr(orchestrator, name)
        assert issubclass(error, orchestrator.OrchestratorError)
        assert str(error()) == error.__doc__


def test_importing_is_cheap() -> None:
    """`import orchestrator` imports none of the libraries that cost time."""
    assert imported("import orchestrator") == []


def test_help_is_cheap() -> None:
    """The command line's definition imports nothing beyond what it parses options with."""
    assert imported("import orchestrator.cli.app") in ([], ["typer"], ["typer", "rich"])


def imported(statement: str) -> list[str]:
    """The heavy libraries that the statement imports, in a Python of its own."""
    code = f"import sys; {statement}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.split()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy knows of the libraries once it has read them."""
    return tmp_path_factory.mktemp("cache")


def test_types(cache: Path) -> None:
    """mypy --strict accepts every use in api.py, and refuses exactly those that are marked there as wrong."""
    done = mypy(ROOT / "tests" / "typing" / "api.py", cache)
    assert done.returncode == 0, done.stdout


def test_wrong_uses_are_refused(tmp_path: Path, cache: Path) -> None:
    """Without its ignores, each marked line of api.py is an error: the check above can fail."""
    text = (ROOT / "tests" / "typing" / "api.py").read_text("utf-8")
    marked = {number for number, line in enumerate(text.splitlines(), start=1) if "# type: ignore[" in line}
    bare = tmp_path / "bare.py"
    bare.write_text(text.replace("# type: ignore[", "# was: ["), encoding="utf-8")
    done = mypy(bare, cache)
    refused = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error: " in line}
    assert len(marked) >= 3
    assert refused == marked, done.stdout


def mypy(file: Path, cache: Path) -> "subprocess.CompletedProcess[str]":
    """What mypy says of one file to a user, who has neither our settings nor pydantic's plugin."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "/dev/null"]
    return subprocess.run(
        [*command, "--cache-dir", str(cache), "--no-error-summary", str(file)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
