"""The launcher is, to whoever starts it, the program that it starts; and it leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from load import at_most
from watching import PATIENCE, alive, daemon, wait_until

from orchestrator.processes import tree
from orchestrator.processes.bare import bare
from orchestrator.processes.tree import GRACE, end_all, processes_under

Launch = Callable[..., "subprocess.Popen[str]"]

ELSEWHERE = """
import _signal, sys
from orchestrator.processes import supervisor, tree
del _signal.sigtimedwait
tree.HAS_PROC = supervisor.HAS_PROC = False
supervisor.prctl = lambda *_: None
from orchestrator.processes.launcher import main
main(sys.argv[1:])
"""


@pytest.fixture
def launch(temporary: Path) -> Iterator[Launch]:
    """Starts a shell command by the launcher."""
    begun = []

    def launch(command: str, launcher: tuple[str, ...] = tuple(bare("launcher")), **env: Any) -> subprocess.Popen[str]:
        ours = {"ORCHESTRATOR_LEASE": temporary / "a.lease", "ORCHESTRATOR_PARENT": os.getpid()} | env
        process = subprocess.Popen(
            [*launcher, "/bin/sh", "-c", command],
            env=os.environ | {name: str(value) for name, value in ours.items()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        return process

    yield launch
    end_all(f"{temporary}/")  # a launcher that is killed ends nobody
    for process in begun:
        process.kill()
        process.communicate()


def test_it_is_what_it_starts(launch: Launch) -> None:
    """Input, outputs and the exit code are those of the program."""
    process = launch("cat; echo wrong >&2; exit 42")
    assert process.communicate("hello", timeout=10) == ("hello", "wrong\n")
    assert process.returncode == 42


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGINT, signal.SIGPIPE])
def test_it_dies_of_the_same_signal(launch: Launch, number: signal.Signals) -> None:
    """When a signal ends the program, the same one ends the launcher."""
    assert launch(f"kill -{number.value} $$").wait(PATIENCE) == -number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_are_passed_on(launch: Launch, number: signal.Signals) -> None:
    """A signal to the launcher reaches the program, which may take its time with it."""
    process = launch(f"trap 'echo got it; exit 7' {number.name[3:]}; echo ready; while :; do sleep 0.05; done")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.communicate(timeout=PATIENCE) == ("got it\n", "")
    assert process.returncode == 7


def test_signals_are_as_they_were(launch: Launch) -> None:
    """The program blocks no signal, and ignores none that whoever starts the launcher does not ignore."""
    out, _ = launch("exec grep -E 'Sig(Blk|Ign)' /proc/self/status").communicate(timeout=PATIENCE)
    assert {line.split()[1] for line in out.splitlines()} == {"0000000000000000"}


def test_the_pipes_are_the_programs(launch: Launch) -> None:
    """The outputs end when the program closes them, though it and the launcher live on."""
    process = launch("exec > /dev/null 2>&1; read line")
    assert process.stdout is not None
    assert process.stdout.read() == ""
    assert process.poll() is None
    process.communicate("go on\n", timeout=10)
    assert process.returncode == 0


def test_no_such_program(launch: Launch) -> None:
    """A program that cannot be started is told in a line on stderr, with exit code 127."""
    process = launch("", (*bare("launcher"), "/nowhere/claude"))
    assert process.communicate(timeout=PATIENCE)[1].startswith("orchestrator: cannot start /nowhere/claude: ")
    assert process.returncode == 127


def test_an_orchestrator_that_is_gone_already(launch: Launch, tmp_path: Path) -> None:
    """Nothing is started for an orchestrator that died meanwhile."""
    assert launch(f"touch {tmp_path}/started", ORCHESTRATOR_PARENT=1).wait(PATIENCE) == 143
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("code", ["exit 3", "kill -9 $$"])
def test_daemons_end_with_the_program(launch: Launch, tmp_path: Path, code: str) -> None:
    """A process that left session and environment behind ends when the program does, in whatever way."""
    process = launch(f"{daemon(tmp_path / 'pid')}; {code}")
    assert process.wait(PATIENCE) in (3, -9)
    assert not alive(tmp_path / "pid")


def test_stubborn_daemons_end_too(launch: Launch, tmp_path: Path) -> None:
    """One that ignores SIGTERM is killed after the grace."""
    begun = time.monotonic()
    assert launch(daemon(tmp_path / "pid", trap="")).wait(PATIENCE) == 0
    assert GRACE < time.monotonic() - begun < GRACE + at_most(2)
    assert not alive(tmp_path / "pid")


@pytest.mark.parametrize("lists", [True, False])
def test_daemons_are_found_by_the_lease(
    launch: Launch, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch, lists: bool
) -> None:
    """The lease of a launcher, and the folder of that lease, give all that is below it, and the launcher apart.

    So they do where the kernel lists no children.
    """
    assert tree.HAS_CHILDREN
    monkeypatch.setattr(tree, "HAS_CHILDREN", lists)
    process = launch(f"{daemon(tmp_path / 'pid')}; read line")
    wait_until((tmp_path / "pid").exists, "the daemon")
    for lease in (temporary / "a.lease", f"{temporary}/"):
        pids, launchers = processes_under(str(lease))
        assert launchers == [process.pid]
        assert {
            int((tmp_path / "pid").read_text()),
            *(each.pid for each in psutil.Process(process.pid).children()),
        } <= {*pids}
    assert processes_under(str(temporary / "b.lease")) == ([], [])


def test_children_of_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a thread has started is below the process, too; and what that has started."""
    code = "import subprocess, threading; start = lambda: subprocess.Popen(['sh', '-c', 'sleep 60; true'], stdout=-3)"
    code += "; thread = threading.Thread(target=lambda: [start(), print(flush=True), input()]); thread.start()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            process.stdout.readline()
            wait_until(lambda: len(tree.descendants([process.pid])) == 2, "the shell and what it starts")
            found = tree.descendants([process.pid])
            assert {*found} == {each.pid for each in psutil.Process(process.pid).children(recursive=True)}
            monkeypatch.setattr(tree, "HAS_CHILDREN", False)
            assert tree.descendants([process.pid]) == found
        finally:
            tree.send([*tree.descendants([process.pid]), process.pid], signal.SIGKILL)


@pytest.mark.parametrize("code", ["exit 3", "kill -9 $$", "sleep 60 < /dev/null > /dev/null 2>&1 & exit 0"])
def test_a_lease_that_is_over(launch: Launch, temporary: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """When the launcher has seen the last process end, nobody looks for any among all those of the machine."""
    launch(code).wait(PATIENCE)
    lease = str(temporary / "a.lease")
    assert tree.are_over(lease)
    monkeypatch.setattr(tree, "pids", lambda: pytest.fail("all processes were looked at"))
    assert processes_under(lease) == ([], [])


def test_a_lease_is_over_once_those_that_begin_so_are(launch: Launch, temporary: Path) -> None:
    """A command that runs beside the CLI, under a lease of its own, is waited for."""
    beside = launch("read line", ORCHESTRATOR_LEASE=temporary / "a.lease.1.lease")
    assert not tree.are_over(str(temporary / "a.lease"))
    launch("exit 0").wait(PATIENCE)
    wait_until((temporary / "a.lease.1.lease").exists, "the lease beside it")
    assert not tree.are_over(str(temporary / "a.lease"))
    beside.communicate("go on\n", timeout=PATIENCE)
    assert tree.are_over(str(temporary / "a.lease"))


def test_a_killed_launchers_lease_is_not_over(launch: Launch, tmp_path: Path, temporary: Path) -> None:
    """What it leaves behind is found by its environment."""
    process = launch(f"trap '' TERM; echo $$ > {tmp_path}/pid; echo ready; while :; do sleep 0.1; done")
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.wait(PATIENCE)
    assert not tree.are_over(str(temporary / "a.lease"))
    assert int((tmp_path / "pid").read_text()) in processes_under(str(temporary / "a.lease"))[0]


def test_a_process_id_that_is_used_again(launch: Launch, temporary: Path) -> None:
    """A lease names no process that was started at another time than its launcher."""
    with subprocess.Popen(["sleep", "60"]) as other:
        (temporary / "b.lease").write_text(f"{other.pid} 1")
        assert processes_under(str(temporary / "b.lease")) == ([], [])
        other.kill()


def test_a_launcher_that_is_killed(launch: Launch, tmp_path: Path) -> None:
    """The program is asked to end when its launcher is killed."""
    process = launch(f"echo $$ > {tmp_path}/pid; echo ready; exec sleep 60")
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    wait_until(lambda: not alive(tmp_path / "pid"), "the program's end", at_most(2))


@pytest.mark.parametrize(("code", "status"), [("exit 3", 3), ("kill -9 $$", -9), ("kill -TERM $PPID; sleep 60", -15)])
def test_elsewhere(launch: Launch, tmp_path: Path, code: str, status: int) -> None:
    """Without /proc, prctl and sigtimedwait the launcher passes signals on too, and ends the program's own session."""
    command = f"sleep 60 < /dev/null > /dev/null 2>&1 & echo $! > {tmp_path}/pid; {code}"
    assert launch(command, (sys.executable, "-c", ELSEWHERE)).wait(20) == status
    wait_until(lambda: not alive(tmp_path / "pid"), "the end of the process in the background")


def test_a_stubborn_program_elsewhere(launch: Launch, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc the end of a lease ends a program that ignores SIGTERM, too."""
    process = launch("trap '' TERM; echo $$; while :; do sleep 0.1; done", (sys.executable, "-c", ELSEWHERE))
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    monkeypatch.setattr(tree, "HAS_PROC", False)
    monkeypatch.setattr(tree, "stat", lambda _: [])
    (temporary / "a.lease").write_text(f"{process.pid} ")
    end_all(str(temporary / "a.lease"))
    process.wait(2)
    wait_until(lambda: not alive(pid), "the program's end", at_most(2))
