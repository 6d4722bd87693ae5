"""`resume` and `continue`: a run, or one of its agents, goes on."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import anyio

from orchestrator.cli import exits
from orchestrator.cli.inspecting import find_run
from orchestrator.cli.output import check_target
from orchestrator.cli.running import Options, carry_out, choose_views, drive, to_overrides, told
from orchestrator.engine.opening import open_run
from orchestrator.engine.planned.nodes import planned_agent
from orchestrator.engine.plans import agent_told, last_start, load_again, traffic_told, upstream_told, workspace_told
from orchestrator.engine.script.run import Run
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.events import AttemptStarted, Record, RunStarted
from orchestrator.journal.sqlite import SqliteJournal
from orchestrator.plan.finding import find_spec
from orchestrator.plan.model import Agent
from orchestrator.settings import home
from orchestrator.state import RunState
from orchestrator.task import Outcome, Result


def resume(run: str | None, settings: Sequence[str], options: Options) -> int:
    """Goes on with a run of a plan file; the exit code."""
    name, records = anyio.run(read, run)
    begun = last_start(name, records)
    before = traffic_told(begun)
    check_upstream(name, begun, options)
    overrides = to_overrides(settings)
    loaded = load_again(name, begun, overrides)
    known = replace(
        options,
        offline=begun.upstream == "offline",
        gateway=begun.gateway or options.gateway,
        record=options.record or before.record,
        texts=options.texts and before.texts,
        replay=options.replay or before.replay,
        fail_fast=options.fail_fast or bool(begun.arguments.get("fail_fast")),
        directory=Path(begun.directory),
        run=name,
        agent=agent_told(name, begun),
        workspace=workspace_told(begun),
    )
    now = dict(begun.arguments) | told({**begun.arguments.get("settings", {}), **overrides}, known)
    now["limits"] = dict(begun.arguments.get("limits", {})) | now["limits"]
    now["withheld"] = sorted({*now["withheld"], *begun.arguments.get("withheld", ())})
    return drive(loaded, replace(known, arguments=now))


def check_upstream(run: str, begun: RunStarted, options: Options) -> None:
    """Raises UsageError for what has another than the offline model answer a run that it has begun."""
    named = "--gateway" if options.gateway else "--replay" if options.replay else None
    if named and begun.upstream == "offline":
        raise UsageError(f"{named}: run {run} is answered by the offline model, also now that it goes on: leave it out")


def go_on(run: str, task: str, prompt: str, fork: bool, directory: str | None, options: Options) -> int:
    """Says something more to the agent of a task, in a run of its own; prints its answer; the exit code."""
    check_target(options.json)
    name, records = anyio.run(read, run)
    begun = last_start(name, records)
    earlier = session_of(name, task, records)
    text = sys.stdin.read() if prompt == "-" else prompt
    place = Path(directory).absolute() if directory else None
    answers: list[Result] = []

    async def work(opened: Run) -> None:
        answers.append(await opened.resume(earlier, text, fork=fork, workspace=place, key=task))

    agent, others = agent_of(task, begun, records)
    opening = open_run(
        f"{begun.name}-continued"[:64],
        agent=agent,
        agents=others,
        views=choose_views(options.view),
        upstream=upstream_told(begun),
        reuse="none",
        traffic=replace(traffic_told(begun), record=None, texts=True),
        directory=Path(begun.directory) if place is None else place,
        arguments={"continues": [name, task]},
    )
    code = carry_out(opening, work, options.json)
    if code == exits.OK and options.json != "-":
        print(f"\n{answers[0].text}")
    return code


async def read(run: str | None) -> tuple[str, Sequence[Record]]:
    """The id of the run that is meant, and its records."""
    journal = SqliteJournal(home().journal)
    row = await find_run(journal, run)
    return row["run"], await journal.read(row["run"], messages=False)


def session_of(run: str, task: str, records: Sequence[Record]) -> Result:
    """What is known of a task's session and workspace, also when its end was never written.

    Raises UsageError when the run has no such task, or no agent has worked for it.
    """
    state = RunState.of(records)
    if task not in state.tasks:
        raise UsageError(f"run {run} has no task {task!r}; it has {', '.join(list(state.tasks)[:20])}")
    known = state.tasks[task]
    if known.result is not None:
        result = Result.from_json(known.result)
    else:
        result = Result(task=task, outcome=Outcome.CANCELLED, session_id=known.session_id, workspace=known.workspace)
    if result.session_id is None:
        raise UsageError(f"task {task!r} of run {run} has no session: no agent has worked for it")
    return result


def agent_of(task: str, begun: RunStarted, records: Sequence[Record]) -> tuple[Agent, Mapping[str, Agent]]:
    """The agent that worked for the task: the plan's, where there is a plan still, else as it was written down.

    With it the agents that it may give tasks to: without a plan none is known any more. Written down are neither its
    environment variables nor its MCP servers: they may hold secrets.
    """
    begun_with = [each.event for each in records if isinstance(each.event, AttemptStarted) and each.event.task == task]
    written = dict(begun_with[-1].agent) if begun_with else {}
    if begun.usd is not None:
        written.pop("usd", None)  # what was left of the run's budget
    agent = Agent.model_validate(written)
    try:
        loaded = load_again("", begun)
        loaded, spec = find_spec(loaded, task)
        name = spec.agent or loaded.plan.defaults.agent
        planned = planned_agent(loaded, name) if name else agent
    except (OrchestratorError, KeyError):
        return agent.model_copy(update={"spawn": None}) if agent.spawn and agent.spawn.agents else agent, {}
    agent = agent.model_copy(update={"env": planned.env, "mcp_servers": planned.mcp_servers, "usd": planned.usd})
    return agent, {name: planned_agent(loaded, name) for name in loaded.plan.agents}
