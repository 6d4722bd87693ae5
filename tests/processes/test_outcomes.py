"""However a CLI ends, its outcome says so: a fake CLI, the real launcher and the real SDK."""

import gc
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from watching import UNFINISHED

from orchestrator.agents.claude import open_claude
from orchestrator.agents.options import LINE_LIMIT
from orchestrator.events import ProcessesMeasured, SessionStarted
from orchestrator.plan.model import Agent
from orchestrator.task import Attempt, Outcome, Result
from orchestrator.testing.samples import Collected
from workspaces import Workspace

pytestmark = [pytest.mark.anyio, UNFINISHED]

Asks = Callable[..., Attempt]
Leftovers = Callable[[], list[str]]


async def run(attempt: Attempt, workspace: Workspace) -> Result:
    async with open_claude() as claude:
        return await claude.run(attempt, workspace, Collected())


@pytest.mark.parametrize(
    ("prompt", "outcome", "words"),
    [
        ("say hello", Outcome.OK, None),
        ("say  ", Outcome.EMPTY, "without a word"),
        ("noise", Outcome.OK, None),
        ("stderr grumble", Outcome.OK, None),
        ("twice one | other", Outcome.OK, None),
        ("mixed one | other", Outcome.OK, None),
        ("nothing", Outcome.NO_RESULT, "ended without a result"),
        ("crash 1", Outcome.CRASHED, "exit code 1: fake: something broke"),
        ("crash 3", Outcome.CRASHED, "exit code 3: fake: something broke"),
        ("crash 143", Outcome.KILLED, "exit code 143"),
        ("kill 9", Outcome.KILLED, "exit code -9"),
        ("kill 15", Outcome.KILLED, "exit code -15"),
        ("broken", Outcome.UNREADABLE, "cannot be read"),
        ("unknown-session", Outcome.UNKNOWN_SESSION, "No conversation found"),
        ("error error_max_turns", Outcome.MAX_TURNS, "limit of turns"),
        ("error error_max_budget_usd", Outcome.MAX_USD, "limit of cost"),
        ("error error_max_structured_output_retries", Outcome.MISSING_OUTPUT, "failed several times"),
        ("error prompt_too_long", Outcome.TOO_LONG, "API Error"),
        ("error aborted_streaming", Outcome.INTERRUPTED, "interrupted"),
        ("error rate_limit 429 Slow down.", Outcome.QUOTA, "Slow down."),  # it has not tried again by itself
        ("error overloaded 529", Outcome.OVERLOADED, "API Error: overloaded"),
        ("error unknown 500", Outcome.API_ERROR, "API Error"),
        ("error unknown 400", Outcome.BAD_REQUEST, "API Error"),
        ("error authentication_failed 401", Outcome.AUTH, "API Error"),
        ("error billing_error 400 Credit balance is too low.", Outcome.BILLING, "Credit balance is too low."),
        ("error model_not_found 404", Outcome.UNKNOWN_MODEL, "API Error"),
    ],
)
async def test_each_ending_has_its_outcome(
    asks: Asks, here: Workspace, prompt: str, outcome: Outcome, words: str | None
) -> None:
    """Each way in which a CLI can end gives its outcome, with the cause in words."""
    result = await run(asks(prompt), here)
    assert (result.outcome, result.task) == (outcome, "one"), result.error
    assert result.error is None if words is None else words in (result.error or "")


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
async def test_a_line_that_is_too_long(asks: Asks, here: Workspace, leftovers: Leftovers) -> None:
    """A message beyond 64 MiB ends the attempt as unreadable, and its process, which is in the midst of writing it."""
    result = await run(asks(f"oversized {LINE_LIMIT + 1}"), here)
    assert result.outcome is Outcome.UNREADABLE, result.error
    assert "cannot be read" in (result.error or "")
    assert leftovers() == []
    gc.collect()  # the SDK leaves the pipe to the collector, which says so here and not in another test


async def test_a_good_result_is_whole(asks: Asks, here: Workspace) -> None:
    """Text, costs, tokens, turns, session and the SDK's message are in the result."""
    result = await run(asks("say hello"), here)
    assert (result.text, result.cost_usd, result.turns, result.session_id) == ("hello", 0.25, 1, asks("x").session_id)
    assert (result.usage.input_tokens, result.usage.output_tokens) == (10, 5)
    assert result.message.subtype == "success"


async def test_the_last_good_result_counts(asks: Asks, here: Workspace) -> None:
    """Of two results the last counts, and a bad one after a good one does not."""
    assert (await run(asks("twice one | other"), here)).text == "other"
    assert (await run(asks("mixed one | other"), here)).text == "one"


async def test_all_messages_are_events(asks: Asks, here: Workspace) -> None:
    """The session is told of first; each message of the stream is an event, in order, with what the agent does."""
    events = Collected()
    async with open_claude() as claude:
        await claude.run(asks("say hello"), here, events)
    session, *messages = [event for event in events if not isinstance(event, ProcessesMeasured)]
    assert isinstance(session, SessionStarted)
    assert (session.session_id, session.directory, session.how) == (asks("x").session_id, str(here.path), "fresh")
    assert [(event.type, event.doing, event.cost_usd) for event in messages] == [  # type: ignore[attr-defined]
        ("SystemMessage", "thinking", None),
        ("AssistantMessage", "hello", None),
        ("ResultMessage", "finishing", 0.25),
    ]
    assert json.loads(json.dumps(messages[1].to_json()))["data"]["content"][0]["block"] == "TextBlock"


async def test_structured_output(asks: Asks, here: Workspace) -> None:
    """With a schema the value is the output; output that does not fulfil it, or none, is no success."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    good = await run(asks('answer {"n": 3}', schema=schema), here)
    wrong = await run(asks('answer {"n": "three"}', schema=schema), here)
    none = await run(asks("say three", schema=schema), here)
    assert (good.outcome, good.value) == (Outcome.OK, {"n": 3})
    assert (wrong.outcome, wrong.value) == (Outcome.INVALID_OUTPUT, None)
    assert "$.n" in (wrong.error or "")
    assert none.outcome is Outcome.MISSING_OUTPUT


async def test_denials_are_told(asks: Asks, here: Workspace) -> None:
    """Refused tool calls are in the result, in words."""
    assert (await run(asks("deny rm -r build"), here)).denials == ("Bash(rm -r build)",)


async def test_it_works_in_its_workspace(asks: Asks, here: Workspace) -> None:
    """The CLI's working directory is the workspace."""
    assert Path((await run(asks("cwd"), here)).text).resolve() == here.path.resolve()


async def test_a_workspace_that_is_gone(asks: Asks, tmp_path: Path) -> None:
    """A directory that does not exist is told as such."""
    result = await run(asks("say x"), Workspace(path=tmp_path / "gone"))
    assert result.outcome is Outcome.NOT_STARTED
    assert "does not exist" in (result.error or "")


async def test_a_cli_that_ends_before_it_has_begun(asks: Asks, here: Workspace) -> None:
    """A CLI that refuses its options is a wrong set-up, in the words that it wrote on stderr."""
    result = await run(asks("say x", agent=Agent(env={"FAKE_CLAUDE": "1"})), here)
    assert result.outcome is Outcome.BAD_SETUP
    assert "something broke" in (result.error or "")


async def test_the_environment_reaches_the_cli(asks: Asks, here: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's variables and the agent's own reach the CLI; the launcher's do not."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "of the user")
    assert (await run(asks("env ANTHROPIC_API_KEY"), here)).text == "of the user"
    assert (await run(asks("env MINE", agent=Agent(env={"MINE": "of the agent"})), here)).text == "of the agent"
    assert (await run(asks("env ORCHESTRATOR_PARENT"), here)).text == "unset"
    assert (await run(asks("env ORCHESTRATOR_DROP"), here)).text == "unset"


async def test_nothing_is_left(asks: Asks, here: Workspace, leftovers: Leftovers) -> None:
    """After a run no process is left, and no file in the temporary folder, also of a tool that was left behind."""
    await run(asks("say hello"), here)
    await run(asks("orphan"), here)
    assert leftovers() == []
