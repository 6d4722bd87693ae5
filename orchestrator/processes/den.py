"""Whose processes are whose: every CLI runs under a lease, and nothing under a lease outlives its run."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import anyio
from anyio import CapacityLimiter, to_thread
from anyio.abc import TaskGroup

from orchestrator.processes.bare import bare
from orchestrator.processes.owner import own
from orchestrator.processes.sweeping import PREFIX, sweep_beside
from orchestrator.processes.tree import GRACE, Ending, are_over, processes_under


@dataclass(frozen=True, slots=True)
class Den:
    """A run's private folder (mode 0700), gone with the run: leases, the launcher, temporary files of the agents."""

    path: Path

    @property
    def launcher(self) -> Path:
        """What the SDK starts in place of the CLI."""
        return self.path / "claude"

    @property
    def temporary(self) -> Path:
        """For CLAUDE_CODE_TMPDIR. (The CLI puts a socket there, so the path has to stay short.)"""
        return self.path / "tmp"

    @property
    def settings(self) -> Path:
        """Settings that win over those of the workspace."""
        return self.path / "settings.json"

    def servers(self, name: str) -> Path:
        """An MCP configuration: it may hold secrets, and arguments can be seen by everybody."""
        return self.path / f"{name}.mcp.json"

    @property
    def parked(self) -> Path:
        """Where CLIs are started whose place is not known yet. Nothing is in it."""
        return self.path / "parked"

    @property
    def config(self) -> Path:
        """For the agents' private state: a CLAUDE_CONFIG_DIR for each."""
        return self.path / "config"

    def lease(self, name: str) -> Path:
        """The lease of one CLI. No two may be called the same."""
        return self.path / f"{name}.lease"


@asynccontextmanager
async def open_den(claude: Path) -> AsyncIterator[Den]:
    """A den with its guard. When the block is left, or this process dies in any way, all under its leases is ended.

    Dens that have outlived their orchestrator are swept away first, for at most 10 s: their tools may still write to
    the workspaces that this one is about to go on in.
    """
    with private_folder() as path:
        den = Den(path)
        guarding = start_guard([*bare("guard"), str(path)])
        try:
            den.temporary.mkdir()
            den.config.mkdir()
            den.parked.mkdir()
            write_launcher(den, claude)
            await sweep_beside(path)
            yield den
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(dismiss, guarding, limiter=CapacityLimiter(1))


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder for this user alone, removed at the end of the block or, if this process is killed, by a later one."""
    path = Path(tempfile.mkdtemp(prefix=PREFIX))
    owned = own(str(path))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(owned)


def write_launcher(den: Den, claude: Path) -> None:
    """Writes the program that starts the CLI under its lease."""
    command = " ".join(quote(part) for part in [*bare("launcher"), str(claude)])
    den.launcher.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    den.launcher.chmod(0o700)


def start_guard(command: list[str]) -> "subprocess.Popen[bytes]":
    """The guard, in a session of its own, and under no lease: an orchestrator may be at work inside an agent."""
    return subprocess.Popen(  # noqa: S603 - this interpreter and a file of ours
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={name: value for name, value in os.environ.items() if name != "ORCHESTRATOR_LEASE"},
        start_new_session=True,
    )


def dismiss(guarding: "subprocess.Popen[bytes]") -> None:
    """Tells the guard to end what is left, and waits until it has.

    It is told by a byte: a child that this process has forked may hold the pipe open.
    """
    assert guarding.stdin is not None
    with suppress(OSError):
        guarding.stdin.write(b"q")
        guarding.stdin.close()
    try:
        guarding.wait(4 * GRACE)
    except subprocess.TimeoutExpired:
        guarding.kill()
        guarding.wait()


@dataclass(frozen=True, slots=True)
class OwnedProcess:
    """A CLI and all that it starts."""

    lease: Path
    group: TaskGroup
    """For what goes on beside the CLI."""

    def end(self) -> None:
        """Ends it, beside whoever reads its stream."""
        self.group.start_soon(end, self.lease)


@asynccontextmanager
async def owned_process(lease: Path) -> AsyncIterator[OwnedProcess]:
    """Around the SDK's stream: ends the CLI and its tools at once when it is cancelled, and the rest when it is over.

    Left to itself the SDK waits 5 s for the CLI to go by its own accord, and the CLI's tools outlive a SIGKILL.
    """
    async with anyio.create_task_group() as group:
        left = anyio.Event()
        group.start_soon(_end_unless, left, lease)
        try:
            yield OwnedProcess(lease, group)
        finally:
            left.set()
    await end(lease)  # what its tools left in the background: the workspace is about to be put away
    lease.unlink(missing_ok=True)


async def _end_unless(left: anyio.Event, lease: Path) -> None:
    try:
        await left.wait()
    finally:
        if not left.is_set():
            with anyio.CancelScope(shield=True):
                await end(lease)


async def end(lease: Path) -> None:
    """Ends every process under the lease: SIGTERM, then SIGKILL. Returns when none is left, or after twice GRACE."""
    if are_over(str(lease)):  # as after nearly every task: no thread is needed for it
        return
    thread = CapacityLimiter(1)
    ending, pause = Ending(), 0.02
    while ending.step(*await to_thread.run_sync(processes_under, str(lease), limiter=thread)):
        await anyio.sleep(pause)
        pause = min(0.1, 1.2 * pause)  # to look at every process costs some ms, and many may end at once
