"""`run` and `demo`: a plan from its file to its exit code."""

import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskStatus

from orchestrator.cli import exits
from orchestrator.cli.output import check_target, console, write_json
from orchestrator.cli.values import to_limits, to_number, to_whole
from orchestrator.engine.files import replace_file
from orchestrator.engine.going_on.choosing import Reuse
from orchestrator.engine.opening import open_run
from orchestrator.engine.script.run import Run
from orchestrator.errors import TaskFailed, UsageError, bare_errors
from orchestrator.plan.loading import LoadedPlan, load_plan
from orchestrator.plan.model import Agent
from orchestrator.plan.words import did_you_mean, listed
from orchestrator.protocols import Traffic, View
from orchestrator.report import RunReport
from orchestrator.settings import home, load
from orchestrator.views.summary import how_to_go_on, summary
from workspaces import WorkspaceSpec

SHOW_CURSOR = b"\x1b[?25h"
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""SIGHUP comes when the terminal is closed or the connection drops, unless `nohup` has it ignored."""
SECRET_PART = re.compile(r"^agents\.[^.]+\.(env|mcp_servers)\b")
"""Settings that may hold secrets."""
BUDGETS = ("usd", "tokens", "turns", "time")
DOCS = ("*.md", "*.rst", "docs/**/*.md", "docs/**/*.rst")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says besides the plan."""

    offline: bool = False
    gateway: bool = False
    """Whether requests go through the gateway, which meters them."""
    record: Path | None = None
    """The file to keep requests in."""
    overwrite: bool = False
    """Whether the recording of another run there is replaced."""
    texts: bool = True
    """Whether what is asked and answered is kept there too."""
    replay: Path | None = None
    """The recording to answer from."""
    faults: tuple[str, ...] = ()
    """Rules by which requests fail."""
    concurrent: str | None = None
    """A number, or `auto`."""
    usd: str | None = None
    memory: str | None = None
    """How much may be used for another agent to be started, as `80%` or `4GB`."""
    tokens: str | None = None
    turns: str | None = None
    time: str | None = None
    fail_fast: bool = False
    reuse: bool = False
    fresh: bool = False
    rerun: tuple[str, ...] = ()
    view: str | None = None
    json: str | None = None
    directory: Path | None = None
    pilot: str | None = None
    """How many items each loop takes, in place of all."""
    run: str | None = None
    """The run to go on with."""
    agent: Agent | None = None
    """For tasks that name none; None: one with no options."""
    workspace: WorkspaceSpec | str = "here"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """For the journal."""

    @property
    def upstream(self) -> str | None:
        """What answers. Raises UsageError when the options contradict each other."""
        if self.offline and self.gateway:
            raise UsageError("--gateway: it stands before the API, which --offline replaces; leave one out")
        if self.replay and (self.offline or self.gateway):
            raise UsageError("--replay: its answers take the API's place; leave out --offline and --gateway")
        return "replay" if self.replay else "offline" if self.offline else "anthropic" if self.gateway else None

    @property
    def traffic(self) -> Traffic:
        """What is to be done with requests."""
        return Traffic(
            record=self.record, overwrite=self.overwrite, texts=self.texts, replay=self.replay, faults=self.faults
        )

    @property
    def whence(self) -> Reuse:
        """Where finished results are taken from. Raises UsageError when the options contradict each other."""
        if self.fresh and (self.reuse or self.rerun):
            raise UsageError("--fresh: it takes no earlier results; leave out --reuse and --rerun")
        return "none" if self.fresh else "any" if self.reuse or (self.rerun and not self.run) else "unfinished"


def run(path: str, settings: Sequence[str], options: Options) -> int:
    """Runs a plan file; the exit code."""
    overrides = to_overrides(settings)
    return drive(load_plan(path, overrides), replace(options, arguments=told(overrides, options)))


def given_limits(options: Options) -> dict[str, Any]:
    """The limits that the command line names."""
    limits = {name: getattr(options, name) for name in ("concurrent", "memory", *BUDGETS)}
    return {name: to_number(value) for name, value in limits.items() if value is not None}


def told(overrides: Mapping[str, str], options: Options) -> dict[str, Any]:
    """What must be known to go on with the run: written down without what may be secret."""
    private = [name for name in overrides if SECRET_PART.search(name)]
    return {
        "settings": {name: value for name, value in overrides.items() if name not in private},
        "withheld": private,
        "limits": given_limits(options),
        "fail_fast": options.fail_fast,
    }


def demo(options: Options) -> int:
    """Audits the documentation of the current directory, or a small one of its own, with the offline model."""
    with resources.as_file(resources.files("orchestrator.cli").joinpath("demo")) as folder:
        found = next((path for pattern in DOCS for path in Path.cwd().glob(pattern)), None)
        docs = Path.cwd() if found else unpacked(folder / "docs", home().path / "demo" / "lantern")
        report = home().path / "demo" / "audit.md"
        settings = {"vars.docs": quoted(docs), "vars.report": quoted(report)}
        loaded = load_plan(folder / "plan.yaml", settings)
        print(
            f"auditing the documentation in {docs} with real Claude CLI processes and the offline model",
            file=sys.stderr,
        )
        code = drive(loaded, replace(options, arguments=told(settings, options)))
        if code == exits.OK:
            stream = sys.stderr if options.json == "-" else sys.stdout
            print(f"\nthe report ({report}):\n\n{report.read_text('utf-8')}", file=stream)
        return code


def unpacked(samples: Path, place: Path) -> Path:
    """The folder `place`, with the sample documents in it. Packed, they are no documents of this project's."""
    place.mkdir(parents=True, exist_ok=True)
    for sample in samples.iterdir():
        replace_file(place / sample.stem, sample.read_text("utf-8"))
    return place


def quoted(path: Path) -> str:
    """The path as a YAML scalar."""
    return "'" + str(path).replace("'", "''") + "'"


def to_overrides(settings: Sequence[str]) -> Mapping[str, str]:
    """`["a.b=c"]` as a mapping. Raises UsageError for one without a `=`."""
    overrides = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {setting}: found no key and value, expected a.b=c, as --set vars.topic=tests")
        overrides[key] = value
    return overrides


def drive(loaded: LoadedPlan, options: Options) -> int:
    """Runs a loaded plan with its view, prints the summary and the JSON; the exit code."""
    check_target(options.json)
    limits = loaded.plan.limits
    changes = dict(options.arguments.get("limits", {})) | given_limits(options)
    loaded = replace(loaded, plan=loaded.plan.model_copy(update={"limits": to_limits(limits, changes)}))
    check_rerun(loaded, options.rerun)
    pilot = None if options.pilot is None else to_whole("pilot", options.pilot)

    async def work(opened: Run) -> None:
        await opened.plan(loaded)

    opening = open_run(
        loaded.plan.name,
        agent=options.agent,
        workspace=options.workspace,
        limits=loaded.plan.limits,
        views=choose_views(options.view),
        upstream=options.upstream,
        fail_fast=options.fail_fast,
        reuse=options.whence,
        rerun=options.rerun,
        run=options.run,
        plan=str(loaded.file) if loaded.file else None,
        directory=options.directory,
        arguments=options.arguments,
        pilot=pilot,
        traffic=options.traffic,
    )
    return carry_out(opening, work, options.json)


def check_rerun(loaded: LoadedPlan, rerun: Sequence[str]) -> None:
    """Raises UsageError for tasks that are not in the plan."""
    for name in rerun:
        if re.split(r"[.\[]", name)[0] not in loaded.plan.tasks:
            guess = did_you_mean(name, list(loaded.plan.tasks))
            raise UsageError(f"--rerun {name}: found no such task{guess}, expected one of {listed(loaded.plan.tasks)}")


def carry_out(
    opening: AbstractAsyncContextManager[Run], work: Callable[[Run], Awaitable[None]], json: str | None
) -> int:
    """Opens the run, has the work done, and tells what came of it; the exit code."""
    report, interrupted = anyio.run(_run, opening, work)
    if report is None:
        print("interrupted: nothing was started", file=sys.stderr)
        return exits.INTERRUPTED
    with suppress(BrokenPipeError):  # whoever stopped reading still gets the exit code
        tell(report, json)
    if interrupted:
        with suppress(BrokenPipeError):
            print(f"interrupted: {how_to_go_on(report)}", file=sys.stderr)
        return exits.INTERRUPTED
    return exits.OK if report.ok else exits.SOME_FAILED


def tell(report: RunReport, json: str | None) -> None:
    """Writes the JSON, then prints the summary where it is not in its way."""
    if json:
        write_json(report.to_json(), json)
    out = console(stderr=json == "-")
    out.print(summary(report, out.width))
    out.file.flush()


async def _run(
    opening: AbstractAsyncContextManager[Run], work: Callable[[Run], Awaitable[None]]
) -> tuple[RunReport | None, bool]:
    """The report, None when it did not come to a run; and whether it was interrupted."""
    opened = None
    with bare_errors():
        async with anyio.create_task_group() as listening:
            with anyio.CancelScope() as scope, suppress(TaskFailed):
                await listening.start(_cancel_on_signal, scope)
                async with opening as opened:
                    await work(opened)
            listening.cancel_scope.cancel()
    return (opened.report() if opened else None), scope.cancelled_caught


async def _cancel_on_signal(scope: anyio.CancelScope, *, task_status: TaskStatus[None]) -> None:
    """The first Ctrl-C, SIGTERM or SIGHUP cancels the run in good order; a second ends us, and the guard our agents."""
    terminals = [stream.fileno() for stream in (sys.stdout, sys.stderr) if stream.isatty()]
    heeded = [each for each in STOPPING if signal.getsignal(each) is not signal.SIG_IGN or each is signal.SIGINT]
    with anyio.open_signal_receiver(*heeded) as signals:
        task_status.started()
        async for number in signals:
            if number == signal.SIGHUP:
                exits.silence(*terminals)  # they are gone
            if scope.cancel_called:
                if sys.stderr.isatty():
                    os.write(sys.stderr.fileno(), SHOW_CURSOR)
                os._exit(exits.INTERRUPTED)
            print("stopping: what has finished is kept; once more stops at once", file=sys.stderr)
            scope.cancel()


def choose_views(name: str | None) -> list[View]:
    """The view of that name; by default `live` in a terminal and `lines` elsewhere. `none` is none."""
    if name == "none":
        return []
    if name is None:
        name = "live" if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else "lines"
    try:
        view: View = load("views", name)()
    except UsageError as error:
        raise UsageError(f"--view {name}: {str(error).removeprefix('views: ')}; `none` for none") from error
    return [view]
