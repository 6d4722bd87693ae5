"""Which of the user's and the project's Claude settings an agent reads."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from anyio import to_thread
from command_line import SMALL, Cli, contents

from orchestrator.gateway.model.offline import OfflineModel
from orchestrator.gateway.seam import ApiEvent, Call
from orchestrator.gateway.server import open_gateway


class Witness(OfflineModel):
    """The offline model, which keeps what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        self.asked.append(json.dumps(call.body))
        return await super().answer(call)


def booby_trap(folder: Path, marks: Path, name: str) -> None:
    """User settings with a hook, an MCP server and a CLAUDE.md in the folder; each leaves a mark when it is used."""
    folder.mkdir(parents=True)
    hooks = {
        event: [{"hooks": [{"type": "command", "command": f"touch {marks}/{name}-{event}"}]}]
        for event in ("SessionStart", "UserPromptSubmit", "Stop")
    }
    folder.joinpath("settings.json").write_text(json.dumps({"hooks": hooks}))
    folder.joinpath("CLAUDE.md").write_text(f"The user's own words: {name}-memory.\n")
    servers = {"trap": {"command": "touch", "args": [f"{marks}/{name}-mcp"]}}
    for file in (folder / ".claude.json", folder.parent / ".claude.json"):
        file.write_text(json.dumps({"mcpServers": servers}))


@pytest.fixture
def trapped(cli: Cli, tmp_path: Path) -> tuple[Cli, Path]:
    """A command line whose user has hooks, an MCP server and notes, in a project with a CLAUDE.md."""
    marks = tmp_path / "marks"
    marks.mkdir()
    booby_trap(cli.home / ".claude", marks, "home")
    booby_trap(tmp_path / "elsewhere" / "config", marks, "config")
    (cli.place / "CLAUDE.md").write_text("This project calls its kettle ZANZIBAR.\n")
    cli.plan(SMALL)
    return cli, marks


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("configured", ["home", "config"])
async def test_the_project_is_read_and_the_user_is_not(
    trapped: tuple[Cli, Path], configured: str, tmp_path: Path
) -> None:
    """With an API of the environment's, the workspace's CLAUDE.md reaches it; the user's hooks, MCP and notes don't."""
    cli, marks = trapped
    asked = await ask_through_api(cli, {} if configured == "home" else config_of(tmp_path))
    assert "ZANZIBAR" in asked
    assert "-memory" not in asked
    assert list(marks.iterdir()) == []


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("configured", ["home", "config"])
async def test_the_user_is_read_on_demand(trapped: tuple[Cli, Path], configured: str, tmp_path: Path) -> None:
    """An agent with `settings: [user]` sets off the user's hooks and sees the notes, so the test above could fail."""
    cli, marks = trapped
    cli.plan(SMALL.replace("tools: []", "tools: [], settings: [user]"))
    asked = await ask_through_api(cli, {} if configured == "home" else config_of(tmp_path))
    assert f"{configured}-memory" in asked
    assert "ZANZIBAR" not in asked
    assert {path.name for path in marks.iterdir()} == {
        f"{configured}-{event}" for event in ("SessionStart", "UserPromptSubmit", "Stop")
    }


def config_of(folder: Path) -> dict[str, str]:
    return {"CLAUDE_CONFIG_DIR": str(folder / "elsewhere" / "config")}


async def ask_through_api(cli: Cli, variables: dict[str, str]) -> str:
    """All requests of the place's plan, run without `--offline` in an environment that names an API."""
    witness = Witness()
    async with open_gateway(witness) as upstream:
        there = cli.with_variables(**upstream.env, **variables)
        done = await to_thread.run_sync(there, "run", "plan.yaml")
    assert done.returncode == 0, done.stderr
    return "\n".join(witness.asked)


def test_offline_reads_nothing_of_the_user(trapped: tuple[Cli, Path], tmp_path: Path) -> None:
    """`--offline` runs with the user's hooks, MCP servers and credentials around, and touches none of them."""
    cli, marks = trapped
    before = contents(cli.home / ".claude")
    done = cli.with_variables(**config_of(tmp_path), ANTHROPIC_API_KEY="sk-real")("run", "plan.yaml", "--offline")
    assert done.returncode == 0, done.stderr
    assert list(marks.iterdir()) == []
    assert contents(cli.home / ".claude") == before


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("way", [[], ["--gateway"]])
async def test_an_api_that_the_users_settings_name(cli: Cli, way: list[str]) -> None:
    """An agent that reads the user's settings asks the API that these name; with the gateway through that."""
    witness = Witness()
    cli.plan(SMALL.replace("tools: []", "tools: [], settings: [user]"))
    async with open_gateway(witness) as upstream:
        variables = dict(upstream.env)
        named = {"ANTHROPIC_BASE_URL": variables.pop("ANTHROPIC_BASE_URL")}
        (cli.home / ".claude").mkdir()
        (cli.home / ".claude" / "settings.json").write_text(json.dumps({"env": named}))
        nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9"}  # whoever asks another API does not get there
        there = cli.with_variables(**variables, **nowhere)
        done = await to_thread.run_sync(there, "run", "plan.yaml", *way, "--view", "jsonl")
    assert done.returncode == 0, done.stderr
    assert any("What is 6 * 7?" in asked for asked in witness.asked)
    assert ('"kind": "RequestAnswered"' in done.stderr) == bool(way)
