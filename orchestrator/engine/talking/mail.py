"""What agents have told each other: a fold over a run's messages and its blackboard."""

from bisect import bisect
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.events import Event, MessageSent, MessagesRead, Published


@dataclass(frozen=True, slots=True)
class Note:
    """What is on the blackboard under a key."""

    key: str
    value: Any
    by: str
    number: int
    """Counted from 1 over all that was ever published in the run."""


@dataclass(slots=True)
class Mail:
    """A run's messages and its blackboard, whole: also of the times before the run was gone on with."""

    sent: list[MessageSent] = field(default_factory=list)
    board: dict[str, Note] = field(default_factory=dict)
    _published: int = 0
    _boxes: dict[str, list[MessageSent]] = field(default_factory=dict)
    """By who they are for."""
    _read: dict[tuple[str, str], int] = field(default_factory=dict)
    """Up to which number, by task and session: a session that is new knows nothing yet."""
    _same: dict[tuple[str, str, str], list[MessageSent]] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        """Folds one event of the run in."""
        match event:
            case MessageSent():
                self.sent.append(event)
                self._boxes.setdefault(event.to, []).append(event)
                self._same.setdefault((event.task, event.to, event.text), []).append(event)
            case MessagesRead(task=task, session_id=session, up_to=number):
                self._read[task, session] = max(number, self._read.get((task, session), 0))
            case Published(task=task, key=key, value=value):
                self._published += 1
                self.board[key] = Note(key, value, task, self._published)

    def unread(self, task: str, session: str) -> Sequence[MessageSent]:
        """What a session of the task has not been given yet, in the order in which it was sent."""
        box = self._boxes.get(task, [])
        return box[bisect(box, self._read.get((task, session), 0), key=lambda message: message.number) :]

    def same(self, sender: str, to: str, text: str) -> Sequence[MessageSent]:
        """The messages that were just this."""
        return self._same.get((sender, to, text), ())

    @property
    def next_number(self) -> int:
        return len(self.sent) + 1


@dataclass(slots=True)
class Replays:
    """Tells what an attempt does anew from what it does once more, having been cut off in an earlier attempt.

    The same thing done for the nth time by one attempt is the nth that there ever was of it.
    """

    _counts: Counter[tuple[Any, ...]] = field(default_factory=Counter)

    def take(self, task: str, attempt: int, what: tuple[str, ...]) -> int:
        """How often the attempt has done it before."""
        done = self._counts[task, attempt, what]
        self._counts[task, attempt, what] += 1
        return done


def numbered(messages: Sequence[MessageSent]) -> Iterator[dict[str, Any]]:
    """The messages as an agent is given them."""
    return ({"number": each.number, "from": each.task, "text": each.text} for each in messages)
