"""The offline model in a session that is gone on with: it does the rest of the task, and nothing twice."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from talking import Talk, make_attempt

from orchestrator.gateway.errors import ApiError
from orchestrator.gateway.model.conversation import read_conversation
from orchestrator.prompts import failed_check, interrupted, repair

pytestmark = pytest.mark.anyio

TOOLS = ("Read", "Write", "Edit", "Bash")
ANSWER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
CHECK = failed_check("test -s out.txt", 1, "out.txt is empty")


def going_on(place: Path, *steps: Mapping[str, Any], prompt: str, **given: Any) -> Talk:
    """A talk about `go`, whose second attempt goes on in the same session with another prompt."""
    talk = Talk(place, TOOLS, **given)
    talk.model.announce(make_attempt("go", steps))
    talk.model.announce(make_attempt(prompt, steps, number=2, session_id="s2", resume="s1"))
    return talk


def answered(talk: Talk) -> None:
    """The CLI's result of the typed answer that was given last."""
    last = talk.messages[-1]["content"][-1]["id"]
    talk.messages.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": last, "content": "ok"}]})


async def test_steps_behind_an_end_wait_for_the_next_prompt(tmp_path: Path) -> None:
    """`end` ends the turn; when a check has failed the steps behind it are played, and none before it."""
    steps = ({"bash": "make"}, {"say": "So."}, {"end": "Made."}, {"bash": "mend"}, {"say": "Mended."})
    talk = going_on(tmp_path, *steps, prompt=CHECK)
    assert await talk.ask("go") == "So.\nMade."
    assert await talk.ask(CHECK) == "Mended."
    assert [given["command"] for _, given in talk.calls] == ["make", "mend"]


async def test_every_end_is_a_turn(tmp_path: Path) -> None:
    """Ends of the same words, one behind the other, end a turn each."""
    talk = going_on(tmp_path, {"end": "Done."}, {"end": "Done."}, {"say": "At last."}, prompt=CHECK)
    assert [await talk.ask(prompt) for prompt in ("go", CHECK, CHECK)] == ["Done.", "Done.", "At last."]


async def test_an_interrupted_rehearsal_goes_on_behind_its_last_step(tmp_path: Path) -> None:
    """After a failure in the midst the second attempt, in the same session, begins with the step that is due."""
    steps = ({"bash": "one"}, {"fail": {"status": 529, "attempts": 1}}, {"bash": "two"}, {"say": "end"})
    talk = going_on(tmp_path, *steps, prompt=interrupted("go"))
    talk.model.announce(make_attempt("go", steps))
    with pytest.raises(ApiError):
        await talk.ask("go")
    talk.messages.append({"role": "assistant", "content": [{"type": "text", "text": "No response requested."}]})
    talk.model.announce(make_attempt(interrupted("go"), steps, number=2, session_id="s2", resume="s1"))
    assert await talk.ask(interrupted("go")) == "end"
    assert [given["command"] for _, given in talk.calls] == ["one", "two"]


@pytest.mark.parametrize(
    "told",
    [
        "[Tool call interrupted: the session ended before this call's result was recorded]",
        "The user doesn't want to proceed with this tool use. […] Correction to the text above: this call was stopped "
        "while running, not refused before it ran. It may have run in part or in full.",
        "The tool call was interrupted before a result was received. It may or may not have completed on the server.",
    ],
)
@pytest.mark.parametrize(("tool", "times"), [("write", 2), ("bash", 1)])
async def test_a_call_that_was_cut_off(tmp_path: Path, tool: str, times: int, told: str) -> None:
    """A file whose writing was cut off, by a kill or by us, is written once more; a command is not run twice."""
    step = {"write": {"path": "out.txt", "text": "x"}} if tool == "write" else {"bash": "make"}
    talk = going_on(tmp_path, step, {"say": "end"}, prompt=interrupted("go"))
    talk.messages.append({"role": "user", "content": "go"})
    (call,) = (await talk.reply())["content"]
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": told, "is_error": True}
    talk.messages.append({"role": "user", "content": [result]})
    talk.messages.append({"role": "assistant", "content": [{"type": "text", "text": "No response requested."}]})
    assert await talk.ask(interrupted("go")) == "end"
    assert len(talk.calls) == times - 1


async def test_a_fork_leaves_the_session_to_its_own_attempt(tmp_path: Path) -> None:
    """A forked attempt's rehearsal is for the new session, and the old session keeps its own."""
    talk = Talk(tmp_path, TOOLS)
    talk.model.announce(make_attempt("go", [{"say": "old"}]))
    talk.model.announce(make_attempt("go", [{"say": "new"}], session_id="s2", resume="s1", fork=True))
    assert await talk.ask("go") == "old"
    assert await Talk(tmp_path, TOOLS, model=talk.model, session="s2").ask("go") == "new"


async def test_a_typed_result_is_given_again(tmp_path: Path) -> None:
    """Each prompt that goes on has a typed result of its own: the next answer, or the last one once more."""
    talk = going_on(tmp_path, {"bash": "ls"}, {"answer": {"n": 1}}, {"answer": {"n": 2}}, prompt=CHECK, schema=ANSWER)
    given = []
    for prompt in ("go", CHECK, repair("$.n: too small", ANSWER)):
        given.append(await talk.ask(prompt))
        answered(talk)
    assert given == [{"n": 1}, {"n": 2}, {"n": 2}]
    assert talk.used == ["Bash"]


@pytest.mark.parametrize("prompt", [interrupted("How is kettle installed?"), CHECK])
async def test_the_rules_go_on_with_the_task(tmp_path: Path, prompt: str) -> None:
    """Without a rehearsal the task is what was asked first, and nothing that was looked at is looked at again."""
    (tmp_path / "README.md").write_text("# Kettle\n\nInstall it with pip.\n")
    talk = Talk(tmp_path)
    first, looks = await talk.ask("How is kettle installed?"), list(talk.used)
    assert "README.md:3" in first
    assert await talk.ask(prompt) == first
    assert talk.used == looks


async def test_a_task_that_the_session_lost_is_taken_from_the_prompt(tmp_path: Path) -> None:
    """Where the conversation has another task, or none, the one that the prompt repeats is begun."""
    talk = Talk(tmp_path, ())
    assert "42" in await talk.ask(interrupted("What is 6 * 7?"))
    assert "72" in await talk.ask(interrupted("What is 8 * 9?"))
    assert [turn.prompt for turn in read_conversation(talk.call()).turns] == ["What is 6 * 7?", "What is 8 * 9?"]


async def test_a_prompt_beside_the_interrupted_one_is_one_turn(tmp_path: Path) -> None:
    """The CLI may join a prompt that had no reply with the next one: the task is still one, and done once."""
    talk = Talk(tmp_path, ("Bash",))
    talk.model.announce(make_attempt(interrupted("go"), [{"bash": "one"}, {"say": "end"}]))
    talk.messages.append({"role": "user", "content": [{"type": "text", "text": "go"}]})
    talk.messages[0]["content"].append({"type": "text", "text": interrupted("go")})
    assert [turn.prompt for turn in read_conversation(talk.call()).turns] == ["go"]
