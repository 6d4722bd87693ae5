"""Whose processes are whose: every CLI runs under a lease, and nothing under a lease outlives its run."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shlex import quote

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from orchestrator.agents import guard, launcher
from orchestrator.agents.guard import GRACE, processes_under, send
from orchestrator.errors import UsageError


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
    def config(self) -> Path:
        """For CLAUDE_CONFIG_DIR, where a run must not touch the user's."""
        return self.path / "config"

    def lease(self, session_id: str) -> Path:
        return self.path / f"{session_id}.lease"


@contextmanager
def open_den(claude: Path) -> Iterator[Den]:
    """A den with its guard. When the block is left, or this process dies in any way, all under its leases is ended."""
    den = Den(Path(tempfile.mkdtemp(prefix="orchestrator-")))
    interpreter = [sys.executable, "-I", "-S"]
    watcher = subprocess.Popen(  # noqa: S603 - this interpreter and a file of ours
        [*interpreter, guard.__file__, str(den.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    try:
        den.temporary.mkdir()
        den.config.mkdir()
        command = " ".join(quote(part) for part in [*interpreter, launcher.__file__, str(claude)])
        den.launcher.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        den.launcher.chmod(0o700)
        yield den
    finally:
        watcher.communicate()  # closes the pipe; the guard ends what is left, removes the folder, and goes
        shutil.rmtree(den.path, ignore_errors=True)


@asynccontextmanager
async def ended_on_cancel(lease: Path) -> AsyncIterator[Callable[[], None]]:
    """Around the SDK's stream: when it is cancelled, the CLI and its tools are ended at once. Gives what ends them too.

    Left to itself the SDK waits 5 s for the CLI to go by its own accord, and the CLI's tools outlive a SIGKILL.
    """
    async with anyio.create_task_group() as group:
        left = anyio.Event()
        group.start_soon(_end_unless, left, lease)
        try:
            yield partial(_start_ending, group, lease)
        finally:
            left.set()
    lease.unlink(missing_ok=True)


def _start_ending(group: TaskGroup, lease: Path) -> None:
    group.start_soon(end, lease)


async def _end_unless(left: anyio.Event, lease: Path) -> None:
    try:
        await left.wait()
    finally:
        if not left.is_set():
            with anyio.CancelScope(shield=True):
                await end(lease)


async def end(lease: Path) -> None:
    """Ends every process under the lease: SIGTERM, then SIGKILL. Returns when none is left, or after twice GRACE."""
    send(await to_thread.run_sync(processes_under, str(lease)), signal.SIGTERM)
    deadline = anyio.current_time() + GRACE
    while left := await to_thread.run_sync(processes_under, str(lease)):
        if anyio.current_time() > deadline + GRACE:
            return
        if anyio.current_time() > deadline:
            send(left, signal.SIGKILL)
        await anyio.sleep(0.02)


def find_claude() -> Path:
    """The CLI to run: ORCHESTRATOR_CLAUDE, the one that the SDK brings along, or `claude` from PATH.

    Raises UsageError when there is none.
    """
    import_path = sys.modules["claude_agent_sdk"].__file__ or ""
    bundled = Path(import_path).parent / "_bundled" / "claude"
    chosen = os.environ.get("ORCHESTRATOR_CLAUDE") or (str(bundled) if bundled.is_file() else shutil.which("claude"))
    if not chosen or not Path(chosen).is_file():
        raise UsageError(
            f"no Claude CLI: found {chosen or 'none in the SDK, none on PATH'}; reinstall claude-agent-sdk from a "
            "wheel for this platform, or name a CLI in ORCHESTRATOR_CLAUDE"
        )
    return Path(chosen).absolute()
