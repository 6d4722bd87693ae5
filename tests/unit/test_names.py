"""The front door."""

import subprocess
import sys
import tomllib
from pathlib import Path

import orchestrator


def test_public_names() -> None:
    """Each public name can be had, and they are sorted."""
    assert all(hasattr(orchestrator, name) for name in orchestrator.__all__)
    assert list(orchestrator.__all__) == sorted(orchestrator.__all__)


def test_an_unknown_name() -> None:
    """A name that is not public is an AttributeError, as of any module."""
    assert not hasattr(orchestrator, "nonsense")


def test_importing_does_nothing() -> None:
    """The package's import pulls in neither the SDK nor anything else that is slow."""
    code = "import orchestrator, sys; print([m for m in ('claude_agent_sdk', 'pydantic', 'anyio') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_a_check_imports() -> None:
    """A plan is checked without the SDK, whose import takes half of a start; and garbage is looked for seldom."""
    code = (
        "import gc, sys, orchestrator.__main__ as program; sys.argv = ['orchestrator', 'plan', 'schema']\n"
        "try: program.main()\n"
        "except SystemExit: print(['claude_agent_sdk' in sys.modules, gc.get_threshold()[0]], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[False, 20000]"


def test_every_data_file_is_packed() -> None:
    """Each file below the packages that is no Python is among the package data that a wheel gets."""
    root = Path(orchestrator.__file__).parent.parent
    patterns = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for package, globs in patterns.items():
        packed = {path for pattern in globs for path in (root / package).glob(pattern) if path.is_file()}
        there = {path for path in (root / package).rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
        assert sorted(there - packed) == []
