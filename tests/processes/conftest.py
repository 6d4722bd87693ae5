"""Real processes in real time: a fake CLI, driven through the real SDK."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from load import at_most

from orchestrator.plan.model import Agent
from orchestrator.task import Attempt
from orchestrator.testing import fake_claude_path
from workspaces import Workspace, WorkspaceSpec

ATTEMPT = {
    "run": "processes-1",
    "task": "one",
    "number": 1,
    "agent": Agent(),
    "workspace": WorkspaceSpec(),
    "session_id": "5a0c7f9e-0000-4000-8000-000000000001",
}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, so that what is left in it can be seen."""
    place = tmp_path_factory.mktemp("tmp")
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr("tempfile.tempdir", None)
    return place


@pytest.fixture(autouse=True)
def fake_claude(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The fake CLI, in place of the real one."""
    path = fake_claude_path(tmp_path)
    monkeypatch.setenv("ORCHESTRATOR_CLAUDE", str(path))
    return path


@pytest.fixture
def asks() -> Callable[..., Attempt]:
    """Makes an attempt of a prompt."""

    def asks(prompt: str, **other: Any) -> Attempt:
        return Attempt(prompt=prompt, **(ATTEMPT | other))

    return asks


@pytest.fixture
def here(tmp_path: Path) -> Workspace:
    place = tmp_path / "work"
    place.mkdir()
    return Workspace(path=place)


@pytest.fixture
def leftovers(temporary: Path) -> Callable[[], list[str]]:
    """Waits until no process and no file of a run is left, and lists what still is after five seconds."""

    def leftovers() -> list[str]:
        deadline = time.monotonic() + at_most(5)
        while (left := [*processes_in(temporary), *map(str, temporary.iterdir())]) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left

    return leftovers


def processes_in(place: Path) -> list[str]:
    """Live processes whose environment or command line names the folder: agents, their tools, and guards."""
    assert sys.platform == "linux", "these tests look at /proc"
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                about = [entry.joinpath(name).read_bytes() for name in ("environ", "cmdline")]
                state = entry.joinpath("stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            marked = b"\0ORCHESTRATOR_LEASE=" + os.fsencode(place) in b"\0" + about[0] or os.fsencode(place) in about[1]
            if marked and state != "Z":
                found.append(f"{entry.name} {about[1]!r}")
    return found
