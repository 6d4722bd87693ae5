"""A command is ended with all that it started, and little is kept of what it prints."""

import time
import tracemalloc
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from load import at_most
from watching import alive, daemon, wait_until

from orchestrator.processes.command import KEPT, run_command
from orchestrator.processes.den import end
from orchestrator.processes.tree import processes_under

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("command", "code", "output"),
    [
        ("true", 0, ""),
        ("echo a; echo b >&2; echo c; exit 3", 3, "a\nb\nc\n"),
        ("kill -9 $$", -9, ""),
        ("kill -TERM $$", -15, ""),
        ("cat; echo no input", 0, "no input\n"),
        ("printf 'x\\377y'", 0, "x\ufffdy"),
        ("yes | head -n 1", 0, "y\n"),
    ],
)
async def test_how_it_went(tmp_path: Path, temporary: Path, command: str, code: int, output: str) -> None:
    """The exit code, or the signal, and both outputs in order; there is no input."""
    done = await run_command(command, tmp_path, 10)
    assert (done.exit_code, done.output) == (code, output)
    assert 0 < done.duration < 10
    assert not list(temporary.iterdir())


async def test_it_runs_in_its_directory(tmp_path: Path) -> None:
    """The working directory is the one given; without it nothing is started."""
    assert (await run_command("pwd -P", tmp_path, 10)).output == f"{tmp_path.resolve()}\n"
    with pytest.raises(OSError, match="gone"):
        await run_command("true", tmp_path / "gone", 10)


async def test_much_output(tmp_path: Path) -> None:
    """Of 100 MB the last 64 KiB are kept, in whole characters, and memory does not grow with them."""
    tracemalloc.start()
    done = await run_command("yes é | head -c 100000000; echo; echo end", tmp_path, 30)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000
    assert done.exit_code == 0
    assert done.output.endswith("é\n\nend\n") or done.output.endswith("\ufffd\nend\n")
    assert KEPT - 3 <= len(done.output.encode()) <= KEPT + 3
    assert done.output[0] in "é\n"


async def test_a_timeout(tmp_path: Path) -> None:
    """A command that takes too long has no exit code; what it printed is kept, what it started is gone."""
    done = await run_command(f"echo begun; {daemon(tmp_path / 'pid')}; sleep 60", tmp_path, at_most(0.5))
    assert (done.exit_code, done.output) == (None, "begun\n")
    assert done.duration < at_most(2)
    assert not alive(tmp_path / "pid")


async def test_a_stubborn_child(tmp_path: Path) -> None:
    """A command whose processes ignore SIGTERM ends nevertheless."""
    command = f"trap '' TERM; {daemon(tmp_path / 'pid', trap='')}; while :; do sleep 0.1; done"
    done = await run_command(command, tmp_path, at_most(0.5))
    assert done.exit_code is None
    assert done.duration < at_most(5)
    assert not alive(tmp_path / "pid")


async def test_what_it_leaves_in_the_background(tmp_path: Path) -> None:
    """A process in the background, with the output in its hands, ends with the command and holds nothing up."""
    done = await run_command(f"(sleep 60; echo late) & {daemon(tmp_path / 'pid')}; echo done", tmp_path, 30)
    assert (done.exit_code, done.output) == (0, "done\n")
    assert done.duration < at_most(2)
    assert not alive(tmp_path / "pid")


async def test_a_launcher_that_is_killed(tmp_path: Path) -> None:
    """A command that kills what it runs under is ended with it, also if it ignores SIGTERM and holds the output."""
    command = f"trap '' TERM; echo $$ > {tmp_path}/pid; kill -9 $PPID; while :; do sleep 0.1; done"
    done = await run_command(command, tmp_path, 30)
    assert done.exit_code == -9
    assert done.duration < at_most(10)
    assert not alive(tmp_path / "pid")


@pytest.mark.parametrize("leased", [False, True])
async def test_cancelling(tmp_path: Path, temporary: Path, leased: bool) -> None:
    """All its processes are gone when a cancelled command returns."""
    lease = temporary / "a.lease" if leased else None
    async with anyio.create_task_group() as group:
        group.start_soon(run_command, f"{daemon(tmp_path / 'pid')}; sleep 60", tmp_path, 30, lease)
        await to_thread.run_sync(wait_until, (tmp_path / "pid").exists, "the daemon")
        begun = time.monotonic()
        group.cancel_scope.cancel()
    assert time.monotonic() - begun < at_most(2)
    assert not alive(tmp_path / "pid")
    assert not list(temporary.iterdir())


async def test_it_belongs_to_the_lease(tmp_path: Path, temporary: Path) -> None:
    """Whoever ends the lease ends the commands under it, but no command ends another one."""
    lease = temporary / "a.lease"
    codes: dict[str, int | None] = {}
    by_signal = (-15, 128 + 15)  # it may be told of its child's end first

    async def run(name: str, command: str) -> None:
        codes[name] = (await run_command(command, tmp_path, 30, lease)).exit_code

    async with anyio.create_task_group() as group:
        group.start_soon(run, "long", f"{daemon(tmp_path / 'pid')}; sleep 60")
        await to_thread.run_sync(wait_until, (tmp_path / "pid").exists, "the daemon")
        await run("short", "true")
        assert alive(tmp_path / "pid")
        assert len(processes_under(str(lease))[1]) == 1
        await end(lease)
        assert not alive(tmp_path / "pid")
    assert codes["short"] == 0
    assert codes["long"] in by_signal
