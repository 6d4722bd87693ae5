"""The SDK's messages to events of ours."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from claude_agent_sdk import (
    AssistantMessage,
    ResultMessage,
    SystemMessage,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    UserMessage,
)

from orchestrator.events import AgentMessage
from orchestrator.task import Attempt, Usage, plain

Message = Any
"""Whatever the SDK's stream yields; kinds that are not named here are kept all the same."""

SUBJECTS = ("file_path", "path", "pattern", "command", "url", "query", "description", "prompt", "skill")
"""Which of a tool's arguments says best what it is about, best first."""


def to_event(attempt: Attempt, message: Message, seen: set[str], cost_before: float = 0.0) -> AgentMessage:
    """The message, whole, with what the views need of it.

    `seen` holds the ids of the replies so far: the CLI sends a reply block by block, each time with the same usage. A
    reply that stands for an error of the API is the CLI's own, and none of the model's.
    `cost_before` (US dollars) is what its session had cost before the attempt: the CLI counts on from there.
    """
    new = isinstance(message, AssistantMessage) and message.error is None and message.message_id not in seen
    if new and message.message_id:
        seen.add(message.message_id)
    usage = to_usage(message.usage) if new else Usage()
    return AgentMessage(
        task=attempt.task,
        attempt=attempt.number,
        type=type(message).__name__,
        doing=doing(message),
        turns=int(new and message.parent_tool_use_id is None),
        input_tokens=usage.all_input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=cost_of(message, cost_before),
        data=to_data(message),
    )


def cost_of(message: Message, before: float = 0.0) -> float | None:
    """What the attempt has cost by then (US dollars); None when the message does not tell, which only a result does."""
    if not isinstance(message, ResultMessage) or message.total_cost_usd is None:
        return None
    total = message.total_cost_usd
    return total - before if total >= before else total  # a CLI that has not taken up the count begins with 0


def doing(message: Message) -> str | None:
    """What the agent is doing now, in a few words; None when the message does not tell."""
    match message:
        case SystemMessage(subtype="init"):
            return "thinking"
        case SystemMessage(subtype="api_retry", data=data):
            return f"waits for the API ({data.get('error_status') or data.get('error')})"
        case AssistantMessage(content=content):
            said = [words for block in content if (words := _words(block))]
            return said[-1] if said else None
        case UserMessage(content=list()):
            return "thinking"  # it has a tool's result
        case ResultMessage():
            return "finishing"
    return None


def _words(block: object) -> str | None:
    match block:
        case ToolUseBlock(name="StructuredOutput"):
            return "gives its answer"
        case ToolUseBlock(name=name, input=arguments):
            return describe_tool(name, arguments)
        case TextBlock(text=text) if text.strip():
            return text.strip().splitlines()[0]
        case ThinkingBlock():
            return "thinking"
    return None


def describe_tool(name: str, arguments: Mapping[str, Any]) -> str:
    """A tool call in a few words, as `Read README.md`."""
    subject = next((str(arguments[key]) for key in SUBJECTS if arguments.get(key)), "")
    if PurePath(subject).is_absolute():
        subject = PurePath(subject).name
    return f"{name} {subject.strip().splitlines()[0]}" if subject.strip() else name


def describe_denial(denial: Mapping[str, Any]) -> str:
    """A refused tool call, as `Bash(rm -r build)`."""
    arguments = denial.get("tool_input") or {}
    subject = next((str(arguments[key]) for key in SUBJECTS if arguments.get(key)), "")
    return f"{denial.get('tool_name', 'tool')}({subject})"


def to_usage(usage: Mapping[str, Any] | None) -> Usage:
    """The API's `usage` object."""
    usage = usage or {}
    return Usage(
        input_tokens=usage.get("input_tokens") or 0,
        output_tokens=usage.get("output_tokens") or 0,
        cache_read_tokens=usage.get("cache_read_input_tokens") or 0,
        cache_write_tokens=usage.get("cache_creation_input_tokens") or 0,
    )


def to_data(message: Message) -> dict[str, Any]:
    """The message as JSON data; each content block carries its class as `block`."""
    data: dict[str, Any] = plain(message)
    blocks = getattr(message, "content", None)
    if isinstance(blocks, list):
        data["content"] = [{"block": type(block).__name__} | plain(block) for block in blocks]
    return data
