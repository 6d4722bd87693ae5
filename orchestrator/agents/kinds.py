"""Which processes are alike: an attempt may be given any that was started with the same options and settings.

What a CLI is told when it is started holds as long as it lives: options, variables, and of the settings files those
variables that they set, which stay although the file has changed. Skills, commands and output styles it loads once:
they neither change with their files nor stay behind when it goes to another directory (CLI 2.1.329).
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from claude_agent_sdk import ClaudeAgentOptions

from orchestrator.agents.options import QUIET
from orchestrator.settings import user_config
from orchestrator.task import Attempt
from orchestrator.tools import tools_of

OF_ONE = frozenset({"session_id", "resume", "fork_session", "cwd", "stderr", "env", "session_store", "mcp_servers"})
"""Options that differ from process to process though these are alike."""
OF_ONE_IN_ENV = frozenset({"CLAUDE_CONFIG_DIR", "ORCHESTRATOR_LEASE", "ORCHESTRATOR_SESSION_LOCK"})
OF_TASK = ("env", "hooks", "enabledPlugins")
"""Keys of a settings file that tie a process to its task: variables stay, and hooks, which plugins
may have too, tell the beginning of a process from that of a conversation."""
LOADED = ("agents/**/*.md", "commands/**/*.md", "output-styles/**/*.md", "skills/*/SKILL.md", "skills/*/*/SKILL.md")
"""What a CLI loads when it starts, in each folder of settings. Not all below `skills`: what is in one may be large."""
FILES = {"project": ("settings.json",), "local": ("settings.local.json",)}


@dataclass(frozen=True, slots=True)
class Kinds:
    """Which processes an attempt may be given besides one that is started for it."""

    shared: str | None = None
    """What those have in common that serve many attempts; None: it shares with nobody."""
    spare: str | None = None
    """What those have in common that were started ahead, and asked nothing; None: none will do.

    Agents of one such kind also ask alike: of its directory an agent is told behind what all of them are told.
    """


def kinds_of(attempt: Attempt, directory: Path, options: ClaudeAgentOptions) -> Kinds:
    """Which processes an attempt may be given that is to work in the directory.

    `options` are those of a process of its own. Settings that cannot be read are the CLI's to tell of.
    """
    settings = list(read_settings(attempt, (directory / ".claude",)))
    if any(map(binds, settings)):
        return Kinds()
    spare = spare_kind_of(attempt, options)
    if not may_share(attempt):
        return Kinds(spare=spare)
    loaded = sorted(set(find_loaded(find_folders(attempt, directory))))
    return Kinds(digest([described(options), [text.hex() for text in settings], loaded]), spare)


def spare_kind_of(attempt: Attempt, options: ClaudeAgentOptions) -> str | None:
    """What the processes have in common that can be started ahead for the attempt, wherever it will work; None: none.

    All that a workspace says is read when they are claimed there; what the user's folder says was read before.
    """
    user = list(read_settings(attempt))
    if attempt.resume or attempt.agent.sandbox or any(map(binds, user)):
        return None
    loaded = sorted(set(find_loaded(find_folders(attempt))))
    return digest([described(options), [text.hex() for text in user], loaded])


def may_share(attempt: Attempt) -> bool:
    """Whether it may have a process that serves others too."""
    return not (attempt.fresh or attempt.resume or is_command(attempt.prompt)) and is_plain(attempt)


def described(options: ClaudeAgentOptions) -> Any:
    """What a CLI is told when it is started, as plain data."""
    told = {field.name: repr(getattr(options, field.name)) for field in fields(options) if field.name not in OF_ONE}
    servers: Any = options.mcp_servers
    if not isinstance(servers, str):
        # The run's own server is an object in this process, another one for each attempt.
        servers = {name: {key: each[key] for key in each if key != "instance"} for name, each in servers.items()}
    told["mcp_servers"] = repr(servers)
    given = {**os.environ, **options.env}  # a script may have set a variable since the last process was started
    return [told, {name: value for name, value in given.items() if name not in OF_ONE_IN_ENV}]


def digest(told: Any) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def is_plain(attempt: Attempt) -> bool:
    """Whether its agent leaves nothing behind in its CLI.

    Servers keep what they were told, a sandbox is laid around one directory, and what may go on in the background may
    outlast the task. Tools of the run are told whose they are.
    """
    agent = attempt.agent
    loud = any(agent.env.get(name, value) != value for name, value in QUIET.items())
    return not (agent.mcp_servers or agent.sandbox or tools_of(agent) or loud or "CLAUDE_CONFIG_DIR" in agent.env)


def is_command(prompt: str) -> bool:
    """Whether it may be one of the CLI's own: `/model` and `/effort` hold for all that the process is asked later."""
    return prompt.lstrip().startswith("/")


def find_loaded(folders: Iterable[Path]) -> Iterator[str]:
    """The files that the CLI loads when it starts, each with what changes when it does."""
    for folder in folders:
        for path in (path for pattern in LOADED for path in folder.glob(pattern)):
            with suppress(OSError):
                found = path.stat()
                yield f"{path} {found.st_ino} {found.st_size} {found.st_mtime_ns}"


def find_folders(attempt: Attempt, directory: Path | None = None) -> Iterator[Path]:
    """The user's folder, and those of the directory and of the directories that it is in."""
    if "user" in attempt.agent.settings:
        yield user_config()
    if directory and "project" in attempt.agent.settings:
        above = (place / ".claude" for place in (directory, *directory.parents) if place != Path.home())
        yield from (folder for folder in above if folder != user_config() and folder.is_dir())


def read_settings(attempt: Attempt, project: Iterable[Path] = ()) -> Iterator[bytes]:
    """The settings files that hold for the attempt's agent, as they are now; nothing where there is none.

    `project`: the folder of the directory that it works in, if that is known.
    """
    for source in attempt.agent.settings:
        for folder in [user_config()] if source == "user" else project:
            for name in FILES.get(source, ("settings.json",)):
                try:
                    yield (folder / name).read_bytes()
                except OSError:
                    yield b""


def binds(settings: bytes) -> bool:
    """Whether a settings file says what a process could not forget, or cannot be read."""
    try:
        said = json.loads(settings or b"{}")
    except ValueError:
        return True
    return not isinstance(said, dict) or any(said.get(name) for name in OF_TASK)
