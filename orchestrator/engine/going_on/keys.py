"""A task's key: the hash of what determines its result. Equal keys, equal questions."""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter, to_thread

from orchestrator.engine.steps import Ask
from orchestrator.errors import UsageError
from orchestrator.plan.model import Agent
from orchestrator.task import Result, plain
from workspaces import WorkspaceSpec, base_commit

BOUNDS = {"max_turns", "usd", "start_timeout", "idle_timeout", "tool_timeout"}
"""Options that bound an attempt: what has finished within other bounds is finished."""
TOOLS = {"talk", "spawn"}
"""Options that give an agent tools of the run's."""
SECRET = re.compile(r"(?:^|_)(?:KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS?)(?:_|$)", re.IGNORECASE)
"""Variables by these names are renewed from time to time, which changes no result."""
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Identity:
    """What a task turned out to be."""

    key: str
    question: str
    """The key as it would be without `inputs`."""
    workspace: WorkspaceSpec
    """With the commit that it starts from, by its full id."""


def must_look(step: Ask) -> bool:
    """Whether files or a repository must be looked at before the key is known."""
    return bool(step.inputs) or step.workspace.kind != "here" or isinstance(step.agent.mcp_servers, str)


def identify(step: Ask, upstream: str | None, depends: Mapping[str, str]) -> Identity:
    """The identity of a step for which nothing must be looked at."""
    key = key_of(step, step.workspace, upstream, depends, {})
    return Identity(key, key, step.workspace)


async def look_up(step: Ask, upstream: str | None, depends: Mapping[str, str], thread: CapacityLimiter) -> Identity:
    """The identity of any step. Raises UsageError for an input that is not there, WorkspaceError for a base."""
    workspace = step.workspace
    if workspace.kind == "worktree":
        workspace = replace(workspace, base=await base_commit(workspace))
    hashes = await hash_inputs(step, thread)
    question = key_of(step, workspace, upstream, depends, {})
    return Identity(key_of(step, workspace, upstream, depends, hashes), question, workspace)


async def hash_inputs(step: Ask, thread: CapacityLimiter) -> Mapping[str, str]:
    """The contents of the files that determine the result, as hashes, by path. Raises UsageError."""
    files = [*step.inputs, *([step.agent.mcp_servers] if isinstance(step.agent.mcp_servers, str) else [])]
    if not files:
        return {}
    # Whoever stops the run does not wait for the end of a large folder.
    hash_all = partial(hash_files, files)
    return await to_thread.run_sync(hash_all, limiter=thread, abandon_on_cancel=True)


def hash_files(files: Sequence[str]) -> Mapping[str, str]:
    """The hash of each. Raises UsageError."""
    return {file: hash_file(Path(file)) for file in files}


def key_of(
    step: Ask, workspace: WorkspaceSpec, upstream: str | None, depends: Mapping[str, str], files: Mapping[str, str]
) -> str:
    """64 hexadecimal digits. `depends` has what the needed tasks gave, as hashes; `files` the inputs' contents."""
    return hash_json(
        {
            "version": 1,
            "prompt": step.prompt,
            "agent": options(step.agent),
            "schema": step.schema,
            "workspace": [workspace.kind, workspace.path, workspace.base],
            "checks": step.checks,
            "session": [step.resume, step.fork, step.after],
            # What the offline model says is no result of Claude's; and a rehearsal is nothing to anybody else.
            "upstream": upstream,
            "rehearsal": step.rehearsal if upstream else None,
            "depends": depends,
            "files": files,
        }
    )


def options(agent: Agent) -> dict[str, Any]:
    """The options that can make a difference to a result."""
    absent = {name for name in TOOLS if not getattr(agent, name)}  # keys of before there were such tools still hold
    data = agent.model_dump(mode="json", exclude=BOUNDS | absent)
    data["model"] = agent.model or os.environ.get("ANTHROPIC_MODEL")
    data["env"] = {name: value for name, value in agent.env.items() if not SECRET.search(name)}
    return data


def digest(result: Result, parts: Mapping[str, Result], *, whole: bool) -> str | None:
    """The hash of what a needed task gave: with `whole` text, value and commit, else the commit alone, if there is one.

    What a template took of it is in the prompt already; what the agent did to the files is not. For a loop `parts`
    has its parts' results.
    """
    given = [gave(each, whole=whole) for each in (result, *parts.values())]
    return hash_json(given) if whole or any(given) else None


def gave(result: Result, *, whole: bool) -> Any:
    commit = result.workspace.commit if result.workspace else None
    return [result.ok, result.text, plain(result.value), commit] if whole else commit


def hash_json(data: Any) -> str:
    """The hash of plain data; the order of keys makes no difference."""
    text = json.dumps(plain(data), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def hash_file(path: Path) -> str:
    """The hash of a file, or of all files in a folder, without `.git`. Raises UsageError."""
    total = hashlib.sha256()
    try:
        for file in [path] if path.is_file() else files_in(path):
            total.update(f"{file.relative_to(path)}\0{file.stat().st_size}\0".encode("utf-8", "surrogateescape"))
            with file.open("rb") as opened:
                while chunk := opened.read(CHUNK):
                    total.update(chunk)
    except OSError as error:
        raise UsageError(f"inputs: {error.filename or path}: {error.strerror}: expected a file or a folder") from error
    return total.hexdigest()


def files_in(folder: Path) -> Iterator[Path]:
    """The files below a folder, in the order of their names. Raises OSError."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            if entry.name != ".git":
                yield from files_in(entry)
        elif entry.is_file():
            yield entry
