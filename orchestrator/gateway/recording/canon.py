"""What of a request says what is asked, without what differs from day to day and from machine to machine."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from orchestrator.gateway.recording.trees import each_text, without
from orchestrator.prompts import INTERRUPTED, task_of

COMPARED = ("model", "system", "tools", "tool_choice", "output_config", "output_format", "temperature", "messages")
"""Fields of a request that say what is asked. Others say who asks, or how the reply is to be sent."""
BILLING = "x-anthropic-billing-header:"
ENVIRONMENT = re.compile(r"# Environment\nYou have been invoked.*?(?=\n# |\Z)", re.DOTALL)
"""The CLI's description of the machine and the day."""
SECTIONS = re.compile(
    r"# (gitStatus|currentDate|userEmail)\n.*?(?=\n# \w|\n\nClaude Code attached|\n*</system-reminder>|\Z)", re.DOTALL
)
"""The state of the repository, the day, and who has logged in."""
EMPTY_REMINDER = re.compile(
    r"<system-reminder>\s*(?:As you answer the user's questions, you can use the following context:"
    r"|Codebase and user instructions are shown below\.[^<\n]*)\s*"
    r"(Claude Code attached this context automatically[^<]*)?</system-reminder>\s*"
)
OWN_INSTRUCTIONS = re.compile(
    r"Contents of [^\n]*\(user's private global instructions for all projects\):\n"
    r".*?(?=\n\nContents of [^\n]*\):\n|\n*</system-reminder>|\Z)\n*",
    re.DOTALL,
)
"""The CLAUDE.md of whoever recorded it, beside that of the repository, which counts."""
STATE_REMINDER = re.compile(
    r"(?:\n\n)?<system-reminder>\n(?:<total_tokens>[^<]*</total_tokens>|You are powered by the model [^<]*)\n"
    r"</system-reminder>\n?"
)
"""What is left of the context, also behind a tool's result, and the model's name, which is compared by itself."""
CLEARED = re.compile(
    r"<local-command-caveat>.*?</local-command-caveat>"
    r"|<command-name>/clear</command-name>\s*<command-message>clear</command-message>\s*<command-args></command-args>"
    r"|<local-command-stdout></local-command-stdout>",
    re.DOTALL,
)
"""How a conversation begins in a process that has had another before."""
CUT_OFF = "No response requested."
"""What the CLI puts in the place of a reply that never came."""
PLACEHOLDER = "DeferredToolPlaceholder"
"""Stands among the tools or not, as the CLI likes."""
FINDERS = ("Glob", "Grep")
"""Tools that list what they find by the time of its last change, which is another in every copy."""
DAYS = "Mon|Tue|Wed|Thu|Fri|Sat|Sun"
MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
BLURS = (
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "⟦uuid⟧"),
    (r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?)?(?![\w-])", "⟦date⟧"),
    (
        rf"\b(?:(?:{DAYS})[a-z]*,? +)?(?:{MONTHS})[a-z]* +\d{{1,2}}"
        r"(?: +\d\d:\d\d(?::\d\d)?(?: [AP]M)?(?: [A-Z]{3,4}\b)?)?(?:,? +\d{4})?\b",
        "⟦date⟧",
    ),
    (r"\b1[6-9]\d{8}(?:\d{3})?(?:\.\d+)?\b", "⟦time⟧"),
    (r"\b\d\d?:\d\d:\d\d(?:[.,]\d+)?\b", "⟦time⟧"),
    (r"\b\d+\.\d+ ?(?:m?s|seconds|minutes)\b", "⟦duration⟧"),
    (r"(?m)^\d{7,12}(?= \S)", "⟦hash⟧"),
    (r"(?m)^([-dlbcps][rwxsStT-]{9})[.+@]? +\d+ +\S+ +\S+ +[\d.]+[KMGT]? ", r"\1 ⟦owner and size⟧ "),
    (r"(?m)^total [\d.]+[KMGT]?$", "total ⟦size⟧"),
    (r"\b(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{7,64}\b", "⟦hash⟧"),
)
"""What is another each time: ids, dates and times, durations, commits, and what `ls -l` says of files."""
BLURRED = [(re.compile(pattern), name) for pattern, name in BLURS]


def canonical(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request in the form in which two are compared. Its places must be hidden already. It is its own canon."""
    blurred: dict[str, Any] = each_text(sharp(request), blur)
    return blurred


def sharp(request: Mapping[str, Any]) -> dict[str, Any]:
    """The same, but with what is another each time: dates, ids, durations."""
    told = {name: value for name, value in asked(request).items() if value is not None}
    if "system" in told:
        told["system"] = _blocks(told["system"])
    if "tools" in told:
        tools = [tool for tool in told["tools"] if tool.get("name") != PLACEHOLDER]
        told["tools"] = sorted(tools, key=lambda tool: str(tool.get("name")))
    told["messages"] = _uninterrupted(_messages(told.get("messages") or ()))
    return told


def asked(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a request says of what is asked. The mark up to which a prompt is cached moves on with each request."""
    return {name: without(body[name], "cache_control") for name in COMPARED if name in body}


def key_of(canon: Mapping[str, Any]) -> str:
    """The same for requests that ask the same."""
    text = json.dumps(canon, sort_keys=True, ensure_ascii=False)
    # A tool's output may be cut in the middle of a letter: half a surrogate pair, which stands in the file as `?`.
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


@lru_cache(maxsize=256)
def blur(text: str) -> str:
    """The text with names in the place of what is another each time. A conversation is sent again with each request."""
    for pattern, name in BLURRED:
        text = pattern.sub(name, text)
    return text


def _messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """With the ids of tool calls by number, and each message's results in the order of the calls."""
    calls: dict[str, str] = {}
    tools: dict[str, str] = {}
    told = []
    for message in messages:
        blocks = _blocks(message.get("content"))
        for block in blocks:
            if block.get("type") == "tool_use":
                block["id"] = calls.setdefault(str(block.get("id")), f"call {len(calls) + 1}")
                tools[block["id"]] = str(block.get("name"))
        results = iter(sorted(_results(blocks, calls, tools), key=_number))
        ordered = [next(results) if "tool_use_id" in block else block for block in blocks]
        told.append({"role": message.get("role"), "content": ordered})
    return told


def _uninterrupted(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the traces of an agent that was cut off before its reply and told to go on: it asks the same."""
    told: list[dict[str, Any]] = []
    said = ""
    for message in messages:
        blocks = [_first_told(block, said) for block in message["content"]]
        left = [block for block in blocks if block.get("text") not in ("", CUT_OFF)]
        if left or not blocks:
            told.append({**message, "content": left})
        said += "".join(str(block.get("text", "")) for block in left)
    return told


def _first_told(block: dict[str, Any], said: str) -> dict[str, Any]:
    """The block; when it tells to go on with a task, that task, or nothing where that was said before."""
    text = block.get("text")
    if not isinstance(text, str) or not text.lstrip().startswith(INTERRUPTED):
        return block
    task = task_of(text)
    return {**block, "text": "" if task is None or task.strip() in said else task}


def _results(
    blocks: Sequence[dict[str, Any]], calls: dict[str, str], tools: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """The results of tool calls: tools at work side by side end in any order."""
    for block in blocks:
        if "tool_use_id" in block:
            name = str(block["tool_use_id"])
            block["tool_use_id"] = calls.setdefault(name, f"call {len(calls) + 1}")
            if "content" in block:
                block["content"] = [_stateless(each) for each in _listed(block["content"])]
                if tools.get(block["tool_use_id"]) in FINDERS:
                    block["content"] = [_in_order(each) for each in block["content"]]
            yield block


def _stateless(block: dict[str, Any]) -> dict[str, Any]:
    """The piece of a result without what the CLI has put behind it, in place of the spaces at its end."""
    text = block.get("text")
    return {**block, "text": STATE_REMINDER.sub("", text).rstrip()} if isinstance(text, str) else block


def _in_order(block: dict[str, Any]) -> dict[str, Any]:
    """The lines in the order of the alphabet, blurred before."""
    if block.get("type") != "text":
        return block
    lines = (line.rstrip() for line in blur(block["text"]).split("\n"))
    return {**block, "text": "\n".join(sorted(lines)).rstrip()}


def _number(block: Mapping[str, Any]) -> int:
    return int(str(block["tool_use_id"]).rpartition(" ")[2])


def _listed(content: Any) -> list[dict[str, Any]]:
    """A content as a list of blocks."""
    if content is None or isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [dict(block) for block in content]


def _blocks(content: Any) -> list[dict[str, Any]]:
    """What a message says, without blocks that say nothing of what is asked."""
    cleaned = map(_clean, _listed(content))
    return [block for block in cleaned if block.get("type") != "text" or block.get("text")]


def _clean(block: dict[str, Any]) -> dict[str, Any]:
    text = block.get("text")
    if block.get("type") != "text" or not isinstance(text, str):
        return block
    return {**block, "text": "" if text.startswith(BILLING) else _cleaned(text)}


def _cleaned(text: str) -> str:
    """The text without what the CLI tells of the machine, the day and the repository."""
    if not any(
        sign in text for sign in ("# ", "<system-reminder>", "-command-caveat>", "<command-", "-command-stdout>")
    ):
        return text
    shorter = STATE_REMINDER.sub(
        "", OWN_INSTRUCTIONS.sub("", SECTIONS.sub("", ENVIRONMENT.sub("", CLEARED.sub("", text))))
    )
    shorter = EMPTY_REMINDER.sub("", shorter.strip("\n"))
    return shorter if shorter == text else _cleaned(shorter)
