"""What makes a question the same as an earlier one, so that its result need not be paid again."""

from math import inf
from pathlib import Path
from typing import Any

import anyio
import pytest
from running import Stage
from stopping import again, slow, stopped

from orchestrator import Agent, Outcome, Run, Task
from orchestrator.events import AttemptFinished, TaskFinished
from orchestrator.task import Attempt
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "change",
    [
        {"agent": Agent(model="opus")},
        {"agent": Agent(append_system="Be brief.")},
        {"agent": Agent(env={"A": "1"})},
        {"returns": {"type": "object", "properties": {"x": {"type": "integer"}}}},
        {"workspace": "directory"},
        {"checks": ["true"]},
    ],
)
async def test_what_determines_a_result(change: dict[str, Any]) -> None:
    """A changed option, schema, place or check is another question."""
    stage = Stage(slow("m[1]"))
    await stopped(stage, ["a", "b"])
    await again(stage, ["a", "b"], lambda _: Reply(value={"x": 1}), **change)
    assert sorted(attempt.task for attempt in stage.executor.attempts) == ["m[0]", "m[1]"]


@pytest.mark.parametrize(
    "change", [{"agent": Agent(max_turns=5, usd=2.0, idle_timeout=5)}, {"timeout": 50, "retries": 3}]
)
async def test_what_does_not(change: dict[str, Any]) -> None:
    """Wider bounds, patience and retries are no reason to pay again."""
    stage = Stage(slow("m[1]"))
    await stopped(stage, ["a", "b"])
    await again(stage, ["a", "b"], **change)
    assert [attempt.task for attempt in stage.executor.attempts] == ["m[1]"]


async def test_inputs(tmp_path: Path) -> None:
    """A result is taken again as long as the files and folders that `inputs` names are what they were."""
    (tmp_path / "src" / "deep").mkdir(parents=True)
    (tmp_path / "src" / "deep" / "a.py").write_text("1")
    stage = Stage(slow("m[1]"))
    await stopped(stage, ["a", "b"], inputs=[tmp_path / "src"])
    stage.use(slow("m[1]"))
    assert await stopped(stage, ["a", "b"], inputs=[tmp_path / "src"])
    assert [attempt.task for attempt in stage.executor.attempts] == ["m[1]"]
    (tmp_path / "src" / "deep" / "a.py").write_text("2")
    await again(stage, ["a", "b"], inputs=[tmp_path / "src"])
    assert sorted(attempt.task for attempt in stage.executor.attempts) == ["m[0]", "m[1]"]


async def test_an_input_that_is_not_there(tmp_path: Path) -> None:
    """A missing input fails its task, names the file, and asks nobody."""
    stage = Stage()
    async with stage.open() as run:
        result = await run.agent("x", inputs=[tmp_path / "gone.txt"])
    assert (result.outcome, stage.executor.attempts) == (Outcome.INVALID_TASK, [])
    assert "gone.txt" in (result.error or "")


async def test_the_commit_that_a_worktree_starts_from(tmp_path: Path) -> None:
    """A worktree's task is asked again when its base has moved, in another place; else it is not."""

    async def git(words: str) -> None:
        await anyio.run_process(["git", *words.split()], cwd=tmp_path)

    await git("init --quiet")
    await git("commit --quiet --allow-empty --message first")
    stage = Stage(slow("b"))

    async def work(run: Run, scope: anyio.CancelScope) -> None:
        a, _ = (run.submit(Task(name, key=name, workspace="worktree")) for name in ("a", "b"))
        await a.result()
        while "b" not in [attempt.task for attempt in stage.executor.attempts]:
            await anyio.sleep(0.01)  # git takes real time, of which the clock knows nothing
        scope.cancel()

    for message, asked in ((None, ["a", "b"]), (None, ["b"]), ("second", ["a", "b"])):
        if message:
            await git(f"commit --quiet --allow-empty --message {message}")
        stage.use(slow("b"))
        with anyio.CancelScope() as scope:
            async with stage.open(directory=tmp_path) as run:
                await work(run, scope)
        assert sorted(attempt.task for attempt in stage.executor.attempts) == asked
    assert {attempt.name for attempt in stage.executor.attempts} == {f"{run.id}/a.2", f"{run.id}/b.2"}
    assert all(attempt.workspace.base and len(attempt.workspace.base) == 40 for attempt in stage.executor.attempts)


async def test_what_an_upstream_task_gave() -> None:
    """A task that names its needs is asked again when one of them gave something else, and only then."""

    def script(answer: str) -> Any:
        return lambda attempt: Reply(
            answer if attempt.task == "first" else "x", seconds=1e6 if attempt.task == "last" else 1
        )

    async def work(run: Run) -> None:
        first = run.submit(Task("first", key="first"))
        run.submit(Task("second", key="second", needs=[first]))
        run.submit(Task("last", key="last"))

    stage = Stage()
    asked = []
    for answer, rerun in (("1", ()), ("1", ["first"]), ("2", ["first"])):
        stage.use(script(answer))
        with anyio.move_on_after(100):
            async with stage.open(rerun=rerun) as run:
                await work(run)
        asked.append([attempt.task for attempt in stage.executor.attempts])
    assert [sorted(each) for each in asked] == [
        ["first", "last", "second"],
        ["first", "last"],
        ["first", "last", "second"],
    ]


async def test_what_a_session_held_is_part_of_the_question() -> None:
    """A step of a conversation is taken again only if what the conversation had come to is what it was."""
    stage = Stage(slow("c"))

    async def talk(words: str) -> None:
        with anyio.move_on_after(100):
            async with stage.open() as run:
                first = await run.agent("hello", key="a")
                second = await run.resume(first, words, key="b")
                await run.resume(second, "and on", key="c")

    await talk("one")
    for words, asked in (("one", ["c"]), ("two", ["b", "c"])):
        stage.use(slow("c"))
        await talk(words)
        assert [attempt.task for attempt in stage.executor.attempts] == asked


async def test_inputs_that_the_agent_itself_changed(tmp_path: Path) -> None:
    """What an agent made of its inputs is no reason to ask it again; what somebody else made of them is."""
    file = tmp_path / "notes.md"

    def script(attempt: Attempt) -> Reply:
        if attempt.task == "m[0]":
            file.write_text(f"{file.read_text()} and {attempt.prompt}")
        return Reply(seconds=inf if attempt.task == "m[1]" else 0)

    file.write_text("1")
    stage = Stage(script)
    await stopped(stage, ["a", "b"], inputs=[file])
    for text, asked in (("1 and a", ["m[1]"]), ("2", ["m[0]", "m[1]"])):
        file.write_text(text)
        stage.use(script)
        await stopped(stage, ["a", "b"], inputs=[file])
        assert sorted(attempt.task for attempt in stage.executor.attempts) == asked


async def test_a_rerun_beside_changed_inputs(tmp_path: Path) -> None:
    """The result of a task that was done again is the one that later comes back, whatever its inputs once became."""
    file = tmp_path / "notes.md"
    file.write_text("1")

    def script(attempt: Attempt) -> Reply:
        if attempt.task == "m[0]":
            file.write_text("2")
        return Reply(f"made {len(stage.events)}", seconds=inf if attempt.task == "m[1]" else 0)

    stage = Stage(script)
    texts = []
    for rerun in ((), (), ("m[0]",), (), ()):
        stage.use(script)
        with anyio.move_on_after(100):
            async with stage.open(rerun=rerun) as run:
                handles = [run.submit(Task(f"do {n}", key=f"m[{n}]", inputs=[file])) for n in (0, 1)]
                texts.append((await handles[0].result()).text)
                await handles[1].result()
    first, again, rerun_text, *later = texts
    assert first == again != rerun_text
    assert later == [rerun_text, rerun_text]


async def test_a_stop_does_not_undo_what_is_done(tmp_path: Path) -> None:
    """A task that is cancelled while it is looked what became of its inputs keeps its result."""
    file = tmp_path / "notes.md"
    file.write_text("1")
    stage = Stage()

    class Cancels:
        async def show(self, feed: Any) -> None:
            async for batch in feed:
                if any(isinstance(record.event, AttemptFinished) for record in batch):
                    handle.cancel()

    async with stage.open(views=[Cancels()]) as run:
        handle = run.submit(Task("a", key="a", inputs=[file]))
        result = await handle.result()
    assert result.ok
    assert [event.status for event in stage.of(TaskFinished)] == ["done"]


@pytest.mark.parametrize(
    ("name", "counts"),
    [("MAX_THINKING_TOKENS", True), ("KEYBOARD", True), ("ANTHROPIC_API_KEY", False), ("MY_AUTH_TOKEN", False)],
)
async def test_credentials_are_no_part_of_the_question(name: str, counts: bool) -> None:
    """A renewed credential changes no result; a variable that only sounds like one may."""
    stage = Stage(slow("m[1]"))
    agent = Agent(env={name: "1"})
    await stopped(stage, ["a", "b"], agent=agent)
    agent.env[name] = "2"
    await again(stage, ["a", "b"], agent=agent)
    assert ("m[0]" in [attempt.task for attempt in stage.executor.attempts]) is counts
