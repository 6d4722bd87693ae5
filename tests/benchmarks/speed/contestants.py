"""Who is measured: for each the command that runs so many agents, and where it starts."""

import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.benchmarks.speed.server import FAN_OUT

ROOT = Path(__file__).parents[3]
TOOLS = ("--tools", "Read,Bash", "--allowedTools", "Read,Bash", "--setting-sources", "project")
FILES = 100
"""In the git repository that all start in."""


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement's place and size."""

    folder: Path
    url: str
    agents: int
    width: int

    @property
    def work(self) -> Path:
        """A git repository."""
        return self.folder / "work"

    @property
    def file(self) -> Path:
        """What the agents read."""
        return self.work / "file0.txt"

    @property
    def directories(self) -> list[Path]:
        """One for each agent."""
        return [self.folder / f"directory{number}" for number in range(self.agents)]

    @property
    def environment(self) -> dict[str, str]:
        """All that a contestant is given: nothing of the user's, and no address but the server's."""
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "ORCHESTRATOR_HOME": str(self.folder / "home" / "orchestrator"),
            "CLAUDE_CONFIG_DIR": str(self.folder / "home" / ".claude"),
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_API_KEY": "sk-ant-loopback",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_WORKFLOW_MAX_CONCURRENT_AGENTS": str(self.width),
        }

    def prepare(self) -> None:
        """Makes it all, before the clock starts."""
        for path in (self.work, self.folder / "tmp", self.folder / "home" / ".claude", *self.directories):
            path.mkdir(parents=True)
        (self.folder / "home" / ".claude" / ".claude.json").write_text('{"hasCompletedOnboarding": true}')
        (self.folder / "home" / ".gitconfig").write_text("[user]\nname = Bench\nemail = bench@localhost\n")
        for number in range(FILES):
            (self.work / f"file{number}.txt").write_text(f"The {number}th line\n" * 100)
        for command in ("git init -q", "git add .", "git commit -qm files"):
            subprocess.run(command.split(), cwd=self.work, env=self.environment, check=True)


@dataclass(frozen=True, slots=True)
class Contestant:
    """A way to run agents."""

    label: str
    command: Callable[[Job], list[str]]


def claude() -> str:
    """The CLI that the SDK's wheel carries."""
    spec = find_spec("claude_agent_sdk")
    assert spec
    assert spec.submodule_search_locations
    return str(Path(spec.submodule_search_locations[0]) / "_bundled" / "claude")


def module(name: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"tests.benchmarks.speed.{name}", *map(str, arguments)]


def ours(workspace: str, *wait: float) -> Callable[[Job], list[str]]:
    return lambda job: module("ours", workspace, job.agents, job.width, *wait)


def queries(way: str, unbounded: bool = False) -> Callable[[Job], list[str]]:
    return lambda job: module("query", way, job.agents, job.agents if unbounded else job.width)


def queries_apart(job: Job) -> list[str]:
    return module("query", "anyio", job.agents, job.width, *job.directories)


def pool(job: Job) -> list[str]:
    return module("pool", job.agents, job.width)


def xargs(job: Job) -> list[str]:
    agent = shlex.join([claude(), "-p", "What is {} * 3?", *TOOLS])
    return ["sh", "-c", f"seq 0 {job.agents - 1} | xargs -P {job.width} -I '{{}}' {agent}"]


def workflow(job: Job) -> list[str]:
    prompt = f"Start a workflow of {job.agents} agents"
    assert FAN_OUT.fullmatch(prompt)
    tools = "Workflow,Read,Bash"
    return [claude(), "-p", prompt, "--tools", tools, "--allowedTools", tools, "--setting-sources", "project"]


CONTESTANTS: Mapping[str, Contestant] = {
    "ours": Contestant("ours, one directory", ours("here")),
    "ours-at-once": Contestant("ours, one directory, no wait for the cache", ours("here", 0)),
    "ours-directory": Contestant("ours, a directory each", ours("directory")),
    "ours-worktree": Contestant("ours, a worktree each", ours("worktree")),
    "semaphore": Contestant("query() under anyio's semaphore", queries("anyio")),
    "gather": Contestant("asyncio.gather of query(), semaphore", queries("gather")),
    "gather-all": Contestant("asyncio.gather of query(), unbounded", queries("gather", unbounded=True)),
    "semaphore-directory": Contestant("query(), semaphore, a directory each", queries_apart),
    "pool": Contestant("fifty lines: clients, /clear between tasks", pool),
    "xargs": Contestant("xargs -P, claude -p", xargs),
    "workflow": Contestant("the CLI's Workflow tool, one process", workflow),
}
