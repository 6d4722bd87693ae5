"""Finds the recorded answer to a request, or says what is different about it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.gateway.recording.canon import canonical, key_of
from orchestrator.gateway.recording.exchanges import Exchange
from orchestrator.gateway.recording.reading import Recording
from orchestrator.gateway.recording.trees import differences
from orchestrator.plan.words import did_you_mean, listed

AROUND, NEAR = 40, 20
"""Characters that are shown on either side of where two texts begin to differ: in full, and in a line."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why there is no answer."""

    short: str
    """In a line: what was asked, what the recording has, what to do."""
    details: str
    """The same with the file, the task, the reply and the place in the request."""


@dataclass(slots=True)
class Tape:
    """The exchanges of a task."""

    answers: dict[str, list[Exchange]] = field(default_factory=dict)
    """By what is asked, in the order in which they ended."""
    asked: Counter[str] = field(default_factory=Counter)
    """How often each has been asked for by now."""
    canons: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    """What was asked too, but never answered to its end, as the agent was ended meanwhile."""


class Tapes:
    """A recording, task by task: which of them runs when is another matter each time."""

    def __init__(self, recording: Recording) -> None:
        self._path = recording.path
        self._tapes: dict[str | None, Tape] = {}
        self._defaults: Counter[str] = Counter()
        for exchange in recording.exchanges:
            if exchange.what == "messages" and exchange.request is not None:
                self._add(exchange)

    def _add(self, exchange: Exchange) -> None:
        tape = self._tapes.setdefault(exchange.task, Tape())
        canon = canonical(exchange.request or {})
        if exchange.by_default:
            self._defaults[str(canon.get("model"))] += 1
        key = key_of(canon)
        tape.canons[key] = canon
        if is_playable(exchange):
            tape.answers.setdefault(key, []).append(exchange)
        else:
            tape.cut.add(key)

    @property
    def default_model(self) -> str | None:
        """The model of agents whose plan names none, in most of their requests; None where none was recorded."""
        return self._defaults.most_common(1)[0][0] if self._defaults else None

    def find(self, task: str | None, canon: Mapping[str, Any]) -> Exchange | None:
        """The answer; each time that the same is asked the next one, and in the end the last one again."""
        tape = self._tapes.get(task, Tape())
        key = key_of(canon)
        if not (answers := tape.answers.get(key)):
            return None
        tape.asked[key] += 1
        return answers[min(tape.asked[key], len(answers)) - 1]

    def was_ended(self, task: str | None, canon: Mapping[str, Any]) -> bool:
        """Whether the agent was ended in the recording before it had this answer, or before it asked for anything while
        others of its group did: as one whose vote was not needed any more."""
        if tape := self._tapes.get(task):
            return key_of(canon) in tape.cut
        group, bracket, _ = (task or "").rpartition("[")
        return bool(bracket) and any(name and name.startswith(f"{group}[") for name in self._tapes)

    def explain(self, task: str | None, canon: Mapping[str, Any]) -> Mismatch:
        """Why there is no answer: what is different, and what to do."""
        if not (tape := self._tapes.get(task)):
            known = [name for name in self._tapes if name]
            guess = did_you_mean(task or "", known)
            return self._mismatch(
                f"the recording has no task {task!r}{guess}",
                f"{self._path} has no task {task!r}{guess}; it has {listed(known, 5)}",
            )
        if key_of(canon) in tape.cut:
            return self._mismatch(
                "in the recording the agent was ended before it had this answer",
                f"in {self._path} the agent of task {task!r} was ended before it had this answer",
            )
        return self._compare(task, canon, max(tape.canons.values(), key=lambda known: likeness(known, canon)))

    def _compare(self, task: str | None, canon: Mapping[str, Any], nearest: Mapping[str, Any]) -> Mismatch:
        path, recorded, found = next(differences(nearest, canon), ("", None, None))
        there, here = around(recorded, found, NEAR)
        told, given = around(recorded, found, AROUND)
        where = "" if path.startswith("messages") else f"{path}: "
        return self._mismatch(
            f"{where}asked {here}, recorded {there}",
            f"{self._path} has no such request of task {task!r} (the agent's reply {replies(canon) + 1}): "
            f"{path} differs: recorded {told}, found {given}",
        )

    def _mismatch(self, short: str, details: str) -> Mismatch:
        what_to_do = f"record again with --record {self._path} --overwrite, or run it as it was recorded"
        return Mismatch(f"{short}: record again with --record", f"{details}: {what_to_do}")

    def unasked(self) -> dict[str | None, int]:
        """How many answers were never asked for, by task; those left out that the CLI asked for itself."""
        left: dict[str | None, int] = {}
        for task, tape in self._tapes.items():
            unused = (
                sum(1 for each in answers[tape.asked[key] :] if not each.small) for key, answers in tape.answers.items()
            )
            if number := sum(unused):
                left[task] = number
        return left


def is_playable(exchange: Exchange) -> bool:
    """Whether it has an answer that came to its end."""
    return exchange.complete and exchange.reply is not None and exchange.status > 0


def likeness(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[int, int, int]:
    """How far two requests go alike: how many messages from the beginning, how near their numbers are, and how many of
    the other fields are the same."""
    mine, theirs = found.get("messages", ()), recorded.get("messages", ())
    same = next(
        (index for index, (one, other) in enumerate(zip(mine, theirs, strict=False)) if one != other),
        min(len(mine), len(theirs)),
    )
    fields = sum(1 for name in found if name != "messages" and found[name] == recorded.get(name))
    return same, -abs(len(mine) - len(theirs)), fields


def replies(canon: Mapping[str, Any]) -> int:
    """How many replies the conversation has so far."""
    return sum(1 for message in canon.get("messages", ()) if message.get("role") == "assistant")


def around(recorded: Any, found: Any, far: int) -> tuple[str, str]:
    """Both, shortened to what is around the first difference, so many characters on either side."""
    if not isinstance(recorded, str) or not isinstance(found, str):
        return brief(recorded, far), brief(found, far)
    pairs = zip(recorded, found, strict=False)
    at = next((index for index, (one, other) in enumerate(pairs) if one != other), min(len(recorded), len(found)))
    return excerpt(recorded, at, far), excerpt(found, at, far)


def excerpt(text: str, at: int, far: int) -> str:
    start, end = max(at - far, 0), at + far
    return repr(("…" if start else "") + text[start:end] + ("…" if end < len(text) else ""))


def brief(value: Any, far: int) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 2 * far else f"{text[: 2 * far]}…"


def told_left(left: Mapping[str | None, int], most: int = 5) -> str:
    """`3 recorded requests were not asked for: of check (2), report (1)`"""
    number = sum(left.values())
    names = [f"{task or 'no task'} ({count})" for task, count in list(left.items())[:most]]
    more = f" and {len(left) - most} more tasks" if len(left) > most else ""
    return f"{number} recorded request{'s were' if number != 1 else ' was'} not asked for: of {', '.join(names)}{more}"
