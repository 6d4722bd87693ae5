"""Without --offline the CLI asks whatever the environment names: here a server of the test's own."""

import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from anyio import to_thread
from command_line import PATIENCE
from forks import forks

from orchestrator.gateway.model.offline import OfflineModel
from orchestrator.gateway.seam import ApiEvent, Call
from orchestrator.gateway.server import open_gateway

pytestmark = pytest.mark.anyio

PLAN = """
name: own
limits: {concurrent: 4}
agents:
  reader: {tools: [Read, Glob, Grep]}
  writer: {tools: [Read, Glob, Grep, Edit, Write], max_turns: 10}
tasks:
  a: {prompt: "What is 2 * 21?", agent: reader}
  b: {prompt: "What does `alpha` mean here?", agent: reader}
  c: {foreach: [1, 2], prompt: "{{ tasks.a.text }} What is {{ item }} * 7?", agent: reader}
  d: {needs: [b], agent: writer, workspace: worktree, prompt: "Write a line about alpha to one.txt"}
  e: {needs: [b], agent: writer, workspace: worktree, prompt: "Write a line about beta to two.txt"}
  f:
    needs: [c]
    prompt: "What is 1 + 1?"
    agent: reader
    returns: {type: object, required: [sum], properties: {sum: {type: integer}}}
  g: {prompt: "Sum up: {{ tasks.d.text }} {{ tasks.e.text }}", agent: reader}
  h:
    needs: [g]
    write: {path: out.md, text: "{{ tasks.f.value.sum }} {{ tasks.d.files | join }} {{ tasks.e.branch }}"}
"""
READING = PLAN[: PLAN.index("  c: ")]
"""The first two tasks of it."""
WRITING = READING + PLAN[PLAN.index("  d: ") : PLAN.index("  e: ")]
"""With one in a worktree."""


class Recorder(OfflineModel):
    """Keeps what it was asked, and by whom."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        self.calls.append(call)
        return await super().answer(call)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with a page about alpha, a CLAUDE.md, and project settings."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "a.md").write_text("# Alpha\n\nAlpha means first.\n", "utf-8")
    (folder / "CLAUDE.md").write_text("The password of the day is xylophone.\n", "utf-8")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "start"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


async def run(
    repository: Path, env: dict[str, str], *more: str, plan: str = PLAN
) -> "subprocess.CompletedProcess[str]":
    """`orchestrator run` on a plan, in the repository."""
    (repository / "plan.yaml").write_text(plan, "utf-8")
    command = ["-m", "orchestrator", "run", "plan.yaml", "--view", "none", "--json", "-", *more]
    process = forks().start(command, repository, env)
    out, err = await to_thread.run_sync(lambda: process.communicate(timeout=PATIENCE))
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def set_traps() -> tuple[Path, Path]:
    """Gives the user a hook and an MCP server; the files that each would leave."""
    home = Path(os.environ["HOME"])
    hook_ran, server_ran = home / "hook-ran", home / "server-ran"
    hook = {"matcher": "", "hooks": [{"type": "command", "command": f"touch {hook_ran}"}]}
    server = {"type": "stdio", "command": "touch", "args": [str(server_ran)]}
    (home / ".claude").mkdir()
    (home / ".claude" / "settings.json").write_text(json.dumps({"hooks": {"UserPromptSubmit": [hook]}}), "utf-8")
    (home / ".claude.json").write_text(json.dumps({"mcpServers": {"mine": server}}), "utf-8")
    return hook_ran, server_ran


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_plan_runs_against_the_server_that_the_environment_names(repository: Path) -> None:
    """Two tasks of nine are in worktrees; all end well, with the project's CLAUDE.md and none of the user's hooks."""
    model, traps = Recorder(), set_traps()
    async with open_gateway(model) as upstream:
        done = await run(repository, dict(os.environ) | dict(upstream.env))
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["totals"]["tasks"] == report["totals"]["ok"] == 9
    asked = json.dumps([call.body for call in model.calls])
    assert "xylophone" in asked
    assert [path.name for path in traps if path.exists()] == []
    branches = subprocess.check_output(["git", "branch", "--list", "orchestrator/*"], cwd=repository, text=True)
    assert len(branches.split()) == 2
    assert (repository / "out.md").read_text("utf-8").startswith("2 one.txt orchestrator/own-")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_users_hooks_run_when_they_are_asked_for(repository: Path) -> None:
    """With `settings: [user, project]` the user's own hook runs, which shows that the test above could fail."""
    hook_ran, _ = set_traps()
    async with open_gateway(OfflineModel()) as upstream:
        env = dict(os.environ) | dict(upstream.env)
        await run(repository, env, "--set", "agents.reader.settings=[user, project]", plan=READING)
    assert hook_ran.exists()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_budget_stops_launching(repository: Path) -> None:
    """Once a run's budget is spent nothing new starts, what did not start says why, and the exit code is 1."""
    async with open_gateway(OfflineModel()) as upstream:
        done = await run(repository, dict(os.environ) | dict(upstream.env), "--usd", "0.0003", "--concurrent", "1")
    assert done.returncode == 1
    tasks = json.loads(done.stdout)["tasks"]
    assert any("budget" in (task.get("error") or "") for task in tasks if task["status"] == "cancelled")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_credentials_are_not_written_down(repository: Path) -> None:
    """Neither the journal nor anything else in ORCHESTRATOR_HOME holds the API key that the CLI was given."""
    key = "sk-ant-api03-" + "z" * 40
    async with open_gateway(OfflineModel()) as upstream:
        done = await run(repository, dict(os.environ) | upstream.env | {"ANTHROPIC_API_KEY": key}, plan=WRITING)
    assert done.returncode == 0, done.stderr
    kept = [path for path in Path(os.environ["ORCHESTRATOR_HOME"]).rglob("*") if path.is_file()]
    assert kept
    assert [path for path in kept if key.encode() in path.read_bytes()] == []
