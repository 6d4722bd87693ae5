"""Transcripts: which one is gone on with, and where it is put."""

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from orchestrator.agents.opening import find_opening
from orchestrator.agents.transcripts import Transcript, is_session_id, mirror, provide, read, write
from orchestrator.journal.memory import MemorySessions
from orchestrator.plan.model import Agent
from orchestrator.processes.turns import borrow
from orchestrator.task import Attempt
from workspaces import WorkspaceSpec

pytestmark = pytest.mark.anyio

SESSION = "5a0c7f9e-0000-4000-8000-000000000001"
OLD = {"project_key": "-old-place", "session_id": SESSION}


def entries(number: int, kind: str = "user") -> list[dict[str, Any]]:
    return [{"type": kind if not each else "assistant", "uuid": f"u{each}"} for each in range(number)]


def cost(usd: float) -> dict[str, Any]:
    return {"type": "cost-state", "sessionId": SESSION, "totalCostUSD": usd}


@pytest.fixture
def projects(tmp_path: Path) -> Path:
    return tmp_path / "projects"


@pytest.fixture
def sessions() -> MemorySessions:
    return MemorySessions()


def on_disk(projects: Path, folder: str, lines: list[dict[str, Any]], tail: str = "") -> Path:
    path = projects / folder / f"{SESSION}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + tail, "utf-8")
    return path


async def test_one_that_is_gone(projects: Path, sessions: MemorySessions, tmp_path: Path) -> None:
    """Without a transcript, without a prompt in it, or with what is no session's id, there is nothing to go on with."""
    assert await provide(SESSION, tmp_path, projects, sessions) is None
    assert await provide(SESSION, tmp_path, projects, None) is None
    assert await provide("../x", tmp_path, projects, sessions) is None
    on_disk(projects, "-a", entries(3, "system"))
    await sessions.append(OLD, entries(4, "system"))
    assert await provide(SESSION, tmp_path, projects, sessions) is None


async def test_one_on_the_disk(projects: Path, tmp_path: Path) -> None:
    """It is found whatever directory it was in, half a line at its end does no harm, and it stays as it is."""
    path = on_disk(projects, "-elsewhere", [*entries(2), cost(0.25), cost(0.5)], '{"type": "ass')
    before = path.read_bytes()
    found = await provide(SESSION, tmp_path, projects, None)
    assert found is not None
    assert (found.length, found.cost_usd) == (2, 0.5)
    assert path.read_bytes() == before


async def test_one_in_the_mirror(projects: Path, sessions: MemorySessions, tmp_path: Path) -> None:
    """It is put where it was, with its subagents, for the owner alone, and nothing half-written is left."""
    agent = OLD | {"subpath": "subagents/agent-1"}
    await sessions.append(OLD, [*entries(2), cost(1.5)])
    await sessions.append(agent, [{"type": "agent_metadata", "agentType": "x"}, {"type": "user", "uuid": "s"}])
    found = await provide(SESSION, tmp_path, projects, sessions)
    assert found is not None
    assert found.cost_usd == 1.5
    main = projects / "-old-place" / f"{SESSION}.jsonl"
    assert read(main).entries == [*entries(2), cost(1.5)]
    assert stat.S_IMODE(main.stat().st_mode) == 0o600
    folder = projects / "-old-place" / SESSION / "subagents"
    assert read(folder / "agent-1.jsonl").entries == [{"type": "user", "uuid": "s"}]
    assert json.loads(folder.joinpath("agent-1.meta.json").read_text("utf-8")) == {"agentType": "x"}
    assert {path.name for path in main.parent.iterdir()} == {main.name, SESSION}


@pytest.mark.parametrize(("here", "kept", "length"), [(2, 5, 5), (5, 2, 5), (3, 3, 3)])
async def test_the_longer_counts(
    projects: Path, sessions: MemorySessions, tmp_path: Path, here: int, kept: int, length: int
) -> None:
    """Of the one on the disk and the one in the mirror the longer is gone on with; then both places have it."""
    path = on_disk(projects, "-new-place", entries(here))
    await sessions.append(OLD, entries(kept))
    found = await provide(SESSION, tmp_path, projects, sessions)
    assert found is not None
    assert found.length == read(path).length == length
    key = await sessions.find_session(SESSION)
    assert key == {"project_key": "-new-place", "session_id": SESSION}  # what the CLI tells from now on goes there
    assert Transcript(await sessions.load(key) or []).length == length


async def test_one_that_somebody_drives(projects: Path, sessions: MemorySessions, tmp_path: Path) -> None:
    """What a CLI is writing to is not replaced; what is only in the mirror is put on the disk all the same."""
    await sessions.append(OLD, entries(5))
    path = on_disk(projects, "-new-place", entries(2))
    found = await provide(SESSION, tmp_path, projects, sessions, free=False)
    assert (found and found.length, read(path).length) == (2, 2)
    path.unlink()
    found = await provide(SESSION, tmp_path, projects, sessions, free=False)
    assert (found and found.length) == 5


def test_borrowing_a_lock(tmp_path: Path) -> None:
    """One borrows at a time; without a lock nothing is known of others."""
    path = tmp_path / "a.lock"
    with borrow(path) as one, borrow(path) as two, borrow(tmp_path / "b.lock") as other, borrow(None) as nothing:
        assert (one, two, other, nothing) == (True, False, True, True)
    with borrow(path) as again:
        assert again


async def test_a_name_from_elsewhere_leads_nowhere(projects: Path, sessions: MemorySessions, tmp_path: Path) -> None:
    """Names that come from the mirror do not lead out of the folder of transcripts."""
    await sessions.append({"project_key": "../../x", "session_id": SESSION}, entries(1))
    await sessions.append(
        {"project_key": "../../x", "session_id": SESSION, "subpath": "../../../evil"}, [{"type": "user"}]
    )
    assert await provide(SESSION, tmp_path, projects, sessions) is not None
    assert [path.parent.parent for path in tmp_path.rglob("*.jsonl")] == [projects]


async def test_the_mirror_takes_and_gives_nothing(sessions: MemorySessions) -> None:
    """What the SDK is given writes to the journal's sessions; had it anything to give, the SDK would use it."""
    made = mirror(sessions)
    key: Any = OLD
    lines: Any = entries(2)
    await made.append(key, lines)
    assert await made.load(key) is None
    assert await sessions.load(OLD) == entries(2)


def test_session_ids() -> None:
    """Only a UUID is a session's id."""
    assert is_session_id(str(uuid4()))
    assert not is_session_id(uuid4().hex)
    assert not is_session_id("*")
    assert not is_session_id("")


def test_writing_replaces_at_once(tmp_path: Path) -> None:
    """A transcript that is there is replaced as a whole, and a failure leaves it and nothing else."""
    path = tmp_path / "a.jsonl"
    write(path, entries(2))
    with pytest.raises(TypeError):
        write(path, [{"type": object()}])
    assert read(path).entries == entries(2)
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]


@pytest.mark.parametrize(
    ("resume", "fork", "otherwise", "there", "expected"),
    [
        (None, False, None, False, ("fresh", "new", "go", None)),
        (SESSION, False, None, True, ("continued", SESSION, "go", SESSION)),
        (SESSION, True, None, True, ("forked", "new", "go", SESSION)),
        (SESSION, False, "instead", False, ("fresh", "new", "instead", None)),
        (SESSION, True, "instead", False, ("fresh", "new", "instead", None)),
        (SESSION, False, None, False, None),
    ],
)
async def test_how_a_session_begins(
    projects: Path, tmp_path: Path, resume: str | None, fork: bool, otherwise: str | None, there: bool, expected: Any
) -> None:
    """As a new one, as the same, or as a copy; as a new one too when that is gone and there is a prompt for it."""
    if there:
        on_disk(projects, "-a", [*entries(2), cost(0.5)])
    attempt = Attempt(
        run="r",
        task="t",
        number=1,
        prompt="go",
        agent=Agent(),
        workspace=WorkspaceSpec(),
        session_id="new",
        resume=resume,
        fork=fork,
        otherwise=otherwise,
    )
    opening = await find_opening(attempt, tmp_path, projects, None)
    found = opening and (opening.how, opening.session_id, opening.prompt, opening.resume)
    assert found == expected
    assert opening is None or opening.cost_usd == (0.5 if there else 0.0)


def user(content: Any, **other: Any) -> dict[str, Any]:
    return {"type": "user", "uuid": str(uuid4()), "message": {"role": "user", "content": content}} | other


def block(text: str, kind: str = "text", field: str = "text") -> dict[str, Any]:
    return {"type": kind, field: text}


TASK = "Write the report.\n\nIn  full."
GO_ON = "This conversation was interrupted."
HELD: dict[str, list[dict[str, Any]]] = {
    "a text": [user(TASK)],
    "blocks": [user([block("<local-command-stdout>"), block(TASK)])],
    "two blocks": [user([block("Write the report."), block("In full.")])],
    "among other words": [user("Earlier."), user(f"{GO_ON} The task was:\n\n{TASK}")],
    "trimmed": [user("Write the report.\r\n\r\nIn full.")],
}
LOST: dict[str, list[dict[str, Any]]] = {
    "another": [user("Write."), user([block("Write the letter.")])],
    "no text": [user(None), user([None, block("x", "image", "source"), {"type": "text"}]), {"type": "user"}],
    "a tool's result": [user("x"), user([block(TASK, "tool_result", "content")])],
    "the agent's words": [user("x"), {"type": "assistant", "uuid": "a", "message": {"content": [block(TASK)]}}],
    "a subagent's prompt": [user("x"), user(TASK, isSidechain=True)],
    "only in the queue": [user("x"), {"type": "queue-operation", "operation": "enqueue", "content": TASK}],
}


def going_on(**other: Any) -> Attempt:
    attempt = Attempt(
        run="r",
        task="t",
        number=2,
        prompt=GO_ON,
        agent=Agent(),
        workspace=WorkspaceSpec(),
        session_id="new",
        resume=SESSION,
        asked=TASK,
    )
    return replace(attempt, **other)


@pytest.mark.parametrize("fork", [False, True])
@pytest.mark.parametrize(("lines", "prompt"), [(HELD, GO_ON), (LOST, TASK)])
async def test_a_task_that_the_session_does_not_hold(
    projects: Path, tmp_path: Path, lines: dict[str, list[dict[str, Any]]], prompt: str, fork: bool
) -> None:
    """An agent that is to go on is asked anew where its session was cut off before the prompt was written."""
    for case, told in lines.items():
        on_disk(projects, "-a", told)
        opening = await find_opening(going_on(fork=fork), tmp_path, projects, None)
        assert opening, case
        assert (opening.prompt, opening.resume) == (prompt, SESSION), case


async def test_a_task_that_only_the_mirror_holds(projects: Path, sessions: MemorySessions, tmp_path: Path) -> None:
    """What counts is the transcript that is gone on with, wherever it is from."""
    on_disk(projects, "-a", [user("x")])
    await sessions.append(OLD, [user("x"), user(TASK)])
    opening = await find_opening(going_on(), tmp_path, projects, sessions)
    assert opening
    assert opening.prompt == GO_ON


async def test_a_task_that_nobody_asks_for(projects: Path, tmp_path: Path) -> None:
    """Without `asked` the attempt's prompt is what it says; a new session gets the prompt that is meant for it."""
    on_disk(projects, "-a", [user("x")])
    opening = await find_opening(going_on(asked=None), tmp_path, projects, None)
    assert opening
    assert opening.prompt == GO_ON
    opening = await find_opening(going_on(otherwise="Anew."), tmp_path, tmp_path, None)
    assert opening
    assert opening.prompt == "Anew."


@pytest.mark.parametrize(("command", "held"), [("/review", True), ("/other", False), ("/re", False)])
def test_a_task_that_is_a_command(command: str, held: bool) -> None:
    """The CLI writes a command down in its own way: by its name it is found all the same."""
    told = "<command-message>x</command-message>\n<command-name>/review</command-name>\n<command-args>a</command-args>"
    assert Transcript([user(told)]).holds(f"{command} a b") is held
