"""open_run and run_plan: everything wired up around a run, and put away after it."""

import os
import secrets
import string
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import cast

import anyio
import psutil
from anyio import to_thread

from orchestrator.engine.asking import Setting, to_workspace
from orchestrator.engine.core import Core
from orchestrator.engine.planned import as_loaded
from orchestrator.engine.run import Run
from orchestrator.errors import UsageError, bare_errors
from orchestrator.events import Record, RunStarted
from orchestrator.plan.loading import LoadedPlan
from orchestrator.plan.model import Agent, Limits, Plan
from orchestrator.protocols import Executor, Journal, View
from orchestrator.report import RunReport
from orchestrator.settings import home, load
from workspaces import WorkspaceSpec, providers

LAST_SIGHT = 5.0
"""Seconds that views have to show the end of a run that was broken off."""
ID_LETTERS = string.ascii_lowercase + string.digits


@asynccontextmanager
async def open_run(
    name: str | None = None,
    *,
    agent: Agent | None = None,
    limits: Limits | None = None,
    workspace: WorkspaceSpec | str | Path = "here",
    journal: Journal | str | Path | None = None,
    views: Sequence[View | str] | str = (),
    upstream: str | None = None,
    executor: Executor | None = None,
    fail_fast: bool = False,
    plan: str | None = None,
    directory: Path | None = None,
) -> AsyncIterator[Run]:
    """A run: give it tasks inside the block; leaving the block waits for them all.

    `agent`, `workspace`: what tasks get that name none of their own. `limits`: how wide, how expensive. `journal`: a
    file, or a journal; None for the one in ORCHESTRATOR_HOME; `"memory"` for one that does not last. `views`: who
    watches: views, or their names (`"live"`, `"lines"`, `"jsonl"`). `upstream`: `"offline"` puts the embedded offline
    model in the API's place; None is the API that the environment names. `executor`: who carries attempts out; None for
    Claude CLI processes on this machine. `fail_fast`: the first task that fails cancels the rest, and TaskFailed is
    raised. `plan`: the plan file's path, for the journal. `directory`: where relative paths start; None for the current
    directory.

    Raises UsageError and JournalError before anything is started; TaskFailed under `fail_fast`; and what the block
    raises, after every task that had not ended by then is cancelled. Cancelling the block does the same. Partial
    results stay in the journal.
    """
    directory = (directory or Path.cwd()).absolute()
    setting = to_setting(agent or Agent(), workspace, directory)
    limits = check_limits(limits)
    views = [views] if isinstance(views, str) else views
    shown = [load("views", view)() if isinstance(view, str) else view for view in views]
    started = begin(name or "run", limits, upstream, plan, directory)
    async with AsyncExitStack() as stack:
        opened_journal = await open_journal(stack, journal)
        opened_executor = executor or await open_executor(stack, upstream)
        watching = await stack.enter_async_context(watched(opened_journal, run_id := new_id(started.name), shown))
        clock, status = anyio.current_time(), "crashed"
        try:
            with bare_errors():
                async with anyio.create_task_group() as group:
                    core = Core(run_id, opened_journal, opened_executor, limits, group, fail_fast=fail_fast)
                    core.emit(started)
                    yield Run(started.name, core, setting)
            status = "done"
        except (anyio.get_cancelled_exc_class(), KeyboardInterrupt, SystemExit):
            status = "cancelled"
            raise
        finally:
            with anyio.CancelScope(shield=True):
                try:
                    await core.conclude(status, anyio.current_time() - clock)
                except BaseException:
                    watching.stop()
                    raise
                if status != "done":
                    watching.hurry()
        if core.failure:
            raise core.failure


async def run_plan(
    plan: Plan | LoadedPlan | str | Path,
    *,
    agent: Agent | None = None,
    workspace: WorkspaceSpec | str | Path = "here",
    limits: Limits | None = None,
    journal: Journal | str | Path | None = None,
    views: Sequence[View | str] | str = (),
    upstream: str | None = None,
    executor: Executor | None = None,
    fail_fast: bool = False,
    directory: Path | None = None,
) -> RunReport:
    """Runs a plan from a file, or one made in Python, and reports on it; the arguments are those of `open_run`.

    `limits` replaces the plan's own. Raises PlanError, with all the plan's faults, before anything is started.
    """
    loaded = await to_thread.run_sync(as_loaded, plan, Path.cwd())
    async with open_run(
        loaded.plan.name,
        agent=agent,
        workspace=workspace,
        directory=directory,
        limits=limits or loaded.plan.limits,
        journal=journal,
        views=views,
        upstream=upstream,
        executor=executor,
        fail_fast=fail_fast,
        plan=str(loaded.file) if loaded.file else None,
    ) as run:
        await run.plan(loaded)
    return run.report()


def check_limits(limits: Limits | None) -> Limits:
    """The limits, or those of a run that names none. Raises UsageError for anything else."""
    if limits is not None and not isinstance(limits, Limits):
        raise UsageError(f"limits: found {limits!r}, expected Limits, as Limits(concurrent=10)")
    return limits or Limits()


def to_setting(agent: Agent, workspace: WorkspaceSpec | str | Path, directory: Path) -> Setting:
    bare = Setting(agent=agent, workspace=WorkspaceSpec(), directory=directory)
    return Setting(agent=agent, workspace=to_workspace(workspace, bare), directory=directory)


def begin(name: str, limits: Limits, upstream: str | None, plan: str | None, directory: Path) -> RunStarted:
    return RunStarted(
        name=name,
        concurrent=limits.concurrent,
        usd=limits.usd,
        upstream=upstream,
        plan=plan,
        pid=os.getpid(),
        process_started=psutil.Process().create_time(),
        directory=str(directory),
        version=version("claude-agent-orchestrator"),
    )


def new_id(name: str) -> str:
    """`<name>-<six letters or digits>`: short enough to type, and fit for a folder and a branch."""
    safe = "".join(letter if (letter.isalnum() and letter.isascii()) or letter in "-_." else "-" for letter in name)
    return f"{safe.strip('-.')[:40] or 'run'}-{''.join(secrets.choice(ID_LETTERS) for _ in range(6))}"


async def open_journal(stack: AsyncExitStack, journal: Journal | str | Path | None) -> Journal:
    """The journal itself, one at a path, `memory`, one as `module:Name`, or the one in ORCHESTRATOR_HOME."""
    if isinstance(journal, str) and (journal == "memory" or (":" in journal and os.sep not in journal)):
        return cast("Journal", await stack.enter_async_context(load("journal", journal)()))
    if journal is None or isinstance(journal, str | Path):
        path = Path(journal).expanduser().absolute() if journal else home().journal
        return cast("Journal", await stack.enter_async_context(load("journal", "sqlite")(path)))
    return journal


async def open_executor(stack: AsyncExitStack, upstream: str | None) -> Executor:
    """Claude CLI processes on this machine, asking the API that the environment names, or the upstream of that name."""
    open_claude = await to_thread.run_sync(load, "agents", "claude")  # the SDK takes over half a second to import
    answering = await stack.enter_async_context(load("upstreams", upstream)()) if upstream else None
    runner = await stack.enter_async_context(open_claude(answering))
    executor: Executor = load("executors", "local")(runner, providers(home().workspaces))
    return executor


@asynccontextmanager
async def watched(journal: Journal, run: str, views: Sequence[View]) -> AsyncIterator["Watching"]:
    """Shows the run in each view, from its journal; leaves when they have shown its end, or were told to stop."""
    with bare_errors():
        async with anyio.create_task_group() as group:
            scopes = [anyio.CancelScope(shield=True) for _ in views]
            for view, scope in zip(views, scopes, strict=True):
                group.start_soon(show, view, journal.follow(run), scope)
            yield Watching(scopes)


@dataclass(frozen=True, slots=True)
class Watching:
    """The views at work."""

    scopes: Sequence[anyio.CancelScope]

    def hurry(self) -> None:
        """Gives them a few seconds more: somebody wants to leave, and a view may wait for a reader that never reads."""
        for scope in self.scopes:
            scope.deadline = anyio.current_time() + LAST_SIGHT

    def stop(self) -> None:
        """Ends them now: the end that they wait for will never be written."""
        for scope in self.scopes:
            scope.cancel()


async def show(view: View, feed: AsyncGenerator[Sequence[Record], None], scope: anyio.CancelScope) -> None:
    """Shows the run to its end, whatever is cancelled; a view that fails is given up, and the run goes on."""
    try:
        with scope:
            async with aclosing(feed):
                await view.show(feed)
    except Exception as error:
        with suppress(OSError):  # stderr may be what failed
            print(f"the view {type(view).__name__} failed and is off: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
