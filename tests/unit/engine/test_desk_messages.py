"""Messages and the blackboard: who gets what, when, and what is told to whom it cannot be done for."""

import json
from typing import Any

import anyio
import pytest
from colleagues import TALKS, add, stage, told
from running import Stage

from orchestrator import Agent, Limits, Outcome, Run, Task, UsageError
from orchestrator.events import MessageSent, MessagesRead, Published, TaskWaits
from orchestrator.plan.model import Spawn
from orchestrator.protocols import CallTool
from orchestrator.task import Attempt
from orchestrator.testing import Reply

pytestmark = pytest.mark.anyio


async def read(call: CallTool, wait_s: float = 0) -> str:
    found = await call("read_messages", {"wait_s": wait_s})
    return ", ".join(f"{each['number']} {each['from']}: {each['text']}" for each in found["messages"])


async def refused(call: CallTool, tool: str, given: Any) -> str:
    with pytest.raises(UsageError) as raised:
        await call(tool, given)
    return str(raised.value)


async def test_two_agents_write_to_each_other() -> None:
    """A message reaches the one that it is for, with its sender and a number; the answer is waited for."""

    async def a(call: CallTool) -> str:
        assert await call("send_message", {"to": "b", "text": "hi"}) == {"sent": [{"to": "b", "number": 1}]}
        return await read(call, 60)

    async def b(call: CallTool) -> str:
        first = await read(call, 60)
        await call("send_message", {"to": "a", "text": f"got {first}"})
        return first

    story = stage(2, a=a, b=b)
    async with story.open() as run:
        add(run, "a")
        add(run, "b")
    assert (told(story, "a"), told(story, "b")) == ("2 b: got 1 a: hi", "1 a: hi")
    assert [(event.task, event.to, event.number, event.text) for event in story.of(MessageSent)] == [
        ("a", "b", 1, "hi"),
        ("b", "a", 2, "got 1 a: hi"),
    ]


@pytest.mark.parametrize("width", [1, 3])
async def test_to_all_others(width: int) -> None:
    """`*` reaches all that may talk and have not ended, those included that wait for a place, and nobody else."""

    async def boss(call: CallTool) -> str:
        sent = await call("send_message", {"to": "*", "text": "stop"})
        return " ".join(each["to"] for each in sent["sent"])

    story = stage(width, boss=boss, x=read, y=read)
    async with story.open() as run:
        add(run, "gone")
        add(run, "silent", Agent())
        await anyio.sleep(10)
        for name in ("boss", "x", "y"):
            add(run, name)
    assert told(story, "boss") == "x y"
    assert {told(story, name) for name in "xy"} <= {"1 boss: stop", "2 boss: stop", ""}
    assert len(story.of(MessageSent)) == 2


async def test_a_message_to_nobody() -> None:
    """Whoever writes to nobody, to itself, or to one that cannot read, is told who is there; nothing is journaled."""
    said: dict[str, str] = {}

    async def a(call: CallTool) -> None:
        for to in ("reviewr", "a", "gone", "silent"):
            said[to] = await refused(call, "send_message", {"to": to, "text": "x"})

    story = stage(4, a=a, reviewer=Reply(seconds=100), silent=Reply(seconds=100))
    async with story.open() as run:
        add(run, "gone")
        await anyio.sleep(10)
        add(run, "reviewer")
        add(run, "silent", Agent())
        add(run, "a")
    assert said["reviewr"] == (
        "to: found 'reviewr': there is no such task (did you mean reviewer?); you can write to reviewer"
    )
    assert "that is you" in said["a"]
    assert "has ended" in said["gone"]
    assert "no tool to read" in said["silent"]
    assert story.of(MessageSent) == []


async def test_nobody_is_there() -> None:
    """A message to all others, when there are none, is an error."""

    async def a(call: CallTool) -> str:
        return await refused(call, "send_message", {"to": "*", "text": "x"})

    story = stage(a=a)
    async with story.open() as run:
        add(run, "a")
    assert "nobody else is there" in told(story, "a")


@pytest.mark.parametrize(
    ("tool", "given", "why"),
    [
        ("send_message", {"to": "b"}, "'text' is a required property"),
        ("read_messages", {"wait_s": 601}, "wait_s: 601 is greater than the maximum of 600"),
        ("publish", {"key": "k", "value": 1, "more": 2}, "Additional properties are not allowed"),
        ("publish", {"key": "k", "value": "x" * 1_000_001}, "expected 1000000 at most"),
        ("spawn_task", {"name": "x", "prompt": "x"}, "found 'spawn_task' as a tool of the run, expected one of send_"),
    ],
)
async def test_bad_input(tool: str, given: Any, why: str) -> None:
    """What a tool does not take, and a tool that the agent does not have, is refused with what was found."""

    async def a(call: CallTool) -> str:
        return await refused(call, tool, given)

    story = stage(a=a)
    async with story.open() as run:
        add(run, "a")
    assert why in told(story, "a")


async def test_an_agent_without_tools() -> None:
    """An agent that may not talk has no tool."""

    async def a(call: CallTool) -> str:
        return await refused(call, "publish", {"key": "k", "value": 1})

    story = stage(a=a)
    async with story.open() as run:
        add(run, "a", Agent())
    assert told(story, "a") == "found 'publish' as a tool of the run, this agent has none (talk, spawn)"


async def test_waiting_lends_the_place() -> None:
    """With one place, an agent that waits for a message lets the one that sends it work."""

    async def b(call: CallTool) -> None:
        await call("send_message", {"to": "a", "text": "now"})

    story = stage(1, a=lambda call: read(call, 600), b=b)
    async with story.open() as run:
        add(run, "a")
        add(run, "b")
    assert told(story, "a") == "1 b: now"
    assert story.executor.most_at_once == 2, "the scripted agent counts those that wait"
    assert [event.waits_for for event in story.of(TaskWaits)] == ["messages", None]


async def test_waiting_in_vain() -> None:
    """An agent waits no longer than it said, which is no part of its timeout."""
    took: list[float] = []

    async def a(call: CallTool) -> str:
        begun = anyio.current_time()
        said = await read(call, 500)
        took.append(anyio.current_time() - begun)
        return f"<{said}>"

    story = stage(a=a)
    async with story.open() as run:
        add(run, "a", timeout=5)
    assert (told(story, "a"), took) == ("<>", [pytest.approx(500, abs=1)])


async def messages_of(story: Stage, agent: Agent = TALKS) -> None:
    async with story.open() as run:
        add(run, "a", agent, retries=1)
        add(run, "b")


@pytest.mark.parametrize(("outcome", "again"), [(Outcome.STALLED, ""), (Outcome.EMPTY, "1 b: x")])
async def test_what_a_session_knows_is_not_told_twice(outcome: Outcome, again: str) -> None:
    """An attempt that goes on in its session gets new messages alone; one that starts anew gets all of them."""
    heard: list[str] = []

    async def a(call: CallTool) -> None:
        heard.append(await read(call, 60 if not heard else 0))
        await read(call)  # by calling again it shows that it has the first

    async def b(call: CallTool) -> None:
        await call("send_message", {"to": "a", "text": "x"})

    def script(attempt: Attempt) -> Reply:
        if attempt.task == "b":
            return Reply(act=b)
        return Reply(outcome=outcome if attempt.number == 1 else Outcome.OK, act=a)

    story = Stage(script)
    await messages_of(story)
    assert heard == ["1 b: x", again]
    assert len({event.session_id for event in story.of(MessagesRead)}) == (2 if again else 1)


async def test_a_message_that_may_be_lost_is_told_again() -> None:
    """What an agent was given just before its process died is given again: its transcript may not have it."""
    heard: list[str] = []

    async def a(call: CallTool) -> None:
        heard.append(await read(call, 60 if not heard else 0))

    async def b(call: CallTool) -> None:
        await call("send_message", {"to": "a", "text": "x"})

    def script(attempt: Attempt) -> Reply:
        outcome = Outcome.KILLED if attempt.number == 1 and attempt.task == "a" else Outcome.OK
        return Reply(outcome=outcome, act=a if attempt.task == "a" else b)

    await messages_of(Stage(script))
    assert heard == ["1 b: x", "1 b: x"]


async def test_nothing_is_sent_twice() -> None:
    """An attempt that does once more what an earlier one did sends nothing again; the same words twice are two."""

    async def a(call: CallTool) -> None:
        for _ in range(2):
            await call("send_message", {"to": "b", "text": "x"})

    def script(attempt: Attempt) -> Reply:
        if attempt.task == "b":
            return Reply(seconds=1e3)
        return Reply(outcome=Outcome.EMPTY if attempt.number == 1 else Outcome.OK, act=a)

    story = Stage(script)
    await messages_of(story)
    assert [event.number for event in story.of(MessageSent)] == [1, 2]


async def test_the_blackboard() -> None:
    """The last value under a key wins, and it is told who published it; one can wait for a key."""

    async def a(call: CallTool) -> str:
        found = await call("lookup", {"key": "port", "wait_s": 100})
        return json.dumps([found, await call("lookup", {})])

    async def b(call: CallTool) -> str:
        await call("publish", {"key": "host", "value": {"name": "h"}})
        await call("publish", {"key": "host", "value": {"name": "h"}})
        await call("publish", {"key": "host", "value": [1]})
        await call("publish", {"key": "port", "value": 80})
        return await refused(call, "lookup", {"key": "prt"})

    story = stage(2, a=a, b=b)
    async with story.open() as run:
        add(run, "a")
        add(run, "b")
    found, keys = json.loads(told(story, "a"))
    assert found == {"key": "port", "value": 80, "by": "b", "number": 3}
    assert keys["keys"] == [{"key": "host", "by": "b", "number": 2}, {"key": "port", "by": "b", "number": 3}]
    assert told(story, "b") == (
        "key: found 'prt' (did you mean port?), and nobody has published that: there are host, port"
    )
    assert len(story.of(Published)) == 3


async def test_messages_and_the_blackboard_outlast_the_run() -> None:
    """When the run is gone on with, what was sent and published is there, and numbers go on."""

    async def a(call: CallTool) -> None:
        await call("publish", {"key": "k", "value": 1})
        await call("send_message", {"to": "b", "text": "x"})

    async def tasks(run: Run) -> None:
        for name in "abc":
            add(run, name, retries=1)

    story = stage(a=a, b=Reply(seconds=1e6), c=Reply(seconds=1e6))
    with anyio.move_on_after(100):
        async with story.open() as run:
            await tasks(run)

    async def b(call: CallTool) -> str:
        await anyio.sleep(10)
        return json.dumps([await read(call), await call("lookup", {"key": "k"})])

    async def c(call: CallTool) -> str:
        return json.dumps(await call("send_message", {"to": "b", "text": "y"}))

    later = stage(2, b=b, c=c)
    later.journal = story.journal
    async with later.open(run=run.id) as again:
        await tasks(again)
    assert json.loads(told(later, "b")) == ["1 a: x, 2 c: y", {"key": "k", "value": 1, "by": "a", "number": 1}]
    assert sorted(attempt.task for attempt in later.executor.attempts) == ["b", "c"]


async def test_a_script_may_not_name_agents_that_are_not_there() -> None:
    """`Spawn.agents` in a script are those of `open_run(agents=…)`."""
    story = stage()
    async with story.open() as run:
        with pytest.raises(UsageError, match=r"spawn.agents: found the text 'x', expected it in open_run"):
            run.submit(Task("x", agent=Agent(spawn=Spawn(agents=("x",)))))


async def test_short_names() -> None:
    """Within a plan in a plan an agent may use the names that the others have there; a whole id comes first."""
    heard: dict[str, str] = {}

    def says(to: str) -> Any:
        async def act(call: CallTool) -> None:
            (sent,) = (await call("send_message", {"to": to, "text": "x"}))["sent"]
            heard[to] = sent["to"]

        return act

    inner = {"backend.review[2]": says("author"), "backend.check.deep": says("build"), "backend.x": says("top")}
    story = Stage(
        lambda attempt: Reply(seconds=1, act=inner[attempt.task]) if attempt.task in inner else Reply(seconds=9)
    )
    async with story.open(limits=Limits(concurrent=9)) as run:
        for name in (*inner, "backend.author", "backend.build", "backend.top", "top"):
            add(run, name)
    assert heard == {"author": "backend.author", "build": "backend.build", "top": "top"}


async def test_agents_of_patterns() -> None:
    """An agent that a pattern of the script asks can be written to as well, once it is at work."""

    async def boss(call: CallTool) -> str:
        await anyio.sleep(10)
        return json.dumps(await call("send_message", {"to": "*", "text": "x"}))

    story = Stage(lambda attempt: Reply(act=boss) if attempt.task == "boss" else Reply(seconds=100))
    async with story.open() as run:
        add(run, "boss")
        await run.vote("Which?", times=2, agent=TALKS, key="v")
    assert len(json.loads(told(story, "boss"))["sent"]) == 2


@pytest.mark.parametrize("late", [False, True])
async def test_nobody_waits_for_words_that_nobody_can_say(late: bool) -> None:
    """An agent that waits for a message does not keep a run from ending whose others were refused; it goes on later."""

    async def b(call: CallTool) -> str:
        await anyio.sleep(300 if late else 0)
        return await read(call, 600)

    no_key = Reply("no key", outcome=Outcome.AUTH, seconds=60, turns=0, signals=[{"signal": "auth"}])
    story = stage(2, a=no_key, b=b)
    begun = anyio.current_time()
    async with story.open() as run:
        add(run, "a")
        add(run, "b")
        add(run, "c", needs=["b"])
        await anyio.sleep(100)
        add(run, "d")
    assert anyio.current_time() - begun < 400
    assert [(task, story.state.tasks[task].result["outcome"]) for task in "abcd"] == [
        ("a", Outcome.AUTH),
        ("b", Outcome.STOPPED),
        ("c", Outcome.SKIPPED),
        ("d", Outcome.STOPPED),
    ]


async def test_who_may_still_be_told_something_goes_on_waiting() -> None:
    """As long as another is at work an agent waits for its words, whoever was refused."""

    async def b(call: CallTool) -> str:
        return await read(call, 600)

    async def c(call: CallTool) -> str:
        await anyio.sleep(500)
        await call("send_message", {"to": "b", "text": "hi"})
        return "sent"

    no_key = Reply("no key", outcome=Outcome.AUTH, seconds=60, turns=0, signals=[{"signal": "auth"}])
    story = stage(3, a=no_key, b=b, c=c)
    async with story.open() as run:
        for name in "abc":
            add(run, name)
    assert told(story, "b") == "1 c: hi"
