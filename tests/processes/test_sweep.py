"""What was left by an orchestrator and a guard that were killed together is swept away, and nothing else."""

import errno
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from threading import Thread

import anyio
import psutil
import pytest
from load import at_most
from watching import PATIENCE, alive, wait_until

from orchestrator.agents.claude import open_claude
from orchestrator.processes import sweeping
from orchestrator.processes.owner import claim, own
from orchestrator.processes.sweeping import sweep
from orchestrator.processes.tree import environment

Killed = tuple["subprocess.Popen[str]", int]
"""An orchestrator that is to be killed, and the process id of a tool of its agent."""
ORCHESTRATOR = """
    import sys, anyio
    from pathlib import Path
    from orchestrator.processes.den import open_den
    from orchestrator.processes.command import run_command
    async def main():
        async with open_den(Path("/bin/false")) as den:
            tool = "trap '' TERM; echo $$ > tool.part; mv tool.part tool; while :; do sleep 0.1; done"
            await run_command(tool, Path(sys.argv[1]), 60.0, den.lease("a"))
    anyio.run(main)
"""


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


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[Killed]:
    """An orchestrator with an agent's tool that ignores SIGTERM."""
    command = [sys.executable, "-c", textwrap.dedent(ORCHESTRATOR), str(tmp_path)]
    with subprocess.Popen(command, text=True) as process:
        wait_until((tmp_path / "tool").exists, "the tool")
        pid = int((tmp_path / "tool").read_text())
        yield process, pid
        process.kill()
        wait_until(lambda: not alive(pid), "the tool's end")


def guard_of(pid: int) -> psutil.Process:
    (guard,) = [each for each in psutil.Process(pid).children() if "guard" in each.cmdline()]
    return guard


def test_what_the_dead_left(left: Path, temporary: Path) -> None:
    """The processes of a dead owner are ended, its folder is removed."""
    pid = int((left / "sleeper").read_text())
    sweep(temporary)
    assert not left.exists()
    assert not alive(pid)


def test_a_process_that_has_just_been_started() -> None:
    """Its environment is seen although execve, which Popen does not wait for to the end, has not laid it out yet."""
    for _ in range(200):
        with subprocess.Popen(["sleep", "60"], env={"ORCHESTRATOR_LEASE": "a"}) as process:
            seen = environment(process.pid)
            process.kill()
        assert seen == b"\0ORCHESTRATOR_LEASE=a\0"


@pytest.mark.parametrize("environment_of", [{}, {"A": "b"}])
def test_a_process_that_has_no_lease(environment_of: dict[str, str]) -> None:
    """An empty environment is told soon, another as it is."""
    with subprocess.Popen(["sleep", "60"], env=environment_of) as process:
        wait_until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n", "its start")
        assert environment(process.pid) == (b"\0A=b\0" if environment_of else b"")
        process.kill()


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
    """Opening a den clears away what another left, before anything is done in it, and not the den."""
    pid = int((left / "sleeper").read_text())
    async with open_claude():
        assert not alive(pid)
        assert not left.exists()
        assert len(list(temporary.iterdir())) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("guarded", [True, False])
async def test_a_start_right_after_a_kill(killed: Killed, guarded: bool) -> None:
    """A den is open only when the tools of an orchestrator that was killed have ended, stubborn as they may be."""
    orchestrator, tool = killed
    if not guarded:
        guard_of(orchestrator.pid).kill()
    orchestrator.kill()
    orchestrator.wait()
    assert alive(tool)
    async with open_claude():
        assert not alive(tool)


@pytest.mark.anyio
async def test_a_start_that_sweeps_can_be_cancelled(killed: Killed) -> None:
    """Who does not want to wait for the end of a stubborn tool does not have to."""
    orchestrator, tool = killed
    orchestrator.kill()
    orchestrator.wait()
    begun = time.monotonic()
    with anyio.move_on_after(0.2) as scope:
        async with open_claude():
            pass
        # It is killed two seconds later: whoever waits for that comes back afterwards.
    assert scope.cancelled_caught
    assert alive(tool) or time.monotonic() - begun < at_most(1.5)
    wait_until(lambda: not alive(tool), "its end, in the background")


def test_waiting_for_who_clears_away(left: Path, temporary: Path) -> None:
    """A sweep that finds another at work on what is dead waits for it, and goes on with it if that one dies too."""
    with claim(str(left)) as dead:
        assert dead
        thread = Thread(target=sweep, args=[temporary], daemon=True)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        assert left.exists()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert not left.exists()


def test_a_sweep_does_not_wait_for_ever(left: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who clears away and never comes to an end is waited for no longer than the longest."""
    monkeypatch.setattr(sweeping, "LONGEST", 0.2)
    with claim(str(left)):
        sweep(temporary)
        assert left.exists()


def test_what_cannot_be_cleared_away(left: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes nothing does not stop the sweep."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("os.truncate", full)
    sweep(temporary)
    assert left.exists()


@pytest.mark.anyio
async def test_a_start_with_nothing_to_sweep(temporary: Path) -> None:
    """Beside orchestrators that live nobody waits."""
    async with AsyncExitStack() as stack:
        for number in range(20):
            folder = temporary / f"orchestrator-{number}"
            folder.mkdir()
            stack.callback(os.close, own(str(folder)))
        spans = []
        for _ in range(10):
            begun = time.monotonic()
            await sweeping.sweep_beside(temporary / "orchestrator-0")
            spans.append(time.monotonic() - begun)
        assert min(spans) < at_most(0.05)


@pytest.mark.anyio
async def test_dens_side_by_side(temporary: Path) -> None:
    """Two dens of one process, or of two, leave each other alone."""
    async with open_claude(), open_claude():
        sweep(temporary)
        assert len(list(temporary.iterdir())) == 2
    assert not list(temporary.iterdir())
