"""Each agent's CLI has state of its own, and still the user's login, settings and sessions. With the real CLI."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest

from orchestrator.agents.claude import ClaudeRunner, open_claude
from orchestrator.gateway.model.offline import OfflineModel
from orchestrator.gateway.seam import ApiEvent, Call
from orchestrator.gateway.server import open_gateway
from orchestrator.plan.model import Agent
from orchestrator.task import Attempt
from workspaces import Workspace, WorkspaceSpec

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
]

TOKEN = "sk-ant-oat01-made-up-for-a-test"
FAR_AWAY = 4_000_000_000_000
LOGIN = {
    "claudeAiOauth": {
        "accessToken": TOKEN,
        "refreshToken": "sk-ant-ort01-made-up-for-a-test",
        "expiresAt": FAR_AWAY,
        "scopes": ["user:inference", "user:profile"],
        "subscriptionType": "max",
    }
}


class Doorman(OfflineModel):
    """Keeps what he was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str | None] = []

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        self.shown.append(call.headers.get("authorization"))
        return await super().answer(call)


@asynccontextmanager
async def account(model: OfflineModel, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ClaudeRunner]:
    """A runner that asks the server as it would the API: with the user's account."""
    async with open_gateway(model) as upstream:
        for name, value in upstream.env.items():
            if not name.startswith(("ANTHROPIC_API", "ANTHROPIC_AUTH", "CLAUDE_CODE_OAUTH")):
                monkeypatch.setenv(name, value)
        async with open_claude() as claude:
            yield claude


def asks(prompt: str, **agent: Any) -> Attempt:
    named = {"run": "r", "task": "t", "number": 1, "workspace": WorkspaceSpec(), "session_id": str(uuid4())}
    return Attempt(prompt=prompt, agent=Agent(**{"tools": ["Read"]} | agent), **named)


def log_in(folder: Path) -> Path:
    """Puts the made-up login there, and a `.claude.json` where the CLI has it."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath(".credentials.json").write_text(json.dumps(LOGIN), "utf-8")
    return folder


@pytest.mark.parametrize("named", [False, True])
async def test_the_login_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool) -> None:
    """Six agents at once use the user's login, in `~/.claude` or as CLAUDE_CONFIG_DIR says, and change none of it."""
    home = Path(os.environ["HOME"])
    config = log_in(home / "elsewhere" if named else home / ".claude")
    state = (config if named else home) / ".claude.json"
    state.write_text('{"hasCompletedOnboarding": true, "mine": 1}', "utf-8")
    if named:
        monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(config))
    model = Doorman()
    attempts = [asks(f"What is {n} * 7?") for n in range(6)]
    sessions: list[str | None] = []

    async def run(claude: ClaudeRunner, attempt: Attempt) -> None:
        sessions.append((await claude.run(attempt, Workspace(path=tmp_path), lambda _: None)).session_id)

    async with account(model, monkeypatch) as claude, anyio.create_task_group() as group:
        for attempt in attempts:
            group.start_soon(run, claude, attempt)
    assert len(model.shown) >= 6
    assert set(model.shown) == {f"Bearer {TOKEN}"}
    assert json.loads(state.read_text("utf-8")) == {"hasCompletedOnboarding": True, "mine": 1}
    assert json.loads(config.joinpath(".credentials.json").read_text("utf-8")) == LOGIN
    assert {path.name for path in config.iterdir()} <= {".credentials.json", ".claude.json", "projects"}
    kept = {path.stem for path in config.glob("projects/*/*.jsonl")}
    assert (kept, len(kept)) == (set(sessions), 6)


async def test_the_users_settings_are_there_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `settings: [user]` the user's CLAUDE.md and skills reach the agent, and without it they do not."""
    config = log_in(Path(os.environ["HOME"]) / ".claude")
    config.joinpath("CLAUDE.md").write_text("The password of the day is xylophone.", "utf-8")
    config.joinpath("skills", "glock").mkdir(parents=True)
    skill = "---\nname: glock\ndescription: Plays the glockenspiel.\n---\nPlay.\n"
    config.joinpath("skills", "glock", "SKILL.md").write_text(skill, "utf-8")
    asked: dict[bool, str] = {}

    class Listener(OfflineModel):
        async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
            said = json.dumps(call.body)
            asked["xylophone" in said] = said
            return await super().answer(call)

    async with account(Listener(), monkeypatch) as claude:
        for settings in (["user"], ["project"]):
            attempt = asks("What is 6 * 7?", settings=settings, tools=["Read", "Skill"])
            assert (await claude.run(attempt, Workspace(path=tmp_path), lambda _: None)).ok
    assert set(asked) == {True, False}
    assert "glockenspiel" in asked[True]
    assert "glockenspiel" not in asked[False]


async def test_an_agent_may_have_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CLAUDE_CONFIG_DIR that an agent's `env` names is the one that its CLI uses, with the login that is there."""
    own, model = log_in(tmp_path / "own"), Doorman()
    async with account(model, monkeypatch) as claude:
        attempt = asks("What is 6 * 7?", env={"CLAUDE_CONFIG_DIR": str(own)})
        assert (await claude.run(attempt, Workspace(path=tmp_path), lambda _: None)).ok
    assert set(model.shown) == {f"Bearer {TOKEN}"}
    assert [path.stem for path in own.glob("projects/*/*.jsonl")] == [attempt.session_id]
