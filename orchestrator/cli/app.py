"""The command line: names, options and help; what a command does is imported when it is called."""

import io
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

app = typer.Typer(
    name="orchestrator",
    help="Many Claude Code agents, run as one durable, bounded, observable computation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
plan_app = typer.Typer(help="Look at a plan file without starting anything.", no_args_is_help=True)
app.add_typer(plan_app, name="plan")
workspaces_app = typer.Typer(help="See and take away what ended runs left in workspaces.", no_args_is_help=True)
app.add_typer(workspaces_app, name="workspaces")

PlanFile = Annotated[str, typer.Argument(metavar="PLAN", help="A plan file (YAML).")]
RunName = Annotated[
    str | None, typer.Argument(metavar="RUN", help="A run's id, its beginning, or a name; default: the newest run.")
]
TaskName = Annotated[str | None, typer.Argument(metavar="TASK", help="A task of the run.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="a.b=c", help="Set a value of the plan; may be given again.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.", show_default=False)]
JsonTarget = Annotated[str | None, typer.Option("--json", metavar="FILE|-", help="Write the results as JSON.")]
ViewName = Annotated[
    str | None,
    typer.Option(
        "--view", metavar="live|lines|jsonl|none", help="Progress on stderr; default: live in a terminal, else lines."
    ),
]
Rerun = Annotated[
    list[str] | None, typer.Option(metavar="TASK", help="Do this task or loop again; may be given again.")
]
Gateway = Annotated[
    bool, typer.Option("--gateway", help="Meter the agents' API requests, which pass a gateway of ours.")
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first task that fails.")]
Memory = Annotated[
    str | None,
    typer.Option(metavar="80%|4GB", help="How much of the machine's memory may be used, or how much by the agents."),
]
Usd = Annotated[str | None, typer.Option(metavar="N", help="What the run may cost in all, in US dollars.")]
Tokens = Annotated[
    str | None, typer.Option(metavar="N", help="Tokens that the run may take in all, in and out, as 400k or 2M.")
]
Turns = Annotated[str | None, typer.Option(metavar="N", help="Model replies that the run may take in all.")]
Time = Annotated[str | None, typer.Option(metavar="TIME", help="How long it may take this time, as 30m or 2h.")]
Record = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Keep the API requests and answers, texts and all, for --replay."),
]
Texts = Annotated[bool, typer.Option("--no-texts", help="Leave the texts out of --record: for timing alone.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what --record finds in FILE: the recording of another run.")
]
Replay = Annotated[Path | None, typer.Option(metavar="FILE", help="Answer from a recording; no account.")]
Faults = Annotated[
    list[str] | None,
    typer.Option("--fault", metavar="RULE", help="Let requests fail, as 429:at=3,retry_after=2; may be given again."),
]


Concurrent = Annotated[
    str | None, typer.Option(metavar="auto|N", help="How many agents run at once; auto: as many as the API takes.")
]
Pilot = Annotated[
    str | None,
    typer.Option(metavar="N", help="Only the first so many items of each loop, and a forecast of the whole."),
]


def version(wanted: bool) -> None:
    """Prints the version and ends."""
    if wanted:
        from importlib.metadata import version as installed  # noqa: PLC0415 - 30 ms that only this option needs

        print(installed("claude-agent-orchestrator"))
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Many Claude Code agents, run as one durable, bounded, observable computation."""


@app.command()
def demo(
    view: ViewName = None,
    concurrent: Concurrent = None,
    record: Record = None,
    overwrite: Overwrite = False,
    faults: Faults = None,
    json: JsonTarget = None,
) -> None:
    """Run the main job here and now, with no account: a small documentation audit with the offline model."""
    _do(
        "running:demo",
        _options(
            offline=True,
            view=view,
            concurrent=concurrent,
            record=record,
            overwrite=overwrite,
            faults=tuple(faults or ()),
            json=json,
        ),
    )


@app.command()
def run(
    plan: PlanFile,
    offline: Annotated[bool, typer.Option("--offline", help="Use the embedded offline model; no account.")] = False,
    gateway: Gateway = False,
    settings: Settings = None,
    concurrent: Concurrent = None,
    memory: Memory = None,
    usd: Usd = None,
    tokens: Tokens = None,
    turns: Turns = None,
    time: Time = None,
    fail_fast: FailFast = False,
    reuse: Annotated[bool, typer.Option("--reuse", help="Take finished results from any earlier run.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start a new run that takes no earlier result.")] = False,
    rerun: Rerun = None,
    pilot: Pilot = None,
    record: Record = None,
    overwrite: Overwrite = False,
    no_texts: Texts = False,
    replay: Replay = None,
    faults: Faults = None,
    view: ViewName = None,
    json: JsonTarget = None,
) -> None:
    """Run a plan file. If its last run did not come to an end, go on with that one."""
    options = _options(
        offline=offline,
        gateway=gateway,
        concurrent=concurrent,
        usd=usd,
        memory=memory,
        tokens=tokens,
        turns=turns,
        time=time,
        fail_fast=fail_fast,
        reuse=reuse,
        fresh=fresh,
        rerun=tuple(rerun or ()),
        pilot=pilot,
        record=record,
        overwrite=overwrite,
        texts=not no_texts,
        replay=replay,
        faults=tuple(faults or ()),
        view=view,
        json=json,
    )
    _do("running:run", plan, settings or [], options)


@app.command()
def resume(
    run: RunName = None,
    gateway: Gateway = False,
    settings: Settings = None,
    concurrent: Concurrent = None,
    memory: Memory = None,
    usd: Usd = None,
    tokens: Tokens = None,
    turns: Turns = None,
    time: Time = None,
    fail_fast: FailFast = False,
    rerun: Rerun = None,
    pilot: Pilot = None,
    record: Record = None,
    overwrite: Overwrite = False,
    no_texts: Texts = False,
    replay: Replay = None,
    faults: Faults = None,
    view: ViewName = None,
    json: JsonTarget = None,
) -> None:
    """Go on with a run: what has finished is kept, agents that were cut off go on in their sessions."""
    limits = {"concurrent": concurrent, "memory": memory, "usd": usd, "tokens": tokens, "turns": turns, "time": time}
    options = _options(
        **limits,
        gateway=gateway,
        fail_fast=fail_fast,
        rerun=tuple(rerun or ()),
        pilot=pilot,
        record=record,
        overwrite=overwrite,
        texts=not no_texts,
        replay=replay,
        faults=tuple(faults or ()),
        view=view,
        json=json,
    )
    _do("resuming:resume", run, settings or [], options)


@app.command("continue")
def continue_(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its beginning, or a name.")],
    task: Annotated[str, typer.Argument(metavar="TASK", help="A task of the run.")],
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What to say to its agent; - reads it from stdin.")],
    fork: Annotated[bool, typer.Option("--fork", help="Go on with a copy; the session stays as it is.")] = False,
    directory: Annotated[
        str | None, typer.Option(metavar="PATH", help="Work here, and not where the task worked.")
    ] = None,
    view: ViewName = None,
    json: JsonTarget = None,
) -> None:
    """Say something more to the agent of a task: it goes on in its session, where it worked."""
    _do("resuming:go_on", run, task, prompt, fork, directory, _options(view=view, json=json))


@app.command()
def runs(
    limit: Annotated[str, typer.Option(metavar="N", help="How many.")] = "20",
    json: AsJson = False,
) -> None:
    """List runs, newest first."""
    _do("inspecting:runs", limit, json)


@app.command()
def show(run: RunName = None, task: TaskName = None, json: AsJson = False) -> None:
    """Show a run, or one of its tasks."""
    _do("inspecting:show", run, task, json)


@app.command()
def logs(
    run: RunName = None,
    task: TaskName = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
    json: AsJson = False,
) -> None:
    """Print what a run's agents said and did."""
    _do("inspecting:logs", run, task, follow, json)


@plan_app.command("check")
def plan_check(plan: PlanFile, settings: Settings = None, json: AsJson = False) -> None:
    """Say all that is wrong with a plan."""
    _do("planning:check", plan, settings or [], json)


@plan_app.command("show")
def plan_show(
    plan: PlanFile,
    settings: Settings = None,
    forecast: Annotated[bool, typer.Option("--forecast", help="Also what it would take, by its earlier runs.")] = False,
    json: AsJson = False,
) -> None:
    """Show what waits for what."""
    _do("planning:show", plan, settings or [], json, forecast)


@plan_app.command("schema")
def plan_schema(json: AsJson = True) -> None:
    """Print the JSON schema of plan files; it is JSON with and without --json."""
    _do("planning:schema")


@workspaces_app.command("list")
def workspaces_list(json: AsJson = False) -> None:
    """List worktrees, directories and branches that runs made and that are still there."""
    _do("housekeeping:list_workspaces", json)


@workspaces_app.command("clean")
def workspaces_clean(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="RUN", help="Runs' ids, or their beginnings; default: all runs.")
    ] = None,
    older: Annotated[
        str | None, typer.Option(metavar="AGE", help="Only what nobody has changed for so long: 30m, 12h, 7d.")
    ] = None,
    unmerged: Annotated[
        bool, typer.Option("--unmerged", help="Delete branches too whose commits are nowhere else.")
    ] = False,
    directories: Annotated[
        bool, typer.Option("--directories", help="Delete plain directories too, with all that is in them.")
    ] = False,
    ignored: Annotated[bool, typer.Option("--ignored", help="Also drop files that git ignores.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    json: AsJson = False,
) -> None:
    """Put away what killed runs left: work is committed to its branch, and what holds nothing is removed."""
    _do("housekeeping:clean_workspaces", runs or [], older, unmerged, directories, dry_run, json, ignored)


def _do(command: str, *arguments: Any) -> None:
    """Imports and carries out a command, and ends with its exit code."""
    exits = import_module("orchestrator.cli.exits")
    module, _, name = command.partition(":")
    raise typer.Exit(exits.guarded(lambda: getattr(import_module(f"orchestrator.cli.{module}"), name)(*arguments)))


def _options(**given: Any) -> Any:
    return import_module("orchestrator.cli.running").Options(**given)


def main() -> None:
    """The entry point. Wrong options end with 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a letter is no reason to lose a result
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, also while modules are imported
    try:
        sys.exit(app(standalone_mode=False))
    except TyperException as error:
        sys.exit(import_module("orchestrator.cli.values").refused(error))
