"""From what a script says to what the engine runs: prompts, names, workspaces."""

import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from orchestrator.engine.going_on.keys import digest
from orchestrator.engine.script.returns import Reading, to_reading
from orchestrator.engine.steps import Ask, Node, Step
from orchestrator.errors import UsageError
from orchestrator.plan.fields import read_duration
from orchestrator.plan.model import Agent
from orchestrator.plan.places import check_kind
from orchestrator.plan.rehearsal import check_steps
from orchestrator.plan.words import describe, listed, shorten
from orchestrator.task import Need, Result, Task, plain
from workspaces import WorkspaceSpec

TITLE = 80
SESSION = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
KEY = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a run gives to tasks that do not say otherwise."""

    agent: Agent
    workspace: WorkspaceSpec
    directory: Path
    """What relative paths are relative to."""
    retries: int = 1
    timeout: float | None = None
    agents: Mapping[str, Agent] = field(default_factory=dict)
    """Agents by name, for the tasks that agents add."""
    pilot: int | None = None
    """How many items each loop of a plan takes, of those that it has; None: all."""


def to_node(task: Task, name: str, setting: Setting, reading: Reading | None = None) -> Node:
    """The node that asks an agent what the task says; `reading` is that of its `returns`, where it is known already.

    Raises UsageError when the task is not complete or not valid.
    """
    if not isinstance(name, str) or not KEY.fullmatch(name):
        raise UsageError(f"key: found {name!r}, expected 1 to 200 printable characters, as 'check-setup'")
    if faults := list(faults_of(task)):
        raise UsageError("\n".join(f"task {name!r}: {fault}" for fault in faults))
    rehearsal = to_steps(task.rehearsal, name)
    try:
        schema, parse = reading or to_reading(task.returns, setting.directory)
        workspace = to_workspace(task.workspace, setting)
    except UsageError as error:
        raise UsageError(f"task {name!r}: {error}") from None
    step = Ask(
        prompt=task.prompt,
        agent=task.agent or setting.agent,
        workspace=workspace,
        schema=schema,
        parse=parse,
        timeout=setting.timeout if task.timeout is None else to_seconds(task.timeout, name),
        retries=setting.retries if task.retries is None else task.retries,
        checks=tuple(task.checks),
        inputs=tuple(str(setting.directory / Path(path).expanduser()) for path in task.inputs),
        fresh=task.fresh,
        rehearsal=rehearsal,
        agents=setting.agents,
    )
    check_spawn(step, name)
    needs, allows = to_needs(task.needs, name)
    return Node(
        id=name,
        title=title(task.prompt),
        kind="agent",
        prepare=lambda: step,
        needs=needs,
        allows=allows,
        named=needs,
        agent=step.agent.model,
        runs=step.agent,
        talk=step.agent.talk,
    )


def agent_of(maker: Any, same: Task, setting: Setting) -> Agent | None:
    """The agent of what a template or a Task makes; None for a function, which may give it any."""
    task = maker if isinstance(maker, Task) else same if maker is None or isinstance(maker, str) else None
    agent = task and (setting.agent if task.agent is None else task.agent)
    return agent if isinstance(agent, Agent) else None


def faults_of(task: Task) -> Iterator[str]:
    """What is wrong with a task by itself: what was found, and what is expected."""
    if not isinstance(task.prompt, str) or not task.prompt.strip():
        yield f"prompt: found {describe(task.prompt)}, expected what the agent is asked, as text"
    if not isinstance(task.agent, Agent | None):
        yield f"agent: found {describe(task.agent)}, expected an Agent, as Agent(model='sonnet')"
    if not is_list(task.checks, lambda check: isinstance(check, str) and bool(check.strip())):
        yield f"checks: found {found_in(task.checks)}, expected a list of commands, as ['pytest -q']"
    if not is_list(task.inputs, lambda path: isinstance(path, str | Path)):
        yield f"inputs: found {found_in(task.inputs)}, expected a list of paths, as ['src']"
    if task.retries is not None and (type(task.retries) is not int or task.retries < 0):
        yield f"retries: found {describe(task.retries)}, expected a whole number, 0 or more"
    if not isinstance(task.fresh, bool):
        yield f"fresh: found {describe(task.fresh)}, expected true or false"


def is_list(values: Any, fits: Callable[[Any], bool]) -> bool:
    """Whether they are several, and all are as they should be: a text is one, though it has letters."""
    return isinstance(values, Sequence) and not isinstance(values, str) and all(map(fits, values))


def found_in(values: Any) -> str:
    """`the text 'pytest'`, `[5]`."""
    return shorten(repr(values)) if isinstance(values, list | tuple) else describe(values)


def check_spawn(step: Ask, name: str) -> None:
    """Raises UsageError when tasks that the step's agent adds are to have an agent that the run does not know."""
    for each in step.agent.spawn.agents if step.agent.spawn else ():
        if each not in step.agents:
            there = f"expected one of {listed(step.agents)}" if step.agents else "expected it in open_run(agents={…})"
            raise UsageError(f"task {name!r}: spawn.agents: found {describe(each)}, {there}")


def to_resuming_node(task: Task, name: str, setting: Setting, earlier: Result | str, *, fork: bool) -> Node:
    """The node that goes on with an earlier session. Raises UsageError when there is none, or the task is not valid."""
    session = earlier.session_id if isinstance(earlier, Result) else earlier
    if not isinstance(session, str) or not SESSION.fullmatch(session):
        what = f"the result of {earlier.task!r}, which has no session" if isinstance(earlier, Result) else repr(earlier)
        raise UsageError(f"task {name!r}: found {what}, expected a Result of an agent, or the id of a session")
    place = None
    if isinstance(earlier, Result) and earlier.workspace and task.workspace is None:
        where = earlier.workspace
        # The copy of an agent has a branch of its own, from where the other's ends; two cannot be on one. In a plain
        # directory both work in the same place.
        place = None if fork and where.branch else where.name
        base = (where.commit if fork else None) or where.base
        task = replace(task, workspace=WorkspaceSpec(kind=where.kind, path=where.origin, base=base))
    node = to_node(task, name, setting)
    after = digest(earlier, {}, whole=True) if isinstance(earlier, Result) else None
    step = replace(cast("Ask", node.prepare()), resume=session, fork=fork, place=place, after=after)
    return replace(node, prepare=lambda: step)


def to_needs(needs: Sequence[Need], name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ids of the tasks that are named, and of those among them that may fail. Raises UsageError."""
    if isinstance(needs, str) or not isinstance(needs, Sequence):
        raise UsageError(f"task {name!r}: needs: found {describe(needs)}, expected a list of ids or handles")
    read = [to_need(need, name) for need in needs]
    return tuple(dict.fromkeys(task for task, _ in read)), tuple(task for task, allowed in read if allowed)


def to_need(need: Need, name: str) -> tuple[str, bool]:
    """The id of a task that is needed, and whether it may fail. Raises UsageError for what is none."""
    if isinstance(need, Mapping):
        if "task" not in need or not set(need) <= {"task", "allow"} or need.get("allow") not in (None, "failed"):
            found = shorten(repr(dict(need)))
            raise UsageError(f"task {name!r}: needs: found {found}, expected {{'task': …, 'allow': 'failed'}}")
        return to_need(need["task"], name)[0], need.get("allow") is not None
    task = need if isinstance(need, str) else getattr(need, "task", None)
    if not isinstance(task, str):
        raise UsageError(f"task {name!r}: needs: found {describe(need)}, expected the id or handle of a task")
    return task, False


def to_items(items: Any, name: str) -> list[Any]:
    """The items of a loop. Raises UsageError for what is none: a text too, which would be a loop over its letters."""
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, Iterable):
        raise UsageError(f"{name}: items: found {describe(items)}, expected a list, or something else to go through")
    return list(items)


def to_steps(rehearsal: Sequence[Mapping[str, Any]] | None, name: str) -> tuple[Mapping[str, Any], ...] | None:
    """The steps as they stand. Raises UsageError for what is no list of steps."""
    if rehearsal is None:
        return None
    try:
        check_steps(rehearsal)
    except ValueError as error:
        raise UsageError(f"task {name!r}: {error}") from None
    return tuple(rehearsal)


def to_seconds(timeout: float | str, name: str) -> float:
    """`90`, `"10m"`. Raises UsageError for what is no time."""
    try:
        return read_duration(timeout)
    except ValueError as error:
        raise UsageError(f"task {name!r}: timeout: {error}") from None


def title(text: str) -> str:
    """The first line of a text, shortened."""
    line = next(iter(text.strip().splitlines()), "")
    return line if len(line) <= TITLE else line[: TITLE - 1] + "…"


def to_workspace(workspace: WorkspaceSpec | str | Path | None, setting: Setting) -> WorkspaceSpec:
    """`here`, `directory`, `worktree`, a path to work in, or a spec, with its path made absolute."""
    match workspace:
        case None:
            spec = setting.workspace
        case WorkspaceSpec():
            spec = workspace
        case Path():
            spec = WorkspaceSpec(kind="here", path=str(workspace))
        case str() if "/" in workspace or workspace in (".", ".."):
            spec = WorkspaceSpec(kind="here", path=workspace)
        case str():
            spec = WorkspaceSpec(kind=workspace)
        case _:
            raise UsageError(f"workspace: found {describe(workspace)}, expected a kind, a path or a WorkspaceSpec")
    try:
        check_kind(spec.kind)
    except ValueError as error:
        raise UsageError(f"workspace: {error}") from None
    return anchored(spec, setting.directory)


def anchored(spec: WorkspaceSpec, directory: Path) -> WorkspaceSpec:
    """The spec with an absolute path; a workspace of its own that names no path keeps none."""
    if spec.path is None:
        return spec if spec.kind == "directory" else replace(spec, path=str(directory))
    return replace(spec, path=str(directory / Path(spec.path).expanduser()))


def fill(template: str, item: Any, index: int) -> str:
    """The template with the item in its braces: `{field}` of a mapping, model or dataclass, else `{}` or `{item}`.

    Raises UsageError when the item lacks one. An item's own braces are left alone; `{{` and `}}` stand for single ones.
    """
    fields = plain(item) if isinstance(item, Mapping | BaseModel) or hasattr(item, "__dataclass_fields__") else {}
    return fill_in(template, item, {"item": item, "index": index} | fields, f"item {index}")


def fill_in(template: str, given: Any, known: Mapping[str, Any], what: str) -> str:
    """The template with `given` in its empty braces, and what is known in those with names; `what` tells whose it is.

    Raises UsageError when a name is missing, or the template is none.
    """
    if missing := sorted(wanted(template) - known.keys() - {"0"}):
        raise UsageError(f"the template wants {{{missing[0]}}}, but {what} has only: {', '.join(known)}")
    try:
        return template.format(given, **known)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"the template {template!r} does not fit {what}: {error}") from error


def wanted(template: str) -> set[str]:
    """The names in the template's braces. Raises UsageError when the braces do not match."""
    try:
        return {name.split(".")[0].split("[")[0] for _, name, _, _ in string.Formatter().parse(template) if name}
    except ValueError as error:
        raise UsageError(f"the template {template!r}: {error}; literal braces are doubled: {{{{ and }}}}") from error


def once(prepare: Callable[[], Step]) -> Callable[[], Step]:
    """Calls the function when it is first wanted, and gives the same, or raises it, ever after: it is a user's."""
    outcome: list[Step | Exception] = []

    def prepared() -> Step:
        if not outcome:
            try:
                outcome.append(prepare())
            except Exception as error:
                outcome.append(error)
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    return prepared
