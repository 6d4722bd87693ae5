"""The private state of an agent's CLI."""

import stat
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.config import furnish, open_config, secure_storage, user_state
from orchestrator.plan.model import Agent
from orchestrator.processes.den import Den
from orchestrator.protocols import Emit, ignore
from orchestrator.settings import user_address, user_config
from orchestrator.task import Attempt
from workspaces import WorkspaceSpec

pytestmark = pytest.mark.anyio


class Upstream:
    """Points CLIs at a server of ours."""

    env = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:1"}  # noqa: RUF012

    account = False

    def announce(self, attempt: Attempt, emit: Emit = ignore) -> None:
        """Nobody listens."""


def attempt(**agent: Any) -> Attempt:
    spec = WorkspaceSpec()
    return Attempt(run="r", task="t", number=1, prompt="p", agent=Agent(**agent), workspace=spec, session_id="s")


@pytest.fixture
def den(tmp_path: Path) -> Den:
    den = Den(tmp_path / "den")
    den.config.mkdir(parents=True)
    return den


@pytest.fixture
def user(apart_from_the_user: Path) -> Path:
    """The user's own folder, with a bit of everything."""
    folder = apart_from_the_user / ".claude"
    folder.joinpath("skills").mkdir(parents=True)
    folder.joinpath("CLAUDE.md").write_text("mine", "utf-8")
    folder.joinpath("history.jsonl").write_text("{}", "utf-8")
    folder.joinpath("policy-limits.json").write_text("{}", "utf-8")
    apart_from_the_user.joinpath(".claude.json").write_text('{"mine": 1}', "utf-8")
    return folder


async def test_each_attempt_has_its_own(den: Den, user: Path) -> None:
    """It is private, gone with the attempt, has a copy of the user's state and a link to the user's transcripts."""
    async with open_config(attempt(), den, None) as one, open_config(attempt(), den, None) as two:
        assert one.path != two.path
        assert stat.S_IMODE(one.path.stat().st_mode) == 0o700
        assert one.env == {"CLAUDE_CONFIG_DIR": str(one.path), "CLAUDE_SECURESTORAGE_CONFIG_DIR": ""}
        assert one.path.joinpath("projects").resolve() == user / "projects"
        assert one.path.joinpath(".claude.json").read_text("utf-8") == '{"mine": 1}'
        assert stat.S_IMODE(one.path.joinpath(".claude.json").stat().st_mode) == 0o600
        assert {path.name for path in one.path.iterdir()} == {"projects", ".claude.json", "policy-limits.json"}
        one.path.joinpath("projects", "-a").mkdir()
    assert list(den.config.iterdir()) == []
    assert user.joinpath("projects", "-a").is_dir()


async def test_the_users_settings(den: Den, user: Path) -> None:
    """With `settings: [user]` they are there by links, those that there are."""
    async with open_config(attempt(settings=["user"]), den, None) as config:
        links = {path.name: path.resolve() for path in config.path.iterdir() if path.is_symlink()}
    assert links == {name: user / name for name in ("projects", "skills", "CLAUDE.md")}


async def test_nothing_of_the_users_with_an_upstream(den: Den, user: Path) -> None:
    """With an upstream of ours the state is that of a new user, and the transcripts stay in the den."""
    agent = {"settings": ["user"], "env": {"CLAUDE_CONFIG_DIR": str(user)}}
    async with open_config(attempt(**agent), den, Upstream()) as config:
        assert config.env == {"CLAUDE_CONFIG_DIR": str(config.path)}
        assert config.path.joinpath("projects").resolve() == den.config / "projects"
        assert "mine" not in config.path.joinpath(".claude.json").read_text("utf-8")
        assert {path.name for path in config.path.iterdir()} == {"projects", ".claude.json"}


async def test_an_agents_own(den: Den, user: Path) -> None:
    """A directory that the agent's `env` names is used as it is."""
    async with open_config(attempt(env={"CLAUDE_CONFIG_DIR": str(user)}), den, None) as config:
        assert (config.path, config.env) == (user, {})
    assert user.joinpath("CLAUDE.md").exists()


def test_where_the_users_own_is(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the CLI has it: `~/.claude` with the state beside it, or all in what CLAUDE_CONFIG_DIR names."""
    assert (user_config(), user_state(), secure_storage()) == (user, user.parent / ".claude.json", "")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", "/x/./y")
    assert (user_config(), user_state(), secure_storage()) == (Path("/x/y"), Path("/x/y/.claude.json"), "/x/./y")
    monkeypatch.chdir(user)
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", "near")
    assert (user_config(), user_state(), secure_storage()) == (
        user / "near",
        user / "near" / ".claude.json",
        str(user / "near"),
    )
    monkeypatch.setenv("CLAUDE_SECURESTORAGE_CONFIG_DIR", "/z")
    assert secure_storage() == "/z"


def test_nobody_has_used_claude_yet(den: Den, tmp_path: Path) -> None:
    """Without anything of the user's, what is needed is made."""
    path = furnish(den.config, tmp_path / "none", True)
    assert path.joinpath("projects").is_dir()
    assert "hasCompletedOnboarding" in path.joinpath(".claude.json").read_text("utf-8")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:1"}}', "http://127.0.0.1:1"),
        ('{"env": {"ANTHROPIC_BASE_URL": ""}}', None),
        ('{"env": {"ANTHROPIC_BASE_URL": 7}}', None),
        ('{"env": ["ANTHROPIC_BASE_URL"]}', None),
        ("[]", None),
        ("{", None),
    ],
)
def test_which_api_the_users_settings_name(user: Path, content: str, expected: str | None) -> None:
    """What is no address, or no settings file at all, names none."""
    (user / "settings.json").unlink(missing_ok=True)
    assert user_address() is None
    (user / "settings.json").write_text(content)
    assert user_address() == expected
