"""Questions to the agents of other tasks: copies of their sessions answer, and nobody waits in a circle."""

import json
from typing import Any

import anyio
import pytest
from colleagues import BOTH, SPAWNS, TALKS, add, stage, told
from running import Stage

from orchestrator import Agent, Outcome, Run, Status, UsageError
from orchestrator.engine.steps import Expand, Node
from orchestrator.prompts import question_of
from orchestrator.protocols import CallTool
from orchestrator.task import Attempt
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio


async def ask(call: CallTool, to: str, question: str = "why?") -> str:
    try:
        found = await call("ask", {"to": to, "question": question})
    except UsageError as error:
        return f"refused: {error}"
    return f"{found['from']}: {found['answer']}"


@pytest.mark.parametrize("width", [1, 3])
async def test_the_author_answers(width: int) -> None:
    """A reviewer's question goes to a copy of the author's session, as a task under the reviewer's name."""
    story = stage(width, reviewer=lambda call: ask(call, "author"), reviewer__ask_1=Reply())
    story.use(lambda attempt: answer(attempt, {"reviewer": "author"}))
    async with story.open() as run:
        add(run, "author", Agent(model="m", talk=True))
        add(run, "reviewer", needs=["author"])
    assert told(story, "reviewer") == "author: because"
    author, _, asked = story.executor.attempts
    assert (asked.task, asked.resume, asked.fork) == ("reviewer.ask-1", author.session_id, True)
    assert asked.agent == Agent(model="m", tools=("Glob", "Grep", "Read"), permission_mode="dontAsk")
    assert "by the agent of another task, reviewer." in asked.prompt
    assert question_of(asked.prompt) == "why?"
    assert story.state.tasks["reviewer.ask-1"].parent == "reviewer"


def answer(attempt: Attempt, asks: dict[str, str], **more: Reply) -> Reply:
    """Each of `asks` asks somebody; copies answer `because`."""
    if attempt.task in more:
        return more[attempt.task]
    if ".ask-" in attempt.task:
        return Reply("because")
    to = asks.get(attempt.task)
    return Reply("done", act=(lambda call: ask(call, to)) if to else None)


@pytest.mark.parametrize("width", [1, 2])
async def test_one_that_has_not_ended_is_waited_for(width: int) -> None:
    """A question to an agent at work, or to one that waits for a place, is put when its task has ended."""
    story = Stage(lambda attempt: answer(attempt, {"a": "b"}, b=Reply(seconds=100)), concurrent=width)
    async with story.open() as run:
        add(run, "a")
        add(run, "b")
    assert told(story, "a") == "b: because"
    assert story.asked[-1] == "a.ask-1"


async def test_circles() -> None:
    """Two that ask each other do not wait for ever: the second is refused, told why, and the first gets its answer."""
    story = Stage(lambda attempt: answer(attempt, {"a": "b", "b": "a"}))
    async with story.open() as run:
        add(run, "a")
        add(run, "b")
    said = sorted([told(story, "a"), told(story, "b")])
    assert said[0] in ("a: because", "b: because")
    assert "has not ended, and cannot before you do" in said[1]
    assert "waits for" in said[1]


async def test_a_circle_through_needs() -> None:
    """A question to a task that needs the asker's is refused, with the whole chain."""
    story = Stage(lambda attempt: answer(attempt, {"a": "c"}))
    async with story.open() as run:
        add(run, "a")
        add(run, "b", needs=["a"])
        add(run, "c", needs=["b"])
    assert "c has not ended, and cannot before you do: c needs b, b needs a;" in told(story, "a")
    assert set(story.statuses.values()) == {Status.DONE}


async def test_a_circle_through_waiting() -> None:
    """A worker cannot ask the planner that waits for it; nor can a planner wait for a worker that waits for its end."""

    async def waits(call: CallTool) -> str:
        await call("spawn_task", {"name": "w", "prompt": "w"})
        return json.dumps(await call("await_tasks", {}))

    async def sleeps(call: CallTool) -> str:
        await call("spawn_task", {"name": "w", "prompt": "w"})
        await anyio.sleep(100)
        try:
            return json.dumps(await call("await_tasks", {}))
        except UsageError as error:
            return str(error)

    acts: dict[str, Any] = {"one": waits, "two": sleeps}

    def script(attempt: Attempt) -> Reply:
        if ".ask-" in attempt.task:
            return Reply("because")
        asks = attempt.task.removesuffix(".w")
        return Reply(act=acts.get(attempt.task) or (lambda call: ask(call, asks)))

    story = Stage(script)
    async with story.open() as run:
        add(run, "one", BOTH)
        add(run, "two", BOTH)
    assert "one waits for one.w" in told(story, "one.w")
    assert told(story, "two").startswith("you would wait for yourself: two.w waits for two")
    assert told(story, "two.w") == "two: because"


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("authr", "there is no such task (did you mean author?); you can ask bad, never, author"),
        ("a", "that is you"),
        ("many", "that is a loop of several tasks, each with an agent of its own: many[0], many[1]"),
        ("thread", "that is a task without an agent (a call)"),
        ("never", "never has no session that could answer: its task ended without one (skipped"),
    ],
)
async def test_who_cannot_be_asked(to: str, why: str) -> None:
    """A question to nobody, to oneself, to a loop, to a function or to one that never began: each is told apart."""
    story = Stage(lambda attempt: answer(attempt, {"a": to}, bad=Reply(outcome=Outcome.REFUSED)))
    async with story.open() as run:
        add(run, "bad")
        add(run, "never", needs=["bad"])
        add(run, "author")
        await run.call(lambda: 1, key="thread")
        parts = tuple(
            Node(id=f"many[{n}]", title="", kind="call", prepare=lambda: Expand(()), parent="many") for n in range(2)
        )
        run._core.add([Node(id="many", title="", kind="loop", prepare=lambda: Expand(parts))])
        await anyio.sleep(10)
        add(run, "a")
    assert why in told(story, "a")


async def test_an_answer_that_fails() -> None:
    """When the copy fails, the asker is told how, and goes on."""
    story = Stage(lambda attempt: answer(attempt, {"a": "b"}, **{"a.ask-1": Reply("no", outcome=Outcome.REFUSED)}))
    async with story.open() as run:
        add(run, "b")
        add(run, "a", needs=["b"])
    assert told(story, "a") == "refused: b gave no answer: refused: no"


async def test_questions_are_not_paid_twice() -> None:
    """An asker that was cut off, and asks the same again, gets the answer that there is; another question is new."""
    questions = ["one", "two", "one"]

    def script(attempt: Attempt) -> Reply:
        async def asks(call: CallTool) -> str:
            return " ".join([await ask(call, "author", question) for question in questions])

        if attempt.task.startswith("a.ask-"):
            return Reply(f"{attempt.task}!")
        if attempt.task == "a":
            return Reply(act=asks)
        return Reply(seconds=1e6 if attempt.task == "late" and attempt.number == 1 else 1)

    async def tasks(run: Run) -> None:
        add(run, "author")
        add(run, "a", needs=["author"])

    story = Stage(script)
    async with story.open() as run:
        await tasks(run)
    assert told(story, "a") == "author: a.ask-1! author: a.ask-2! author: a.ask-3!"

    # As if the run had been killed before the asker's end was written.
    ends = [index for index, record in enumerate(story.journal.records) if getattr(record.event, "task", "") == "a"]
    del story.journal.records[ends[-2] :]
    story.use(script)
    async with story.open(run=run.id) as again:
        await tasks(again)
    assert told(story, "a") == "author: a.ask-1! author: a.ask-2! author: a.ask-3!"
    assert [attempt.task for attempt in story.executor.attempts] == ["a"]


async def test_storm_of_questions() -> None:
    """Questions count among the tasks that the run's agents may add."""

    async def a(call: CallTool) -> str:
        return " ".join([await ask(call, "b", str(number)) for number in range(3)])

    story = stage(4, a=a)
    story.limits = story.limits.model_copy(update={"spawned": 2})
    async with story.open() as run:
        add(run, "b", SPAWNS)
        add(run, "a", TALKS, needs=["b"])
    assert told(story, "a").count("b: said") == 2
    assert "the agents of this run have added 2 tasks" in told(story, "a")


async def test_what_waited_for_one_that_asked_is_not_paid_twice() -> None:
    """When the run is gone on with, the answers that a task got are not needed to know what comes after it."""
    script = lambda attempt: answer(attempt, {"asker": "author"}, last=last)  # noqa: E731 - told twice
    last = Reply(seconds=1e6)
    story = Stage(script)

    async def tasks(run: Run) -> None:
        add(run, "author")
        add(run, "asker", needs=["author"])
        add(run, "after", needs=["asker"])
        add(run, "last", needs=["after"])

    with anyio.move_on_after(100):
        async with story.open() as run:
            await tasks(run)
    assert story.statuses["after"] == Status.DONE
    last = Reply()
    story.use(script)
    async with story.open(run=run.id) as run:
        await tasks(run)
    assert [attempt.task for attempt in story.executor.attempts] == ["last"]
