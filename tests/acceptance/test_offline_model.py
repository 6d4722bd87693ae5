"""The real Claude CLI, driven through the SDK, with the offline model in place of the Anthropic API."""

import socket
import threading
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from claude_agent_sdk import ClaudeAgentOptions, ResultError, ResultMessage, SystemMessage, query

from orchestrator.gateway.model.offline import open_offline
from orchestrator.plan.model import Agent
from orchestrator.protocols import Upstream
from orchestrator.task import Attempt
from workspaces import WorkspaceSpec

pytestmark = pytest.mark.anyio

LOOKING = ["Read", "Glob", "Grep"]
QUESTION = {"type": "object", "properties": {"question": {"type": "string"}}, "required": ["question"]}
QUESTIONS = {
    "type": "object",
    "properties": {"questions": {"type": "array", "items": QUESTION}},
    "required": ["questions"],
}
VERDICT = {
    "type": "object",
    "properties": {
        "answer": {"enum": ["yes", "partial", "no"]},
        "obviousness": {"type": "integer", "minimum": 1, "maximum": 10},
        "gap": {"type": "string"},
        "evidence": {"type": "string"},
    },
    "required": ["answer", "obviousness", "gap", "evidence"],
}


either_loop = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])


@pytest.fixture
def anyio_backend() -> str:
    """The gateway has a loop of its own; that the run's may be either is tested where no model's words matter."""
    return "asyncio"


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with open_offline() as upstream:
        yield upstream


class Agents:
    """Starts CLIs in one directory, with a Claude configuration of their own."""

    def __init__(self, place: Path, home: Path, upstream: Upstream) -> None:
        self.place, self.home, self.upstream = place, home, upstream
        self.retried: list[Any] = []

    async def run(
        self, prompt: str, *, schema: Mapping[str, Any] | None = None, session: str | None = None, **given: Any
    ) -> ResultMessage:
        """The CLI's result."""
        options = ClaudeAgentOptions(
            cwd=self.place,
            env={
                **self.upstream.env,
                "HOME": str(self.home),
                "CLAUDE_CONFIG_DIR": str(self.home / "config"),
                "CLAUDE_CODE_TMPDIR": str(self.home / "tmp"),
                "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
            },
            setting_sources=[],
            session_id=session,
            output_format={"type": "json_schema", "schema": dict(schema)} if schema else None,
            **given,
        )
        results = []
        async for message in query(prompt=prompt, options=options):
            if isinstance(message, ResultMessage):
                results.append(message)
            elif isinstance(message, SystemMessage) and message.subtype == "api_retry":
                self.retried.append(message.data["error_status"])
        return results[-1]

    async def rehearse(self, *steps: Mapping[str, Any], **given: Any) -> ResultMessage:
        """The result of a CLI whose replies are rehearsed."""
        session = str(uuid.uuid4())
        self.upstream.announce(make_attempt(session, steps))
        return await self.run("go", session=session, **given)


def make_attempt(session: str, steps: Sequence[Mapping[str, Any]]) -> Attempt:
    return Attempt(
        run="r",
        task="t",
        number=1,
        prompt="go",
        agent=Agent(),
        workspace=WorkspaceSpec(kind="here"),
        session_id=session,
        rehearsal=tuple(steps),
    )


@pytest.fixture
def agents(tmp_path: Path, upstream: Upstream) -> Agents:
    place = tmp_path / "place"
    (place / "docs").mkdir(parents=True)
    (place / "README.md").write_text("# Kettle\n\n## Installation\n\nInstall it with pip: `pip install kettle`.\n")
    (place / "docs" / "settings.md").write_text("# Settings\n\n## Timeouts\n\nThe timeout is 30 seconds.\n")
    return Agents(place, tmp_path / "home", upstream)


async def test_an_audit_asks_and_checks(agents: Agents) -> None:
    """Questions come distinct and in number; one is answered at the right line, and one is not."""
    prompt = "Ask 6 questions that a newcomer would ask about «installation and set-up». Look at the files first."
    asked = await agents.run(prompt, schema=QUESTIONS, tools=LOOKING)
    assert len({item["question"] for item in asked.structured_output["questions"]}) == 6

    check = "Is this question answered by the documentation here? Question: {} Answer yes, partial or no."
    there = await agents.run(check.format("How long is the timeout in seconds?"), schema=VERDICT, tools=LOOKING)
    assert there.structured_output["answer"] == "yes"
    assert there.structured_output["evidence"] == "docs/settings.md:5"

    absent = await agents.run(check.format("How do I deploy to Kubernetes?"), schema=VERDICT, tools=["Read", "Glob"])
    assert absent.structured_output["answer"] == "no"
    assert absent.structured_output["gap"] == "deploy, kubernetes"
    assert not asked.permission_denials + there.permission_denials + absent.permission_denials


@either_loop
async def test_the_default_tools_suffice(agents: Agents) -> None:
    """With the CLI's own tools, and nobody to ask, the files are searched and quoted; usage is counted."""
    result = await agents.run("How is kettle installed?", permission_mode="dontAsk")
    assert "README.md:5: Install it with pip" in str(result.result)
    assert not result.permission_denials
    assert result.usage["input_tokens"] > 0
    assert result.usage["output_tokens"] > 0


async def test_files_are_listed_in_a_repository(agents: Agents) -> None:
    """Asked for the files here, it names the project's, however many of git's own there are, in whatever depth."""
    for number in range(150):  # more than the tool shows
        file = agents.place / ".git" / "objects" / f"{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    deep = agents.place / "docs" / "more" / "deep.md"
    deep.parent.mkdir(parents=True)
    deep.touch()
    result = await agents.run("Which files are in this folder?", tools=["Glob"])
    assert "files are here" in str(result.result)
    assert "README.md" in str(result.result)
    assert "docs/more/deep.md" in str(result.result)
    assert ".git" not in str(result.result)


@either_loop
async def test_a_rehearsal_works_with_the_real_tools(agents: Agents) -> None:
    """Write, Edit (read first) and Bash change the directory as the steps say, and the last words are the result."""
    result = await agents.rehearse(
        {"say": "I begin."},
        {"write": {"path": "notes/new.txt", "text": "one\n"}},
        {"edit": {"path": "README.md", "old": "# Kettle", "new": "# Kettles"}},
        {"bash": "cat notes/new.txt > copy.txt"},
        {"say": "All done."},
        permission_mode="acceptEdits",
        allowed_tools=["Bash"],
    )
    assert result.result == "All done."
    assert (agents.place / "copy.txt").read_text() == "one\n"
    assert (agents.place / "README.md").read_text().startswith("# Kettles")


async def test_an_overload_is_retried_by_the_cli(agents: Agents) -> None:
    """One rehearsed 529 is retried by the CLI, and the steps go on."""
    result = await agents.rehearse({"fail": 529}, {"say": "fine"}, tools=[])
    assert result.result == "fine"
    assert agents.retried == [529]


async def test_a_refusal_of_the_api_ends_the_run(agents: Agents) -> None:
    """A rehearsed 400 is the CLI's error, with the words of the step."""
    with pytest.raises(ResultError, match="no such luck"):
        await agents.rehearse({"fail": {"status": 400, "message": "no such luck", "attempts": 1}}, tools=[])


@pytest.mark.parametrize("sandbox", ["", "yes"])
async def test_a_failed_attempt_is_over_at_once(agents: Agents, monkeypatch: pytest.MonkeyPatch, sandbox: str) -> None:
    """`fail` with `attempts` ends the attempt without the CLI's own retries, which in a sandbox go on for minutes."""
    monkeypatch.setenv("IS_SANDBOX", sandbox)
    with pytest.raises(ResultError, match="Overloaded"):
        await agents.rehearse({"fail": {"status": 529, "attempts": 1}}, tools=[])
    assert agents.retried == []


async def test_an_answer_is_given_and_a_missing_one_filled(agents: Agents) -> None:
    """A rehearsed answer is the typed result; without one the rules fill it after the steps."""
    value = {"answer": "partial", "obviousness": 3, "gap": "much", "evidence": "none"}
    given = await agents.rehearse({"answer": value}, schema=VERDICT, tools=["Read"])
    filled = await agents.rehearse({"read": "README.md"}, schema=VERDICT, tools=["Read"])
    assert given.structured_output == value
    assert filled.structured_output["answer"] in ("yes", "partial", "no")


async def test_a_wrong_secret_is_refused(agents: Agents) -> None:
    """A CLI that does not know the secret gets nothing."""
    address = urlsplit(agents.upstream.env["ANTHROPIC_BASE_URL"])
    wrong = {**agents.upstream.env, "ANTHROPIC_BASE_URL": f"http://{address.netloc}/guess"}

    class Elsewhere:
        env = wrong
        announce = agents.upstream.announce

    agents.upstream = Elsewhere()
    with pytest.raises(ResultError):
        await agents.run("hello", tools=[])


@either_loop
async def test_the_gateway_is_gone_after_the_block(tmp_path: Path) -> None:
    """After an agent has used it, the port is closed and the thread has ended when the block is left."""
    async with open_offline() as upstream:
        agents = Agents(tmp_path, tmp_path / "home", upstream)
        assert (await agents.run("What is 17 * 23?", tools=[])).result == "[offline model] 17 * 23 = 391"
        address = urlsplit(upstream.env["ANTHROPIC_BASE_URL"])
    with socket.socket() as probe:
        assert probe.connect_ex((str(address.hostname), address.port or 0)) != 0
    assert not [thread for thread in threading.enumerate() if thread.name == "gateway"]
