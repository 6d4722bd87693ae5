"""Plays the steps of a rehearsal: finds from the messages how far it has come, and makes the next reply."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.gateway.errors import ApiError
from orchestrator.gateway.model.answer import MARK
from orchestrator.gateway.model.conversation import ANSWER_TOOL, Conversation, Turn, Use
from orchestrator.gateway.model.steps import Answer, Bash, Edit, End, Fail, Read, RunTool, Say, Step, Wait, Write
from orchestrator.gateway.wire import Block, text_block, tool_block
from orchestrator.tools import PREFIX

GIVEN = "<given>"
"""In a text of a step: what the last call of one of the run's tools gave."""

Spend = Callable[[int, Fail], bool]
"""Whether the `fail` step of this index has a failure left; if so it is spent."""


@dataclass(frozen=True, slots=True)
class Move:
    """What the rehearsal has for a request."""

    blocks: Sequence[Block] = ()
    """The reply."""
    wait: float = 0.0
    """Seconds to let pass first."""
    error: ApiError | None = None
    """Answered instead of the reply."""
    resets_in: float | None = None
    """Seconds, where the error is a usage limit."""
    over: bool = False
    """Whether no step is left: the reply holds the last words, and a typed result is still due."""


def play(steps: Sequence[Step], conversation: Conversation, spend: Spend, start: int = 0) -> Move:
    """The next reply. `start` is the index of the turn that the rehearsal began in."""
    player = _Player(conversation, spend, start)
    for index, step in enumerate(steps):
        if move := player.take(index, step):
            return move
    return player.end()


@dataclass
class _Player:
    conversation: Conversation
    spend: Spend
    start: int
    texts: list[str] = field(default_factory=list)
    given: str = ""
    wait: float = 0.0
    fails: list[tuple[int, Fail, float]] = field(default_factory=list)
    """Met since the last reply, each with the wait before it."""

    def __post_init__(self) -> None:
        turns = self.conversation.turns
        self.known = {_path(use) for turn in turns[: self.start] for use in turn.uses if _shows(use)}
        self.made: list[Use | str] = [each for turn in turns[self.start :] for each in _in_order(turn)]

    def take(self, index: int, step: Step) -> Move | None:
        """The reply, when this step is the next one; None when it has been done, or belongs to a later reply."""
        match step:
            case Say(text):
                self.texts.append(text.replace(GIVEN, self.given))
            case End(text):
                return self._end_turn(text.replace(GIVEN, self.given))
            case Wait(seconds):
                self.wait += seconds
            case Fail():
                self.fails.append((index, step, self.wait))
                self.wait = 0.0
            case Write() | Edit() | Bash() | Read() | RunTool() | Answer():
                return self._call(step)
        return None

    def end(self) -> Move:
        """The reply behind the last step."""
        return self._checked(Move([text_block(text) for text in self.texts], self.wait, over=True))

    def _end_turn(self, text: str) -> Move | None:
        while self.made and isinstance(said := self.made[0], str):
            self.made.pop(0)
            if said.endswith(text.strip()):
                self._reached()
                self.texts.clear()
                return None
        return self._checked(Move([*map(text_block, self.texts), text_block(text)], self.wait))

    def _call(self, step: Write | Edit | Bash | Read | RunTool | Answer) -> Move | None:
        name = _tool(step)
        if name not in self.conversation.tools:
            self.texts.append(f"{MARK} This step needs the tool {name}, which is not offered: {step}.")
            return None
        call = _to_call(step, name, self.conversation, self.given)
        # The Edit tool refuses a file that was not read.
        if isinstance(step, Edit) and (move := self._read_first(str(call["input"]["file_path"]))):
            return move
        use = self._pass(name)
        if use is None:
            return self._reply(call)
        if isinstance(step, RunTool):
            self.given = use.result
        if isinstance(step, Write) and use.failed and "read" in use.result.lower():
            path = str(call["input"]["file_path"])
            if move := self._read_first(path):
                return move
            if self._pass(name) is None:
                return self._reply(call)
        self.texts.clear()
        return None

    def _read_first(self, path: str) -> Move | None:
        if path in self.known or "Read" not in self.conversation.tools:
            return None
        self.known.add(path)
        if self._pass("Read") is None:
            return self._checked(Move([tool_block("Read", {"file_path": path})], self.wait))
        return None

    def _reply(self, call: Block) -> Move:
        return self._checked(Move([*map(text_block, self.texts), call], self.wait))

    def _checked(self, move: Move) -> Move:
        for index, fail, wait in self.fails:
            if self.spend(index, fail):
                return Move(wait=wait, error=fail.to_error(), resets_in=fail.resets_in)
        return move

    def _pass(self, name: str) -> Use | None:
        """The next call that was made, when it is of this tool."""
        calls = [each for each in self.made if isinstance(each, Use)]
        if not calls or calls[0].name != name:
            return None
        use = calls[0]
        del self.made[: self.made.index(use) + 1]
        if _shows(use):
            self.known.add(_path(use))
        self._reached()
        return use

    def _reached(self) -> None:
        self.wait = 0.0
        self.fails.clear()


def _tool(step: Step) -> str:
    match step:
        case Answer():
            return ANSWER_TOOL
        case RunTool(tool):
            return PREFIX + tool
    return type(step).__name__


def _to_call(
    step: Write | Edit | Bash | Read | RunTool | Answer, name: str, conversation: Conversation, given: str
) -> Block:
    match step:
        case Write(path, text):
            filled = text.replace(GIVEN, given)
            return tool_block(name, {"file_path": conversation.locate(path), "content": filled})
        case RunTool(_, arguments):
            return tool_block(name, {key: _filled(value, given) for key, value in arguments.items()})
        case Edit(path, old, new):
            return tool_block(name, {"file_path": conversation.locate(path), "old_string": old, "new_string": new})
        case Bash(command):
            return tool_block(name, {"command": command, "description": "A step of the rehearsal"})
        case Read(path):
            return tool_block(name, {"file_path": conversation.locate(path)})
        case Answer(value):
            return tool_block(name, value)


def _filled(value: Any, given: str) -> Any:
    """The value with what the last tool gave in the place of its mark."""
    match value:
        case str():
            return value.replace(GIVEN, given)
        case Mapping():
            return {key: _filled(item, given) for key, item in value.items()}
        case list():
            return [_filled(item, given) for item in value]
    return value


def _in_order(turn: Turn) -> Iterator[Use | str]:
    """What the agent did and said: its calls, but for those due again, and the words of each reply without any."""
    words = list(turn.words)
    for index, use in enumerate(turn.uses):
        while words and words[0][0] <= index:
            yield words.pop(0)[1]
        if not use.is_due_again:
            yield use
    yield from (text for _, text in words)


def _shows(use: Use) -> bool:
    return use.name in ("Read", "Write", "Edit") and not use.failed


def _path(use: Use) -> str:
    return str(use.input.get("file_path"))
