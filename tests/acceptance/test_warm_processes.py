"""One real CLI process does many tasks: what its API is sent shows nothing of one in another."""

import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest
from claude_agent_sdk import project_key_for_directory

from orchestrator.agents.claude import open_claude
from orchestrator.agents.member import dismiss
from orchestrator.events import SessionStarted
from orchestrator.gateway.model.offline import OfflineModel
from orchestrator.gateway.seam import ApiEvent, Call
from orchestrator.gateway.server import open_gateway
from orchestrator.journal.memory import MemorySessions
from orchestrator.plan.model import Agent
from orchestrator.task import Attempt, Result
from orchestrator.testing.samples import Collected
from workspaces import Workspace, WorkspaceSpec

pytestmark = [
    pytest.mark.anyio,
    # The SDK's reader leaves a generator of its own unfinished when it is cancelled; trio says so.
    pytest.mark.filterwarnings("ignore:Async generator 'claude_agent_sdk:ResourceWarning"),
]

AGENT = Agent(tools=["Read", "Bash"], allow=["Bash(*)"], max_turns=6)
SECRETS = ("xylophone", "bandoneon", "clavichord", "theremin")
NOTE = re.compile(
    r"<local-command-caveat>.*?</local-command-caveat>"
    r"|<command-name>/clear</command-name>\s*<command-message>clear</command-message>\s*<command-args></command-args>"
    r"|<local-command-stdout></local-command-stdout>",
    re.DOTALL,
)
"""What a conversation says that begins with `/clear`."""
ODD = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|toolu_\w+|x-anthropic-billing-header[^\"]*"
)
"""Ids, and what no cache counts."""


ECHO = """
import json, os, sys
with open(sys.argv[1], "a") as file:
    file.write(os.getcwd() + "\\n")
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        found = {"tools": [{"name": "say", "description": "says it", "inputSchema": {"type": "object"}}]}
        if asked["method"] == "initialize":
            about = {"name": "echo", "version": "1"}
            version = asked["params"]["protocolVersion"]
            found = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": found}), flush=True)
"""
"""An MCP server with one tool; it writes down where it works."""


class Listener(OfflineModel):
    """The offline model, which keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[Mapping[str, Any]] = []

    async def answer(self, call: Call) -> AsyncIterator[ApiEvent]:
        self.bodies.append(call.body)
        return await super().answer(call)


def asks(number: int, **other: Any) -> Attempt:
    """A task that leaves what it can in its process: a variable, a directory, a file that was read."""
    steps = (
        {"bash": f"export HIDDEN={SECRETS[number]}; echo hidden=$HIDDEN; mkdir -p deep; cd deep; pwd"},
        {"bash": "echo then=$HIDDEN; pwd; env | grep -c SPEECH"},
        {"read": "notes.md"},
        {"say": f"I have heard a {SECRETS[number]}."},
    )
    named = {"run": "r", "task": f"t{number}", "number": 1, "agent": AGENT, "workspace": WorkspaceSpec()}
    prompt = f"Play the {SECRETS[number]}."
    return Attempt(prompt=prompt, rehearsal=steps, session_id=str(uuid4()), **{**named, **other})


def make_places(folder: Path, shared: bool) -> list[Workspace]:
    """A directory for all, or one for each, of which each has a note of its own."""
    names = ["all"] * len(SECRETS) if shared else SECRETS
    for name in names:
        folder.joinpath(name).mkdir(parents=True, exist_ok=True)
        folder.joinpath(name, "notes.md").write_text(f"# Notes of {name}\n", "utf-8")
        folder.joinpath(name, "CLAUDE.md").write_text(f"The house is called {name}.\n", "utf-8")
    return [Workspace(path=folder / name) for name in names]


async def play(places: Sequence[Workspace], **other: Any) -> tuple[list[Result], list[list[Any]], int]:
    """The results, what the API was sent for each, and how many processes there were."""
    model, found, sent = Listener(), list[Result](), list[list[Any]]()
    async with open_gateway(model) as upstream, open_claude(upstream, MemorySessions()) as claude:
        leases = set()
        for number, place in enumerate(places):
            before, events = len(model.bodies), Collected()
            found.append(await claude.run(asks(number, **other), place, events))
            sent.append(model.bodies[before:])
            (begun,) = (event for event in events if isinstance(event, SessionStarted))
            assert (begun.session_id, begun.directory) == (found[-1].session_id, str(place.path))
            leases |= {member.process.lease for member in claude._pool._all}
    return found, sent, len(leases)


def plain(body: Mapping[str, Any]) -> str:
    """What it says to the model, without the note of the beginning and what is different each time."""
    said = {name: body[name] for name in ("model", "system", "tools", "messages")}
    for message in said["messages"]:
        if isinstance(blocks := message["content"], list):
            kept = [block for block in blocks if not is_note(block)]
            message["content"] = [{name: block[name] for name in block if name != "cache_control"} for block in kept]
    said["messages"] = [message for message in said["messages"] if message["content"] and not is_note(message)]
    return ODD.sub("", json.dumps(said, sort_keys=True))


def prefix(body: Mapping[str, Any]) -> str:
    """What is cached together, before the messages: byte for byte, and with the marks of where it ends."""
    system = [block for block in body["system"] if not block["text"].startswith("x-anthropic-billing-header")]
    return json.dumps([body["model"], body["tools"], system])


def is_note(block: Mapping[str, Any]) -> bool:
    """Whether it is nothing but a part of the note."""
    text = block.get("text", block.get("content"))
    return isinstance(text, str) and bool(NOTE.search(text)) and not NOTE.sub("", text).strip()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("shared", [True, False], ids=["one directory", "own directories"])
async def test_nothing_of_one_task_reaches_another(tmp_path: Path, shared: bool) -> None:
    """Each of four tasks of one process sends what a process of its own would, but for the note of its beginning."""
    places = make_places(tmp_path / "w", shared)
    warm, sent, processes = await play(places)
    assert processes == 1
    assert all(result.ok for result in warm), [result.error for result in warm]
    for number, bodies in enumerate(sent):
        said = json.dumps(bodies)
        assert SECRETS[number] in said
        others = [secret for secret in SECRETS if secret != SECRETS[number] and secret in said]
        assert not others
        assert f"hidden={SECRETS[number]}" in said
        assert "then=\\\\n" in said or "then=\\n" in said, "what a command exports is gone with it"
    fresh, own, several = await play(places, fresh=True)
    assert several == 0, "none of them stays"
    assert len({prefix(bodies[0]) for bodies in [*sent, *own]}) == 1, "so the prompt cache is shared"
    assert [[plain(body) for body in bodies] for bodies in sent] == [[plain(body) for body in bodies] for bodies in own]
    assert len({result.session_id for result in warm}) == len(SECRETS)
    for one, other in zip(warm, fresh, strict=True):
        assert (one.turns, one.denials, one.text) == (other.turns, other.denials, other.text)
        assert one.usage.output_tokens == other.usage.output_tokens
        assert one.cost_usd == pytest.approx(other.cost_usd, rel=0.1), "the note is read, too"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_sessions_of_a_warm_process(tmp_path: Path) -> None:
    """Each task's session is there to be gone on with, whole; sessions that nothing was asked in are not kept."""
    places, kept = make_places(tmp_path / "w", shared=False), MemorySessions()
    async with open_gateway(model := Listener()) as upstream, open_claude(upstream, kept) as claude:
        first = [await claude.run(asks(number), place, Collected()) for number, place in enumerate(places)]
        again = []
        for place, result in zip(places, first, strict=True):
            go_on = Attempt(
                run="r", task="t", number=1, agent=AGENT, workspace=WorkspaceSpec(), prompt="What is 6 * 7?",
                session_id=str(uuid4()), resume=result.session_id,
            )  # fmt: skip
            again.append(await claude.run(go_on, place, Collected()))
            last = json.dumps(model.bodies[-1]["messages"])
            assert [secret in last for secret in SECRETS] == [secret in result.text for secret in SECRETS]
        projects = claude._den.config / "projects"
        with anyio.fail_after(30):
            while claude._pool._all:  # the last of them waits for another task
                await dismiss(claude._pool._idle[0].process)
        files = {path.stem for path in projects.glob("*/*.jsonl")}
    asked = {result.session_id for result in first}
    assert all(result.ok for result in again)
    assert {result.session_id for result in again} == asked
    assert files == asked
    folders = {project_key_for_directory(place.path) for place in places}
    assert {each["session_id"] for folder in folders for each in await kept.list_sessions(folder)} == asked


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_skills_and_commands_are_those_of_the_workspace(tmp_path: Path) -> None:
    """An agent is shown the skills of its own directory as they are now, and has the model that it was given."""
    places = make_places(tmp_path / "w", shared=False)
    for place, secret in zip(places, SECRETS, strict=True):
        place.path.joinpath(".claude/skills/play").mkdir(parents=True)
        describe(place, secret)
    model, agent = Listener(), Agent(tools=["Read", "Skill"])
    async with open_gateway(model) as upstream, open_claude(upstream, MemorySessions()) as claude:

        async def sent(place: Workspace, **other: Any) -> str:
            before = len(model.bodies)
            told = replace(asks(0, agent=agent), **{"rehearsal": ({"say": "Played."},), "prompt": "Play.", **other})
            assert (await claude.run(told, place, Collected())).ok
            return json.dumps(model.bodies[before:])

        for place, secret in zip(places[:2], SECRETS, strict=False):
            assert [each for each in SECRETS if f"tunes a {each}" in await sent(place)] == [secret]
        describe(places[1], SECRETS[2])
        assert [each for each in SECRETS if f"tunes a {each}" in await sent(places[1])] == [SECRETS[2]]
        await sent(places[1], prompt="/model haiku")
        assert '"model": "claude-haiku' not in await sent(places[1])


def describe(place: Workspace, secret: str) -> None:
    """Writes the skill of a workspace."""
    text = f"---\nname: play\ndescription: tunes a {secret} before it is played\n---\nTune it.\n"
    place.path.joinpath(".claude/skills/play/SKILL.md").write_text(text, "utf-8")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_spare_says_what_a_process_of_the_task_would(tmp_path: Path) -> None:
    """One that was started ahead is shown the workspace as it is now: memory, skills, commands, settings, servers."""
    (place, *_), model = make_places(tmp_path / "w", shared=False), Listener()
    server = {"command": sys.executable, "args": ["-c", ECHO, str(tmp_path / "places")]}
    agent = AGENT.model_copy(update={"tools": ["Read", "Bash", "Skill"], "mcp_servers": {"echo": server}})
    async with open_gateway(model) as upstream, open_claude(upstream, MemorySessions()) as claude:
        claude.expect(asks(0, agent=agent, fresh=True))
        with anyio.fail_after(60):
            while not (claude._pool._spares and claude._pool._spares[0].process.began.is_set()):
                await anyio.sleep(0.05)
        (spare,) = claude._pool._spares
        place.path.joinpath("CLAUDE.md").write_text("The house has another name.\n", "utf-8")
        place.path.joinpath(".claude/skills/play").mkdir(parents=True)
        describe(place, "harp")
        place.path.joinpath(".claude/settings.json").write_text('{"permissions": {"deny": ["Read(notes.md)"]}}')
        git(place.path)
        ahead = await claude.run(asks(0, agent=agent, fresh=True), place, Collected())
        assert (ahead.session_id, len(claude._pool._spares)) == (spare.process.session_id, 0)
        number = len(model.bodies)
        own = await claude.run(asks(0, agent=agent, fresh=True), place, Collected())
        first, second = model.bodies[:number], model.bodies[number:]
    assert [ahead.outcome, ahead.error, ahead.turns] == [own.outcome, own.error, own.turns]
    assert ahead.ok
    assert [words in json.dumps(first) for words in ("another name", "tunes a harp", "A first one")] == [True] * 3
    assert "mcp__echo__say" in json.dumps(first)
    assert [plain(body) for body in first] == [plain(body) for body in second]
    assert not NOTE.search(json.dumps(first)), "nothing was asked of it before"
    assert tmp_path.joinpath("places").read_text().split() == [str(place.path)] * 2, "a server starts in its place"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("fresh", [True, False], ids=["a spare", "one that is moved"])
async def test_a_place_that_nobody_trusts(tmp_path: Path, fresh: bool) -> None:
    """What its own settings allow is not allowed, whichever process the agent is given."""
    agent = Agent(tools=["Bash"], max_turns=4)
    asked = replace(asks(0, agent=agent, fresh=fresh), rehearsal=({"bash": "printenv HOME"}, {"say": "Done."}))
    places = make_places(tmp_path / "w", shared=False)[:2]
    for place in places:
        place.path.joinpath(".claude").mkdir()
        place.path.joinpath(".claude/settings.json").write_text('{"permissions": {"allow": ["Bash(*)"]}}', "utf-8")
    async with open_gateway(Listener()) as upstream, open_claude(upstream, MemorySessions()) as claude:
        if fresh:
            claude.expect(asked)
            with anyio.fail_after(60):
                while not (claude._pool._spares and claude._pool._spares[0].process.began.is_set()):
                    await anyio.sleep(0.05)
        for place in places:
            again = replace(asked, session_id=str(uuid4()))
            assert (await claude.run(again, place, Collected())).denials == ("Bash(printenv HOME)",)
        assert not claude._pool._spares


def git(place: Path) -> None:
    """Makes a repository of it."""
    named = ["-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-qm"]
    for words in (["init", "-q"], ["add", "."], [*named, "A first one"]):
        subprocess.run(["git", *words], cwd=place, check=True)
