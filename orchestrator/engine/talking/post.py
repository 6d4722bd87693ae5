"""How agents at work speak with each other: messages, and a blackboard."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio

from orchestrator.engine.talking.floor import Caller, Floor
from orchestrator.engine.talking.mail import Mail, Replays, numbered
from orchestrator.errors import UsageError
from orchestrator.events import (
    AgentMessage,
    AttemptFinished,
    AttemptStarted,
    Event,
    MessageSent,
    MessagesRead,
    Published,
)
from orchestrator.plan.words import did_you_mean, listed, shorten
from orchestrator.state import FINISHED
from orchestrator.task import Outcome

ALL = "*"
MOST_VALUE = 1_000_000
"""Characters of a value on the blackboard, as JSON."""


@dataclass(slots=True)
class Post:
    """Carries messages and keeps the blackboard, both in the journal."""

    floor: Floor
    mail: Mail
    _replays: Replays = field(default_factory=Replays)
    _given: dict[str, MessagesRead] = field(default_factory=dict)
    """By task: what has been given to an agent, as long as nothing shows that it is in its session's transcript."""
    _talking: set[str] = field(default_factory=set)
    """Agents that have been at work and can read messages: of those that have yet to begin their nodes tell."""
    listening: Counter[str] = field(default_factory=Counter)
    """Tasks whose agents wait for others' words, and in how many calls."""
    _news: anyio.Event = field(default_factory=anyio.Event)

    async def send_message(self, caller: Caller, given: Mapping[str, Any]) -> Any:
        """Writes down what is sent before the sender is told that it was."""
        to, text = given["to"], given["text"]
        others = self._others(caller.task) if to == ALL else [self._find(caller.task, to)]
        if not others:
            raise UsageError(f"to: found {ALL}, and nobody else is there to read it now")
        sent = [self._send(caller, other, text) for other in others]
        await self.floor.flush()
        return {"sent": [{"to": each.to, "number": each.number} for each in sent]}

    async def read_messages(self, caller: Caller, given: Mapping[str, Any]) -> Any:
        """Those that the caller's session has not been given, waited for if need be."""
        session = self.floor.session(caller)
        self.seen(caller.task)
        await self._await(lambda: bool(self.mail.unread(caller.task, session)), caller, "messages", given)
        unread = self.mail.unread(caller.task, session)
        if unread:
            number = unread[-1].number
            self._given[caller.task] = MessagesRead(task=caller.task, session_id=session, up_to=number)
        return {"messages": list(numbered(unread))}

    async def publish(self, caller: Caller, given: Mapping[str, Any]) -> Any:
        """The last value wins; the same one again is no news."""
        key, value = given["key"], given["value"]
        if (size := len(json.dumps(value))) > MOST_VALUE:
            raise UsageError(f"value: found {size} characters of JSON, expected {MOST_VALUE} at most: use a file")
        note = self.mail.board.get(key)
        if note is None or (note.value, note.by) != (value, caller.task):
            self._tell(Published(task=caller.task, key=key, value=value))
            await self.floor.flush()
        return {"key": key, "number": self.mail.board[key].number}

    async def lookup(self, caller: Caller, given: Mapping[str, Any]) -> Any:
        """What is on the blackboard."""
        board, key = self.mail.board, given.get("key")
        if key is None:
            return {"keys": [{"key": each.key, "by": each.by, "number": each.number} for each in board.values()]}
        await self._await(lambda: key in board, caller, f"{shorten(key)} on the blackboard", given)
        if key not in board:
            there = f"there are {listed(board)}" if board else "nothing has been published yet"
            raise UsageError(f"key: found {key!r}{did_you_mean(key, board)}, and nobody has published that: {there}")
        return {"key": key, "value": board[key].value, "by": board[key].by, "number": board[key].number}

    def heed(self, event: Event) -> None:
        """An agent has what it was given once its stream tells what its tool gave, or once it has ended well."""
        match event:
            case AttemptStarted(task=task, agent={"talk": True}):
                self._talking.add(task)
            case AgentMessage(type="UserMessage", task=task) | AttemptFinished(outcome=Outcome.OK, task=task):
                self.seen(task)
            case AttemptFinished(task=task):  # its session may not know them
                self._given.pop(task, None)

    def seen(self, task: str) -> None:
        """Writes down what the task's agent has been given: from now on its session knows it."""
        if (read := self._given.pop(task, None)) is not None:
            self._tell(read)

    def _send(self, caller: Caller, to: str, text: str) -> MessageSent:
        before = self._replays.take(caller.task, caller.attempt, (to, text))
        same = self.mail.same(caller.task, to, text)
        if before < len(same):
            return same[before]
        message = MessageSent(task=caller.task, to=to, number=self.mail.next_number, text=text)
        self._tell(message)
        return message

    def _tell(self, event: MessageSent | MessagesRead | Published) -> None:
        self.mail.apply(event)
        self.floor.emit(event)
        if not isinstance(event, MessagesRead):
            self._news.set()
            self._news = anyio.Event()

    async def _await(self, is_there: Any, caller: Caller, what: str, given: Mapping[str, Any]) -> None:
        """Waits for news as long as the caller says, if there is none; its place is lent meanwhile."""
        seconds = given.get("wait_s", 0)
        if is_there() or not seconds:
            return
        self.listening[caller.task] += 1
        try:
            async with self.floor.waiting(caller, what):
                with anyio.move_on_after(seconds):
                    while not is_there():
                        await self._news.wait()
        finally:
            self.listening[caller.task] -= 1
            self.listening = +self.listening

    def _others(self, task: str) -> list[str]:
        """The agents that may read messages, and have not ended."""
        there = (other for other in self.floor.nodes if other != task and self._reads(other))
        return [other for other in there if not self._has_ended(other)]

    def _reads(self, task: str) -> bool:
        """Whether the task's agent can read messages."""
        return task in self.floor.nodes and (self.floor.nodes[task].talk or task in self._talking)

    def _has_ended(self, task: str) -> bool:
        return self.floor.state.tasks[task].status in FINISHED

    def _find(self, task: str, to: str) -> str:
        """Who is meant. Raises UsageError that says who is there."""
        other = self.floor.named(task, to)
        if other != task and self._reads(other) and not self._has_ended(other):
            return other
        others = self._others(task)
        if other == task:
            why = "that is you"
        elif other not in self.floor.nodes:
            why = f"there is no such task{did_you_mean(to, others)}"
        elif self._has_ended(other):
            why = "that task has ended, and its agent reads nothing more: ask it instead"
        else:
            why = "that one has no tool to read messages"
        there = f"you can write to {listed(others)}" if others else "nobody else is there to be written to now"
        raise UsageError(f"to: found {to!r}: {why}; {there}")
