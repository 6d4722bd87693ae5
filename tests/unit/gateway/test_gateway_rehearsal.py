import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from talking import Talk, make_attempt

from orchestrator.gateway.errors import ApiError
from orchestrator.gateway.model.conversation import ANSWER_TOOL, read_conversation
from orchestrator.gateway.model.offline import OfflineModel
from orchestrator.gateway.model.rehearsal import play
from orchestrator.gateway.model.steps import Bash, Fail, Say, parse_steps
from orchestrator.prompts import asked_by

pytestmark = pytest.mark.anyio

TOOLS = ("Read", "Write", "Edit", "Bash")
ANSWER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def rehearse(place: Path, *steps: Mapping[str, Any], tools: Sequence[str] = TOOLS, **given: Any) -> Talk:
    talk = Talk(place, tools, **given)
    talk.model.announce(make_attempt("go", steps))
    return talk


async def test_the_steps_are_played_in_order(tmp_path: Path) -> None:
    """Each step is one reply; words go with the tool call behind them; the last words end the turn."""
    write = {"write": {"path": "a.txt", "text": "old"}}
    talk = rehearse(tmp_path, {"say": "First."}, write, {"bash": "ls"}, {"say": "Done."})
    assert await talk.ask("go") == "Done."
    assert talk.used == ["Write", "Bash"]
    assert [block["type"] for block in talk.messages[2]["content"]] == ["text", "tool_use"]
    assert (tmp_path / "a.txt").read_text() == "old"


async def test_a_file_is_read_before_it_is_edited(tmp_path: Path) -> None:
    """An edit of a file that the conversation has not shown is preceded by a read of its own."""
    (tmp_path / "a.txt").write_text("old")
    edit = {"edit": {"path": "a.txt", "old": "old", "new": "new"}}
    again = {"edit": {"path": "a.txt", "old": "new", "new": "newer"}}
    talk = rehearse(tmp_path, edit, again)
    await talk.ask("go")
    assert talk.used == ["Read", "Edit", "Edit"]
    assert (tmp_path / "a.txt").read_text() == "newer"


async def test_a_written_file_needs_no_read(tmp_path: Path) -> None:
    """A file that the rehearsal wrote is edited at once."""
    talk = rehearse(tmp_path, {"write": {"path": "a", "text": "x"}}, {"edit": {"path": "a", "old": "x", "new": "y"}})
    await talk.ask("go")
    assert talk.used == ["Write", "Edit"]


async def test_failures_are_counted_over_the_attempts_of_a_task(tmp_path: Path) -> None:
    """`times` failures come in all, however many sessions the task takes; then the steps go on."""
    steps: list[Mapping[str, Any]] = [
        {"fail": {"status": 429, "message": "slow", "retry_after": 2, "times": 2}},
        {"say": "fine"},
    ]
    model = OfflineModel()
    for number, session in enumerate(("s1", "s2", "s3"), 1):
        model.announce(make_attempt("go", steps, session_id=session, number=number))
    for session in ("s1", "s2"):
        with pytest.raises(ApiError) as caught:
            await Talk(tmp_path, (), model=model, session=session).ask("go")
        assert (caught.value.status, caught.value.message, caught.value.retry_after) == (429, "slow", 2)
    assert await Talk(tmp_path, (), model=model, session="s3").ask("go") == "fine"


async def test_attempts_fail_whole(tmp_path: Path) -> None:
    """`attempts` fails every request of so many attempts, not to be sent again; then the steps go on."""
    steps: list[Mapping[str, Any]] = [{"fail": {"status": 529, "attempts": 2}}, {"say": "fine"}]
    model = OfflineModel()
    for number in (1, 2, 3):
        model.announce(make_attempt("go", steps, session_id=f"s{number}", number=number))
    for session in ("s1", "s1", "s1", "s2"):
        with pytest.raises(ApiError) as caught:
            await Talk(tmp_path, (), model=model, session=session).ask("go")
        assert caught.value.headers("r")["x-should-retry"] == "false"
    assert await Talk(tmp_path, (), model=model, session="s3").ask("go") == "fine"


@pytest.mark.parametrize(("said", "waits"), [({}, 1.0), ({"retry_after": 40}, 40.0)])
async def test_a_rehearsed_usage_limit_is_reset_soon(tmp_path: Path, said: Mapping[str, Any], waits: float) -> None:
    """A 429 that the CLI is not to send again holds the run: for a second, unless the rehearsal says otherwise."""
    told: list[Any] = []
    model = OfflineModel()
    model.announce(make_attempt("go", [{"fail": {"status": 429, "attempts": 1, **said}}]), told.append)
    with pytest.raises(ApiError) as caught:
        await Talk(tmp_path, (), model=model).ask("go")
    assert caught.value.retry_after == waits
    assert [(each.signal, each.retry_after) for each in told] == [("quota", waits)]
    assert told[0].resets_at == pytest.approx(time.time() + waits, abs=30)


async def test_a_failure_that_is_sent_again_is_no_usage_limit(tmp_path: Path) -> None:
    """Of one that the CLI itself sends again the run is told nothing here, and nothing is said of a time."""
    told: list[Any] = []
    model = OfflineModel()
    model.announce(make_attempt("go", [{"fail": 429}, {"say": "fine"}]), told.append)
    talk = Talk(tmp_path, (), model=model)
    with pytest.raises(ApiError) as caught:
        await talk.ask("go")
    assert caught.value.retry_after is None
    assert told == []


async def test_a_failure_between_tools_leaves_what_was_done(tmp_path: Path) -> None:
    """A failure behind a tool call is met when that call has its result, and the steps go on behind it."""
    talk = rehearse(tmp_path, {"bash": "one"}, {"fail": 529}, {"bash": "two"}, {"say": "end"})
    with pytest.raises(ApiError) as caught:
        await talk.ask("go")
    assert caught.value.status == 529
    assert talk.used == ["Bash"]
    reply = await talk.reply()
    assert reply["content"][0]["input"]["command"] == "two"


async def test_the_answer_is_given_as_it_stands(tmp_path: Path) -> None:
    """An `answer` step is the typed result."""
    assert await rehearse(tmp_path, {"answer": {"n": 3}}, schema=ANSWER).ask("go") == {"n": 3}


async def test_a_missing_answer_is_filled_by_rule(tmp_path: Path) -> None:
    """Steps without an answer still end in a typed result when one is asked for."""
    talk = rehearse(tmp_path, {"bash": "ls"}, schema=ANSWER)
    assert isinstance((await talk.ask("go"))["n"], int)
    assert talk.used == ["Bash"]


async def test_a_tool_that_is_not_offered_is_named(tmp_path: Path) -> None:
    """A step without its tool becomes words, and the steps behind it are played."""
    talk = rehearse(tmp_path, {"bash": "ls"}, {"say": "Done."}, tools=("Read",))
    text = await talk.ask("go")
    assert "needs the tool Bash" in text
    assert text.endswith("Done.")


async def test_a_wait_comes_before_the_next_reply(tmp_path: Path) -> None:
    """The seconds of a `wait` belong to the reply behind it, and to no later one."""
    steps = parse_steps([{"bash": "a"}, {"wait": 1.5}, {"wait": 1}, {"bash": "b"}, {"say": "c"}])
    talk = Talk(tmp_path, ("Bash",))
    talk.messages = [{"role": "user", "content": "go"}]
    waits = []
    for number in range(3):
        waits.append(play(steps, read_conversation(talk.call()), lambda index, fail: False).wait)
        use = {"type": "tool_use", "id": str(number), "name": "Bash", "input": {}}
        talk.messages.append({"role": "assistant", "content": [use]})
    assert waits == [0, 2.5, 0]


async def test_words_after_the_end_are_answered(tmp_path: Path) -> None:
    """Another prompt in a session whose rehearsal is over repeats no step and gives the answer again."""
    talk = rehearse(tmp_path, {"bash": "ls"}, {"answer": {"n": 3}}, schema=ANSWER)
    await talk.ask("go")
    last = talk.messages[-1]["content"][0]
    talk.messages.append(
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": last["id"], "content": "ok"}]}
    )
    assert last["name"] == ANSWER_TOOL
    assert await talk.ask("the checks go wrong") == {"n": 3}
    assert talk.used == ["Bash"]


async def test_a_faulty_rehearsal_is_an_error_that_says_so(tmp_path: Path) -> None:
    """A rehearsal that cannot be read fails the request, with the step and what is wrong."""
    with pytest.raises(ApiError) as caught:
        await rehearse(tmp_path, {"jump": 1}).ask("go")
    assert caught.value.status == 400
    assert "rehearsal[0]: found the text 'jump'" in str(caught.value.message)


def test_steps_are_parsed() -> None:
    """Every form of a step becomes its value."""
    assert parse_steps([{"say": "a"}, {"bash": "b"}, {"fail": 529}]) == (Say("a"), Bash("b"), Fail(529))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"say": "a"}, "rehearsal: found a mapping, expected a list of steps"),
        (["say"], r"rehearsal\[0\]: found the text 'say', expected a step"),
        ([{"say": "a", "bash": "b"}], r"rehearsal\[0\]: found the keys say, bash, expected one of say, write"),
        ([{"say": "a"}, {"say": 1}], r"rehearsal\[1\]: say: found the number 1, expected text"),
        ([{"write": {"path": "a"}}], r"rehearsal\[0\]: write: found the keys path, expected a mapping of path, text"),
        (
            [{"edit": {"path": "a", "old": "b", "new": "c", "all": 1}}],
            "edit: found the keys path, old, new, all",
        ),
        ([{"fail": 200}], r"rehearsal\[0\]: fail: found the number 200, expected a status from 400 to 599"),
        (
            [{"fail": {"status": 500, "times": 0}}],
            "fail: times: found the number 0, expected a whole number",
        ),
        ([{"fail": {"status": 500, "attempts": True}}], r"fail: attempts: found true, expected a whole number"),
        (
            [{"fail": {"status": 500, "attempts": 1, "times": 1}}],
            "fail: found both times and attempts, expected one",
        ),
        ([{"wait": -1}], r"rehearsal\[0\]: wait: found the number -1, expected seconds"),
        ([{"answer": 3}], r"rehearsal\[0\]: answer: found the number 3, expected a mapping"),
    ],
)
def test_a_wrong_step_is_named(raw: Any, message: str) -> None:
    """The error says which step is wrong, what was found, and what is expected."""
    with pytest.raises(ValueError, match=message):
        parse_steps(raw)


async def test_the_runs_own_tools(tmp_path: Path) -> None:
    """A `call` uses a tool of the run; what that gave can stand in later texts and input."""
    tools = ("mcp__run__lookup", "mcp__run__publish", "Write")
    lookup = {"call": {"tool": "lookup", "input": {"key": "k"}}}
    publish = {"call": {"tool": "publish", "input": {"key": "r", "value": ["<given>", 1]}}}
    write = {"write": {"path": "a", "text": "<given>"}}
    talk = rehearse(tmp_path, lookup, write, publish, {"say": "<given>"}, tools=tools)
    said = await talk.ask("go")
    assert talk.used == ["mcp__run__lookup", "Write", "mcp__run__publish"]
    assert (tmp_path / "a").read_text() == "gave {'key': 'k'}"
    assert talk.calls[-1][1] == {"key": "r", "value": ["gave {'key': 'k'}", 1]}
    assert said == f"gave {dict(talk.calls[-1][1])}"


async def test_a_tool_that_the_agent_does_not_have(tmp_path: Path) -> None:
    """A `call` without `talk` or `spawn` is passed over, and said."""
    talk = rehearse(tmp_path, {"call": {"tool": "ask"}}, {"say": "Done."})
    assert "needs the tool mcp__run__ask, which is not offered" in await talk.ask("go")


@pytest.mark.parametrize(
    ("behind", "answer"),
    [([{"end": "Written."}, {"say": "For speed."}], "For speed."), ([{"say": "Written."}], "= 42")],
)
async def test_an_answer_to_another_agent(tmp_path: Path, behind: list[Any], answer: str) -> None:
    """A question gets what stands behind the last `end`; without one the rules answer it."""
    talk = rehearse(tmp_path, *behind)
    assert await talk.ask("go") == "Written."
    question = asked_by("reviewer", "What is 6 * 7?")
    talk.model.announce(make_attempt(question, behind))
    assert (await talk.ask(question)).strip().endswith(answer)
