"""open_run: everything wired up around a run, and put away after it."""

import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Unpack, cast

import anyio
import psutil
from anyio import to_thread
from anyio.abc import TaskGroup

from orchestrator.engine.core import Core
from orchestrator.engine.going_on.choosing import choose, script
from orchestrator.engine.going_on.past import Past
from orchestrator.engine.options import RunOptions, check_names, limits_of, reuse_of, setting_of
from orchestrator.engine.passing import check_upstream, noted, traffic_of
from orchestrator.engine.script.asking import Setting
from orchestrator.engine.script.run import Run
from orchestrator.errors import bare_errors
from orchestrator.events import Record, RunStarted
from orchestrator.machine import local_machine
from orchestrator.plan.model import Limits
from orchestrator.processes.processors import Processors
from orchestrator.protocols import Executor, Journal, Traffic, View
from orchestrator.schedule.estimate import Estimates
from orchestrator.settings import home, load
from workspaces import providers

LAST_SIGHT = 5.0
"""Seconds that views have to show the end of a run that was broken off."""
GATEWAY = "anthropic"
"""The upstream that stands between the agents and the API."""


def open_run(name: str | None = None, **options: Unpack[RunOptions]) -> AbstractAsyncContextManager[Run]:
    """A run: give it tasks inside the block; leaving the block waits for them all.

    `agent`, `workspace`: what tasks get that name none of their own. `agents`: by name, those that an agent may choose
    from for the tasks that it adds (`Spawn.agents`). `limits`: how wide, how expensive. `journal`: a
    file, or a journal; None for the one in ORCHESTRATOR_HOME; `"memory"` for one that does not last. `views`: who
    watches: views, or their names (`"live"`, `"lines"`, `"jsonl"`). `upstream`: `"offline"` puts the embedded offline
    model in the API's place; None is the API that the environment names, and `"anthropic"` the same with the gateway
    before it, which meters and paces requests; limits per minute and a recording take it by themselves. `executor`:
    who carries attempts out; None for Claude CLI processes on this machine. `fail_fast`: the first task that fails
    cancels the rest, and TaskFailed is raised.

    A run of the same name, from the same script in the same directory, that did not come to its end (it was stopped, or
    its process died) is gone on with: it keeps its id, what had finished is taken from the journal, in any order, and
    agents that were cut off go on in their sessions. `reuse`: `"any"` takes finished results from every earlier run as
    well, `"none"` starts a new run that takes none. `rerun`: tasks, or loops, that are done again whatever there is.
    `run`: the id of the run to go on with, also if it had come to its end.

    `plan`: the plan file's path, for the journal. `directory`: where relative paths start; None for the current
    directory. `arguments`: whatever is to be known when the run is gone on with, for the journal. `pilot`: each loop of
    a plan takes only its first items, so many; the run then ends with a forecast of the whole, and is not complete: the
    same without `pilot` goes on with it. `machine`: tells what memory there is where the agents are; None: on this
    machine it is looked up, and of an executor's machines nothing is known.

    `record`: a file in which the agents' API requests and their answers are kept, prompts and what they read of files
    and all; one that holds the recording of another run is refused, unless `overwrite`. `replay`: such a file, from
    which they are answered again, with no account. `faults`: rules by which requests fail, as
    `429:at=3,retry_after=2`; with the offline model or a recording only. `traffic`: all of these in one.

    Raises UsageError and JournalError before anything is started; TaskFailed under `fail_fast`; and what the block
    raises, after every task that had not ended by then is cancelled. Cancelling the block does the same. Partial
    results stay in the journal.
    """
    check_names("open_run", RunOptions, options)
    return _opened(name or "run", options)


@asynccontextmanager
async def _opened(name: str, options: RunOptions) -> AsyncIterator[Run]:
    setting, limits = setting_of(options), limits_of(options)
    shown = views_of(options)
    asked = traffic_of(options, limits)
    answering, upstream = choose_upstream(check_upstream(options.get("upstream"), asked), asked)
    started = replace(begin(name, limits, upstream, setting, options, asked), gateway=answering == GATEWAY)
    reuse, rerun = reuse_of(options), options.get("rerun", ())
    executor, machine = options.get("executor"), options.get("machine")
    async with AsyncExitStack() as stack:
        opened_journal = await open_journal(stack, options.get("journal"))
        chosen = await choose(opened_journal, stack.enter_context(ExitStack()), started, options.get("run"), reuse)
        estimates = Estimates.of(await opened_journal.history(started.name, upstream))
        past = Past(earlier=chosen.earlier, anywhere=reuse == "any", rerun=rerun, upstream=upstream)
        asked = replace(asked, run=chosen.run)
        opened_executor = executor or await open_executor(stack, answering, opened_journal, asked)
        watching = await stack.enter_async_context(watched(opened_journal, chosen.run, shown, chosen.after))
        clock, status = anyio.current_time(), "crashed"
        try:
            with bare_errors():
                async with kept(opened_journal), beside() as aside, anyio.create_task_group() as group:
                    core = Core(
                        chosen.run,
                        opened_journal,
                        opened_executor,
                        limits,
                        group,
                        fail_fast=options.get("fail_fast", False),
                        past=past,
                        estimates=estimates,
                        machine=machine or (None if executor else local_machine()),
                        busy=Processors().are_busy,
                    )
                    aside.start_soon(core.governing.run)
                    core.emit(going_on(started, past, chosen.beside))
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


@asynccontextmanager
async def kept(journal: Journal) -> AsyncIterator[None]:
    """Ends the block as soon as what happens in it cannot be written down: it would be paid for, and lost."""
    with bare_errors():
        async with anyio.create_task_group() as group:
            group.start_soon(journal.watch)
            yield
            group.cancel_scope.cancel()


@asynccontextmanager
async def beside() -> AsyncIterator[TaskGroup]:
    """A group for what goes on as long as the block lasts, and ends with it."""
    with bare_errors():
        async with anyio.create_task_group() as group:
            yield group
            group.cancel_scope.cancel()


def choose_upstream(upstream: str | None, traffic: Traffic) -> tuple[str | None, str | None]:
    """The upstream that is opened, and the one whose results they are: the gateway's are those of the API."""
    if upstream is None and (traffic.limits.is_paced or traffic.record):
        upstream = GATEWAY
    return upstream, None if upstream == GATEWAY else upstream


def begin(
    name: str, limits: Limits, upstream: str | None, setting: Setting, options: RunOptions, traffic: Traffic
) -> RunStarted:
    plan, arguments = options.get("plan"), {**options.get("arguments", {}), **noted(traffic)}
    return RunStarted(
        name=name,
        concurrent=limits.width,
        usd=limits.usd,
        limits=limits.model_dump(mode="json", exclude_defaults=True),
        upstream=upstream,
        plan=plan,
        pid=os.getpid(),
        process_started=psutil.Process().create_time(),
        directory=str(setting.directory),
        version=version("claude-agent-orchestrator"),
        script=None if plan or arguments.get("continues") else script(),
        arguments=arguments,
        pilot=setting.pilot,
    )


def going_on(started: RunStarted, past: Past, beside: str | None) -> RunStarted:
    """The event that starts the run, with what it has from before."""
    earlier = past.earlier
    return replace(
        started,
        resumed=earlier.resumed,
        spent_usd=earlier.spent_usd + earlier.unsettled_usd,
        spent_tokens=earlier.all_tokens,
        spent_turns=earlier.all_turns,
        spent_by={
            agent: {model: spent.to_json() for model, spent in models.items()}
            for agent, models in earlier.spent_with_unsettled.items()
        },
        known=len(earlier.finished),
        rerun=list(past.rerun),
        beside=beside,
    )


async def open_journal(stack: AsyncExitStack, journal: Journal | str | Path | None) -> Journal:
    """The journal itself, one at a path, `memory`, one as `module:Name`, or the one in ORCHESTRATOR_HOME."""
    if isinstance(journal, str) and (journal == "memory" or (":" in journal and os.sep not in journal)):
        return cast("Journal", await stack.enter_async_context(load("journal", journal)()))
    if journal is None or isinstance(journal, str | Path):
        path = Path(journal).expanduser().absolute() if journal else home().journal
        return cast("Journal", await stack.enter_async_context(load("journal", "sqlite")(path)))
    return journal


async def open_executor(stack: AsyncExitStack, upstream: str | None, journal: Journal, traffic: Traffic) -> Executor:
    """Claude CLI processes on this machine, asking the API that the environment names, or the upstream of that name."""
    open_claude = await to_thread.run_sync(load, "agents", "claude")  # the SDK takes over half a second to import
    answering = await stack.enter_async_context(load("upstreams", upstream)(traffic)) if upstream else None
    opened = open_claude(answering, journal.sessions, home().locks, traffic.limits.wait_for_cache)
    runner = await stack.enter_async_context(opened)
    executor: Executor = load("executors", "local")(runner, providers(home().workspaces))
    return executor


def views_of(options: RunOptions) -> Sequence[View]:
    """Who watches. Raises UsageError for names of none."""
    views = options.get("views", ())
    return [
        load("views", each)() if isinstance(each, str) else each
        for each in ([views] if isinstance(views, str) else views)
    ]


@asynccontextmanager
async def watched(journal: Journal, run: str, views: Sequence[View], after: int) -> AsyncIterator["Watching"]:
    """Shows the run in each view, from its journal; leaves when they have shown its end, or were told to stop."""
    with bare_errors():
        async with anyio.create_task_group() as group:
            scopes = [anyio.CancelScope(shield=True) for _ in views]
            for view, scope in zip(views, scopes, strict=True):
                group.start_soon(show, view, journal.follow(run, after), scope)
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
