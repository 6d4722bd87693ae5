"""What was left by an orchestrator and a guard that were killed together is swept away, and nothing else."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from watching import alive, wait_until

from orchestrator.agents.claude import open_claude
from orchestrator.processes import sweeping
from orchestrator.processes.owner import own
from orchestrator.processes.sweeping import sweep


@pytest.fixture
def left(temporary: Path) -> Iterator[Path]:
    """A folder whose owner has died, with a process under a lease in it."""
    folder = temporary / "orchestrator-left"
    folder.mkdir()
    code = "import sys; from orchestrator.processes.owner import own; own(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, folder], check=True)
    with subprocess.Popen(["sleep", "60"], env={"ORCHESTRATOR_LEASE": f"{folder}/a.lease"}) as process:
        (folder / "sleeper").write_text(str(process.pid))
        yield folder
        process.kill()


def test_what_the_dead_left(left: Path, temporary: Path) -> None:
    """The processes of a dead owner are ended, its folder is removed."""
    pid = int((left / "sleeper").read_text())
    sweep(temporary)
    assert not left.exists()
    assert not alive(pid)


@pytest.mark.parametrize("case", ["it lives", "it has none", "another user's", "a link", "another name"])
def test_what_is_left_alone(left: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """Nothing is done to a folder whose owner lives or is not known, to that of another user, or by way of a link."""
    match case:
        case "it lives":
            file = own(str(left))
        case "it has none":
            (left / "owner").unlink()
        case "another user's":
            monkeypatch.setattr(sweeping.os, "getuid", lambda: os.geteuid() + 1)
        case "a link":
            left.rename(temporary / "elsewhere")
            left.symlink_to(temporary / "elsewhere")
        case "another name":
            left = left.rename(temporary / "elsewhere")
    sweep(temporary)
    assert left.exists()
    assert alive(left / "sleeper")
    if case == "it lives":
        os.close(file)


@pytest.mark.anyio
async def test_the_next_start_sweeps(left: Path, temporary: Path) -> None:
    """Opening a den clears away what another left, and not the den."""
    async with open_claude():
        wait_until(lambda: len(list(temporary.iterdir())) == 1, "the sweep")
        assert not left.exists()


@pytest.mark.anyio
async def test_dens_side_by_side(temporary: Path) -> None:
    """Two dens of one process, or of two, leave each other alone."""
    async with open_claude(), open_claude():
        sweep(temporary)
        assert len(list(temporary.iterdir())) == 2
    assert not list(temporary.iterdir())
