"""A run's messages as text, for `logs`: what each agent said and did, line by line."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from orchestrator.events import (
    AgentMessage,
    AttemptFinished,
    AttemptStarted,
    CheckFinished,
    Event,
    MessageSent,
    Published,
    Record,
    RequestNoted,
    RunStarted,
    SessionStarted,
    TaskFinished,
    TaskSpawned,
    TaskWaits,
    WorkspaceOpened,
)
from orchestrator.views.words import clean, dollars, going_on, span, spoken, verdict

MOST = 2000
"""Characters of one message that are shown; `--json` has it whole."""


def log_lines(record: Record) -> Iterator[str]:
    """`12:30:01 check[3] > text`, a line per line of each message."""
    moment = datetime.fromtimestamp(record.at, UTC).strftime("%H:%M:%S")
    task = getattr(record.event, "task", "")
    for sign, text in entries(record):
        for line in shortened(text).splitlines() or [""]:
            yield f"{moment} {task} {sign} {clean(line)}"


def entries(record: Record) -> Iterator[tuple[str, str]]:
    """A sign and a text each: `?` asked, `>` said, `*` tool called, `=` its result, `!` trouble, `#` what happened."""
    match record.event:
        case AttemptStarted(prompt=prompt, attempt=number):
            yield "?", prompt if number == 1 else f"(attempt {number}) {prompt}"
        case RunStarted() as begun if words := going_on(begun):
            yield "#", words
        case CheckFinished(command=command, exit_code=code, output=output):
            yield ("=" if code == 0 else "!"), f"{verdict(code)}: {command}"
            if code != 0:
                yield "!", output
        case TaskSpawned() | MessageSent() | Published() | TaskWaits(waits_for=str()):
            yield "#", spoken(record.event)
        case AgentMessage(type="AssistantMessage" | "UserMessage", data=data):
            yield from _blocks(data)
        case AgentMessage(type="SystemMessage", doing=doing, data=data) if data.get("subtype") != "init" and doing:
            yield "!", doing
        case AttemptFinished() as ended:
            wait = f"; again in {span(ended.retry_in)}" if ended.retry_in is not None else ""
            yield "#", f"{ended.outcome}{': ' + ended.error if ended.error else ''}{wait}"
        case TaskFinished(loop=False) as ended:
            result = ended.result
            if result.get("reused"):
                whence = "before" if result["reused"] == record.run else f"run {result['reused']}"
                yield "#", f"{ended.status}: from {whence}"
                return
            yield "#", f"{ended.status} after {span(result['duration'])}, {dollars(result['cost_usd'])}"
        case _:
            yield from _circumstances(record.event)


def _circumstances(event: Event) -> Iterator[tuple[str, str]]:
    """Where and how an agent works, and what became of its requests."""
    match event:
        case SessionStarted(how=how, session_id=session) if how != "fresh":
            yield "#", f"{how} session {session}"
        case WorkspaceOpened(path=path, branch=branch):
            yield "#", f"works in {path}" + (f" on branch {branch}" if branch else "")
        case RequestNoted(text=text, details=details):
            yield "!", details or text


def _blocks(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    content = data.get("content")
    for block in content if isinstance(content, list) else []:
        match block:
            case {"block": "TextBlock", "text": text}:
                yield ">", text
            case {"block": "ToolUseBlock", "name": name, "input": arguments}:
                yield "*", f"{name} {', '.join(f'{key}={value}' for key, value in arguments.items())}"
            case {"block": "ToolResultBlock", "content": content, "is_error": wrong}:
                yield ("!" if wrong else "="), _text(content)


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(
            str(part.get("text", f"({part.get('type')})")) for part in content if isinstance(part, Mapping)
        )
    return str(content or "")


def shortened(text: str) -> str:
    return text if len(text) <= MOST else f"{text[:MOST]} … ({len(text) - MOST} more characters)"
