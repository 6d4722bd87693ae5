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
from orchestrator.task import Attempt, Models, Spent, Usage, plain

Message = Any
"""Whatever the SDK's stream yields; kinds that are not named here are kept all the same."""

NONE: Models = {}
SYNTHETIC = "<synthetic>"
"""The model of a reply that the CLI made up, as for an API error."""
LETTERS = 4
"""Letters in a token, about."""
LEAST_USD = 1e-9
"""What differences of sums leave over."""
SUBJECTS = ("file_path", "path", "pattern", "command", "url", "query", "description", "prompt", "skill")
"""Which of a tool's arguments says best what it is about, best first."""


def to_event(
    attempt: Attempt, message: Message, seen: set[str], cost_before: float = 0.0, models_before: Models = NONE
) -> AgentMessage:
    """The message, whole, with what the views need of it.

    `seen` holds the ids of the replies so far: the CLI sends a reply block by block, each time with the same usage. A
    reply that stands for an error of the API is the CLI's own, and none of the model's.
    `cost_before` (US dollars) is what its session had cost before the attempt, `models_before` the same by model: the
    CLI counts on from there.
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
        output_tokens=usage.output_tokens + untold_output(message),
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        model=message.model if new and message.model != SYNTHETIC else None,
        cost_usd=cost_of(message, cost_before),
        models={model: spent.to_json() for model, spent in models_of(message, cost_before, models_before).items()},
        data=to_data(message),
    )


def cost_of(message: Message, before: float = 0.0) -> float | None:
    """What the attempt has cost by then (US dollars); None when the message does not tell, which only a result does."""
    if not isinstance(message, ResultMessage) or message.total_cost_usd is None:
        return None
    total = message.total_cost_usd
    return total - before if total >= before else total  # a CLI that has not taken up the count begins with 0


def models_of(message: Message, before: float = 0.0, models_before: Models = NONE) -> dict[str, Spent]:
    """What the attempt has cost by model; nothing when the message does not tell.

    As the sum, `model_usage` counts on from what the transcript says of a session that goes on, or is forked, whatever
    model that had (CLI 2.1.329). `usage` does not, and is empty after `error_max_budget_usd`.
    """
    if not isinstance(message, ResultMessage) or not message.model_usage:
        return {}
    counted_on = (message.total_cost_usd or 0.0) >= before
    told = {model: to_spent(usage) for model, usage in message.model_usage.items()}
    own = {model: spent - models_before.get(model, Spent()) if counted_on else spent for model, spent in told.items()}
    return {model: spent for model, spent in own.items() if spent.usage != Usage() or spent.usd > LEAST_USD}


def usage_of(message: ResultMessage, models: Models) -> Usage:
    """What a result tells of its attempt's tokens.

    After an error its `usage` leaves out the last replies, or all of them (CLI 2.1.329, `error_max_budget_usd`): then
    what it tells by model has more.
    """
    told, by_model = to_usage(message.usage), sum((spent.usage for spent in models.values()), Usage())
    is_short = told == Usage() or message.subtype != "success"
    return by_model if is_short and by_model.all_input_tokens > told.all_input_tokens else told


def to_spent(usage: Mapping[str, Any]) -> Spent:
    """The CLI's `modelUsage` of a model."""
    return Spent(
        usd=usage.get("costUSD") or 0.0,
        input_tokens=usage.get("inputTokens") or 0,
        output_tokens=usage.get("outputTokens") or 0,
        cache_read_tokens=usage.get("cacheReadInputTokens") or 0,
        cache_write_tokens=usage.get("cacheCreationInputTokens") or 0,
    )


def untold_output(message: Message) -> int:
    """About how many tokens the model has written beyond those that the message's usage tells, by its letters.

    The CLI sends each block of a reply as soon as that is complete, with the usage of the reply's very beginning.
    """
    if not isinstance(message, AssistantMessage) or message.model == SYNTHETIC:
        return 0
    return max(sum(map(_letters, message.content)) // LETTERS - to_usage(message.usage).output_tokens, 0)


def _letters(block: object) -> int:
    match block:
        case TextBlock(text=text):
            return len(text)
        case ThinkingBlock(thinking=thought):
            return len(thought)
        case ToolUseBlock(name=name, input=arguments):
            return len(name) + sum(len(str(value)) for value in arguments.values())
    return 0


def doing(message: Message) -> str | None:
    """What the agent is doing now, in a few words; None when the message does not tell."""
    match message:
        case SystemMessage(subtype="init"):
            return "thinking"
        case SystemMessage(subtype="api_retry", data=data):
            return f"waits for the API ({data.get('error_status') or trouble(str(data.get('error')))})"
        case AssistantMessage(content=content):
            said = [words for block in content if (words := _words(block))]
            return said[-1] if said else None
        case UserMessage(content=list()):
            return "thinking"  # it has a tool's result
        case ResultMessage():
            return "finishing"
    return None


def trouble(error: str) -> str:
    """What the CLI calls an error that came without a status."""
    return "its answer broke off" if error == "unknown" else error


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
    blocks = getattr(message, "content", None)
    if not isinstance(blocks, list):
        data: dict[str, Any] = plain(message)
        return data
    told = [{"block": type(block).__name__} | plain(block) for block in blocks]
    names = message.__dataclass_fields__
    return {name: told if name == "content" else plain(getattr(message, name)) for name in names}
