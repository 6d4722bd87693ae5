"""The SDK's messages as events."""

import json
from dataclasses import replace
from typing import Any

import pytest
from claude_agent_sdk import (
    AssistantMessage,
    ResultMessage,
    SystemMessage,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
)

from orchestrator.agents.translate import describe_denial, describe_tool, doing, to_data, to_event, to_usage
from orchestrator.plan.model import Agent
from orchestrator.task import Attempt, Usage
from workspaces import WorkspaceSpec

ATTEMPT = Attempt(run="r", task="t", number=2, prompt="p", agent=Agent(), workspace=WorkspaceSpec(), session_id="s")
RESULT = ResultMessage(
    subtype="success", duration_ms=1, duration_api_ms=1, is_error=False, num_turns=1, session_id="s", result="done"
)


def says(*blocks: Any, **other: Any) -> AssistantMessage:
    return AssistantMessage(content=list(blocks), model="m", **other)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (SystemMessage(subtype="init", data={}), "thinking"),
        (SystemMessage(subtype="api_retry", data={"error_status": 529}), "waits for the API (529)"),
        (SystemMessage(subtype="api_retry", data={"error": "overloaded"}), "waits for the API (overloaded)"),
        (SystemMessage(subtype="api_retry", data={"error": "unknown"}), "waits for the API (its answer broke off)"),
        (SystemMessage(subtype="other", data={}), None),
        (says(TextBlock(text="One.\nTwo.")), "One."),
        (says(TextBlock(text=" ")), None),
        (says(), None),
        (says(ThinkingBlock(thinking="hm", signature="")), "thinking"),
        (
            says(TextBlock(text="Let me look."), ToolUseBlock(id="1", name="Read", input={"file_path": "/a/b.py"})),
            "Read b.py",
        ),
        (says(ToolUseBlock(id="1", name="StructuredOutput", input={"x": 1})), "gives its answer"),
        (UserMessage(content="x"), None),
        (RESULT, "finishing"),
        (object(), None),
    ],
)
def test_doing(message: Any, words: str | None) -> None:
    """What an agent does is said in a few words, by the last block that tells."""
    assert doing(message) == words


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("Read", {"file_path": "/long/way/to/file.py"}, "Read file.py"),
        ("Read", {"file_path": "near/file.py"}, "Read near/file.py"),
        ("Bash", {"command": "pytest -q\nls", "description": "tests"}, "Bash pytest -q"),
        ("Grep", {"pattern": "def x", "path": "src"}, "Grep src"),
        ("Odd", {}, "Odd"),
        ("Odd", {"path": "  "}, "Odd"),
    ],
)
def test_tools_in_words(name: str, arguments: dict[str, Any], words: str) -> None:
    """A tool call is its name and what it is about, in a line."""
    assert describe_tool(name, arguments) == words


def test_denials_in_words() -> None:
    """A refused call is told as a permission rule would name it; whatever is missing does no harm."""
    assert describe_denial({"tool_name": "Bash", "tool_input": {"command": "rm x"}}) == "Bash(rm x)"
    assert describe_denial({}) == "tool()"
    assert describe_denial({"tool_name": "Read", "tool_input": None}) == "Read()"


def test_an_event_has_the_message_whole() -> None:
    """The event names its attempt, counts a turn and its tokens, and keeps all of the message."""
    message = says(TextBlock(text="x"), usage={"input_tokens": 1, "cache_read_input_tokens": 2, "output_tokens": 3})
    event = to_event(ATTEMPT, message, set())
    assert (event.task, event.attempt, event.type, event.turns) == ("t", 2, "AssistantMessage", 1)
    assert (event.input_tokens, event.output_tokens) == (3, 3)
    assert event.data["content"] == [{"block": "TextBlock", "text": "x"}]


def test_a_subagents_reply_is_no_turn() -> None:
    """What a subagent says inside a tool call does not count as a turn of the agent's own."""
    assert to_event(ATTEMPT, says(TextBlock(text="x"), parent_tool_use_id="1"), set()).turns == 0


def test_a_reply_in_pieces_is_counted_once() -> None:
    """A reply that comes block by block, each with the same usage, is one turn, and its tokens count once."""
    seen: set[str] = set()
    usage = {"input_tokens": 1, "output_tokens": 3}
    blocks = [TextBlock(text="x"), ToolUseBlock(id="1", name="Read", input={})]
    events = [to_event(ATTEMPT, says(block, message_id="m", usage=usage), seen) for block in blocks]
    assert [(event.turns, event.output_tokens) for event in events] == [(1, 3), (0, 0)]
    assert to_event(ATTEMPT, says(blocks[0], message_id="n", usage=usage), seen).turns == 1


@pytest.mark.parametrize(
    "message",
    [
        RESULT,
        SystemMessage(subtype="init", data={"tools": ["Bash"], "odd": {1: (2, 3)}}),
        says(ThinkingBlock(thinking="hm", signature="s"), ToolUseBlock(id="1", name="Read", input={"a": [1]})),
        UserMessage(content=[ToolResultBlock(tool_use_id="1", content=[{"type": "text", "text": "x"}], is_error=True)]),
    ],
)
def test_messages_pass_through_json(message: Any) -> None:
    """Whatever the message, its data is plain JSON that nothing is lost of."""
    data = to_data(message)
    assert json.loads(json.dumps(data)) == data
    assert set(data) >= {"content"} & set(vars(message))


def test_the_cost_of_a_result() -> None:
    """A result tells what the attempt has cost, without what its session had cost before; other messages do not."""
    told = replace(RESULT, total_cost_usd=0.75)
    assert to_event(ATTEMPT, told, set()).cost_usd == 0.75
    assert to_event(ATTEMPT, told, set(), 0.5).cost_usd == 0.25
    assert to_event(ATTEMPT, told, set(), 1.0).cost_usd == 0.75
    assert to_event(ATTEMPT, RESULT, set()).cost_usd is None
    assert to_event(ATTEMPT, says(TextBlock(text="x")), set()).cost_usd is None


def test_usage() -> None:
    """The API's counts, whatever is missing or null."""
    assert to_usage(None) == Usage()
    assert to_usage({"input_tokens": None, "output_tokens": 2}) == Usage(output_tokens=2)
