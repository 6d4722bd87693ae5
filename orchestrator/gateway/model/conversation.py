"""Reads a request: who asks for what, where, with which tools, and what has been done so far."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from orchestrator.gateway.seam import Call
from orchestrator.prompts import goes_on, question_of, task_of

ANSWER_TOOL = "StructuredOutput"
"""The CLI's tool by which an agent gives its typed result."""

# What the CLI puts among the user's words: reminders, the traces of its own commands, and nudges.
_INSERTED = re.compile(
    r"<(system-reminder|local-command-\w+|command-\w+|task-notification)>.*?</\1>"
    r"|\[Request interrupted by user[^\]]*\]|\A\s*\[structured-output-enforce\].*\Z",
    re.DOTALL,
)
_CUT_OFF = (
    "[Tool call interrupted",
    "stopped while running, not refused",
    "The tool call was interrupted before a result",
)
"""What the CLI says in place of the result of a call that a kill, or an interruption, has cut off; the last
of a call to an MCP server."""
_TITLE = re.compile(r"\b(session |concise |short )title\b|\btopic title\b", re.IGNORECASE)
# Of a session that goes on elsewhere the CLI says: `Working directory: /new (was /old)`.
_DIRECTORY = re.compile(r"(?:[Pp]rimary )?[Ww]orking directory:? +`?(/[^\n`]*?)(?: \(was /[^\n]*\))?(?=[\n`]|\Z)")


@dataclass(slots=True)
class Use:
    """A call of a tool, and what came of it."""

    id: str
    name: str
    input: Mapping[str, Any]
    result: str = ""
    failed: bool = False
    """Whether it was refused or gave an error."""

    @property
    def is_due_again(self) -> bool:
        """Whether it was cut off, so that nobody knows its effect, and does no harm when it is made once more."""
        return self.failed and self.name != "Bash" and any(words in self.result for words in _CUT_OFF)


@dataclass(slots=True)
class Turn:
    """A prompt and the tool calls made for it, also those after it was told to go on with it."""

    prompt: str
    uses: list[Use] = field(default_factory=list)
    words: list[tuple[int, str]] = field(default_factory=list)
    """Replies that called no tool, each with the number of calls before it."""
    begun: int = 0
    """How many calls there were when it was last told to go on."""

    def made(self, *names: str) -> bool:
        """Whether one of these tools was called, with whatever result, and need not be called again."""
        return any(use.name in names and not use.is_due_again for use in self.uses)

    @property
    def answered(self) -> bool:
        """Whether the typed result was given: once more each time that it is told to go on."""
        return any(use.name == ANSWER_TOOL for use in self.uses[self.begun :])


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a request says."""

    turns: Sequence[Turn]
    """Never empty; the last one is the one to go on with."""
    tools: Mapping[str, Mapping[str, Any]]
    """Input schemas by the names of the tools on offer."""
    directory: PurePosixPath | None
    """Where the agent works."""
    seed: str
    """The same for the same messages, another after each reply."""
    model: str
    small: bool
    """Whether the CLI asks for itself (a title, a probe) and not for the agent."""
    format: Mapping[str, Any] | None
    """A schema that the text of the reply must fulfil."""

    @property
    def turn(self) -> Turn:
        """The turn in progress."""
        return self.turns[-1]

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """The schema of the typed result that the agent must give."""
        return self.tools.get(ANSWER_TOOL)

    @property
    def uses(self) -> list[Use]:
        """The tool calls of all turns, oldest first."""
        return [use for turn in self.turns for use in turn.uses]

    def locate(self, path: str) -> str:
        """The path as the CLI's tools want it: absolute."""
        return str(self.directory / path) if self.directory else path

    def shorten(self, path: str) -> str:
        """The path as people write it: relative to where the agent works."""
        place = PurePosixPath(path)
        if self.directory and place.is_relative_to(self.directory):
            return str(place.relative_to(self.directory))
        return str(place)


def read_conversation(call: Call) -> Conversation:
    """What the call says. Parts of an unexpected shape are passed over."""
    body = call.body
    tools = {tool["name"]: tool.get("input_schema") or {} for tool in body.get("tools") or () if "name" in tool}
    return Conversation(
        turns=_read_turns(body["messages"]) or [Turn("")],
        tools=tools,
        directory=_find_directory(body),
        seed=_seed(call),
        model=str(body["model"]),
        small=is_small(body, call.headers),
        format=_find_format(body),
    )


def _read_turns(messages: Sequence[Mapping[str, Any]]) -> list[Turn]:
    turns: list[Turn] = []
    uses: dict[str, Use] = {}
    for message in messages:
        blocks = _blocks(message)
        if message["role"] == "user":
            for block in blocks:
                _note_result(block, uses)
            _read_prompts(_spoken(blocks), turns)
        elif message["role"] == "assistant":
            made = {use.id: use for use in _read_uses(blocks)}
            uses.update(made)
            if turns:
                turns[-1].uses += made.values()
            if turns and not made:
                turns[-1].words.append((len(turns[-1].uses), "\n".join(_spoken(blocks))))
    return turns


def _read_prompts(texts: Sequence[str], turns: list[Turn]) -> None:
    """A prompt that goes on with a task begins no new turn, unless the task is not there to go on with."""
    if new := "\n".join(text for text in texts if not goes_on(text)):
        turns.append(Turn(question_of(new) or new))
    for text in filter(goes_on, texts):
        task = task_of(text)
        if not turns or (task is not None and task.strip() not in turns[-1].prompt):
            turns.append(Turn((task or text).strip()))
        turns[-1].begun = len(turns[-1].uses)


def _blocks(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _spoken(blocks: Sequence[Mapping[str, Any]]) -> list[str]:
    texts = (_INSERTED.sub("", block.get("text") or "").strip() for block in blocks if block["type"] == "text")
    return [text for text in texts if text]


def _read_uses(blocks: Sequence[Mapping[str, Any]]) -> Iterator[Use]:
    for block in blocks:
        if block["type"] == "tool_use":
            yield Use(str(block.get("id")), str(block.get("name")), block.get("input") or {})


def _note_result(block: Mapping[str, Any], uses: Mapping[str, Use]) -> None:
    if block["type"] != "tool_result" or (use := uses.get(str(block.get("tool_use_id")))) is None:
        return
    content = block.get("content") or ""
    use.result = content if isinstance(content, str) else "\n".join(part.get("text") or "" for part in content)
    use.failed = bool(block.get("is_error"))


def _find_directory(body: Mapping[str, Any]) -> PurePosixPath | None:
    found = [match for text in _told_by_cli(body) for match in _DIRECTORY.findall(text)]
    return PurePosixPath(found[-1].strip()) if found else None


def _told_by_cli(body: Mapping[str, Any]) -> Iterator[str]:
    system = body.get("system") or ()
    yield from (system,) if isinstance(system, str) else (block.get("text") or "" for block in system)
    for message in body["messages"]:
        texts = (block.get("text") or "" for block in _blocks(message) if block["type"] == "text")
        if message["role"] == "system":
            yield from texts
        elif message["role"] == "user":
            yield from (text for text in texts if text.lstrip().startswith("<system-reminder>"))


def _seed(call: Call) -> str:
    # Neither cache marks nor the system prompt: a request sent again must give the same ids.
    said = [
        [
            message["role"],
            *((block.get("text"), block.get("id"), block.get("tool_use_id")) for block in _blocks(message)),
        ]
        for message in call.body["messages"]
        if message["role"] != "system"
    ]
    return hashlib.sha256(json.dumps([call.session_id, said]).encode()).hexdigest()[:20]


def is_small(body: Mapping[str, Any], headers: Mapping[str, str]) -> bool:
    """Whether the CLI asks for itself (a title, a probe) and not for the agent. `headers`: names in lower case."""
    if headers.keys() & {"x-claude-code-auxiliary-type", "x-claude-code-compaction"}:
        return True
    if body.get("max_tokens") == 1:
        return True
    system = " ".join(_told_by_cli({**body, "messages": []}))
    return not body.get("tools") and bool(_TITLE.search(system))


def _find_format(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    config = body.get("output_config")
    wanted = (config.get("format") if isinstance(config, Mapping) else None) or body.get("output_format")
    if isinstance(wanted, Mapping) and isinstance(schema := wanted.get("schema"), Mapping):
        return schema
    return None
