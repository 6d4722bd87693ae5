"""What voters said, counted: equal answers together, the most frequent first. Pure functions of their results."""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.task import Outcome, Result, Status, plain

Rule = Callable[[Sequence[Result]], Result | None]
"""Chooses among the results of the voters that succeeded, in their order; None: none of them."""
Ties = Literal["fail", "first"]
MOST_NAMED = 4
"""Candidates that a sentence names."""
LONGEST_NAME = 60
_FENCE = re.compile(r"```[^\n]*\n(.*?)\n?```", re.DOTALL)
_MARK = re.compile(r"(?:#+|[>*+-])\s+")
"""What begins a line of markdown that is a heading, a quotation or one of a list."""
_PAIRS = ("**", "__", "*", "_", "`", '"', "'", "“”", "‘’", "«»", "„“", "()", "[]")
_MISSING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An answer, and who gave it."""

    text: str
    """As the first of its voters put it."""
    value: Any = None
    """Its structured value, or the part of it that was voted on; None for text."""
    tasks: tuple[str, ...]
    """Its voters, in their order."""

    @property
    def count(self) -> int:
        """How many votes it has."""
        return len(self.tasks)

    @property
    def name(self) -> str:
        """The answer in a few words, as `'blue'`."""
        if self.value is None:
            line = " ".join(self.text.split())
        else:
            line = self.value if isinstance(self.value, str) else json.dumps(plain(self.value), ensure_ascii=False)
        short = line if len(line) <= LONGEST_NAME else line[: LONGEST_NAME - 1] + "…"
        return short if self.value is not None and not isinstance(self.value, str) else f"'{short}'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What a vote came to. One that came to nothing has no winner, and says why in `error`."""

    task: str
    """The vote's own id; its voters are `task[0]`, `task[1]`, …"""
    results: list[Result]
    """Of all voters, in their order; those that were not needed any more, or failed, have no vote."""
    candidates: tuple[Candidate, ...]
    """Most votes first, and then by the first of their voters."""
    winner: Result | None = None
    """The result of the first voter that gave the winning answer."""
    outcome: Outcome = Outcome.OK
    error: str | None = None
    """Why there is no winner."""
    reason: str | None = None
    """The judge's."""
    by: str = "majority"
    """`majority`, `judge`, or the name of the function that chose."""

    @property
    def ok(self) -> bool:
        """Whether there is a winner."""
        return self.winner is not None

    @property
    def text(self) -> str:
        """The winner's; empty when there is none."""
        return self.winner.text if self.winner else ""

    @property
    def value(self) -> Any:
        """The winner's."""
        return self.winner.value if self.winner else None

    @property
    def tie(self) -> bool:
        """Whether two answers or more had the most votes."""
        return is_tie(self.candidates)

    @property
    def unanimous(self) -> bool:
        """Whether all who voted gave one answer."""
        return len(self.candidates) == 1

    @property
    def agreement(self) -> float:
        """The winning answer's share of the votes, 0 to 1; 0 when there is no winner."""
        votes = sum(each.count for each in self.candidates)
        won = self.winner and next((each.count for each in self.candidates if self.winner.task in each.tasks), 0)
        return (won or 0) / votes if votes else 0.0

    @property
    def failed(self) -> list[Result]:
        """Of the voters that did not succeed, other than those that were not needed."""
        return [result for result in self.results if result.outcome.status in (Status.FAILED, Status.CANCELLED)]

    @property
    def note(self) -> str:
        """How it came about, in a sentence: `2 of 3 say 'blue', 1 says 'green'`."""
        counted = told_counts(self)
        if self.by != "majority" and self.ok and not self.unanimous:
            chosen = next((each.name for each in self.candidates if self.winner and self.winner.task in each.tasks), "")
            who = "the judge" if self.by == "judge" else self.by
            return f"{who} chose {chosen}{f' ({self.reason})' if self.reason else ''}: {counted}"
        if self.tie:
            return f"a tie{', and the first one taken' if self.ok else ''}: {counted}"
        return counted


def majority(results: Sequence[Result], on: str | None = None) -> Result | None:
    """The result that most of them agree with, the earliest of these; None on a tie, or when none succeeded.

    Structured values are compared as JSON data (the order of keys makes no difference), with `on`, a dotted path as
    `finding.severity`, that part of them alone. Texts are compared without regard to case, white space, and the
    punctuation and markdown around them. Those that failed have no vote.
    """
    candidates = count_votes(results, on)
    if not candidates or is_tie(candidates):
        return None
    return first_of(candidates[0], results)


def count_votes(results: Sequence[Result], on: str | None = None) -> tuple[Candidate, ...]:
    """The answers, most votes first, then by the first of their voters. `results` are in the voters' order."""
    found: dict[str, list[Result]] = {}
    for result in results:
        vote = part_of(result, on) if result.ok else _MISSING
        if vote is not _MISSING:
            found.setdefault(sameness(result, vote), []).append(result)
    candidates = [
        Candidate(
            text=same[0].text,
            value=plain(part_of(same[0], on)),
            tasks=tuple(result.task for result in same),
        )
        for same in found.values()
    ]
    return tuple(sorted(candidates, key=lambda each: -each.count))


def is_tie(candidates: Sequence[Candidate]) -> bool:
    """Whether there is more than one answer with the most votes."""
    return len(candidates) > 1 and candidates[0].count == candidates[1].count


def is_decided(candidates: Sequence[Candidate], outstanding: int) -> bool:
    """Whether no vote of those that are outstanding can change the winner."""
    counts = [each.count for each in candidates[:2]] + [0, 0]
    return counts[0] > counts[1] + outstanding


def first_of(candidate: Candidate, results: Sequence[Result]) -> Result:
    """The result of the answer's first voter."""
    return next(result for result in results if result.task == candidate.tasks[0])


def lacks(result: Result, on: str | None) -> bool:
    """Whether a voter that succeeded has nothing at the path that is voted on, and so no vote."""
    return result.ok and part_of(result, on) is _MISSING


def part_of(result: Result, on: str | None) -> Any:
    """What is voted on: the value, or what is at that path in it."""
    found = plain(result.value)
    for name in on.split(".") if on else ():
        if isinstance(found, Mapping) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return _MISSING
    return found


def sameness(result: Result, vote: Any) -> str:
    """Equal for equal answers."""
    if result.value is None:
        return f"text {normal(result.text)}"
    return json.dumps(numbers_alike(vote), sort_keys=True)


def numbers_alike(value: Any) -> Any:
    """JSON data in which 2.0 is 2."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {key: numbers_alike(item) for key, item in value.items()}
        case list():
            return [numbers_alike(item) for item in value]
    return value


def normal(text: str) -> str:
    """The text without what makes no difference: case, white space, punctuation and markdown around it."""
    bare = unicodedata.normalize("NFC", text).strip()
    if fenced := _FENCE.fullmatch(bare):
        bare = fenced[1]
    while (shorter := peeled(bare)) != bare:
        bare = shorter
    return " ".join((bare or text).casefold().split())


def peeled(text: str) -> str:
    """The text without one layer of what is around it. Signs that belong to it stay: `-5`, `.5`, `C++`."""
    text = text.strip()
    if mark := _MARK.match(text):
        return text[mark.end() :]
    for pair in _PAIRS:
        opening, closing = (pair, pair) if len(set(pair)) == 1 else (pair[0], pair[1])
        if len(text) > len(opening) + len(closing) and text.startswith(opening) and text.endswith(closing):
            return text[len(opening) : -len(closing)]
    return text.rstrip(".,;:!?…。").lstrip(",;:!?…¡¿") or text


def told_counts(vote: Vote) -> str:
    """Who said what: `2 of 3 say 'blue', 1 says 'green', 1 failed`."""
    voters, candidates = len(vote.results), vote.candidates
    if vote.unanimous and candidates[0].count == voters > 1:
        return f"all {voters} say {candidates[0].name}"
    said = [f"{each.count} {'says' if each.count == 1 else 'say'} {each.name}" for each in candidates[:MOST_NAMED]]
    if said:
        said[0] = said[0].replace(" ", f" of {voters} ", 1)
    if others := sum(each.count for each in candidates[MOST_NAMED:]):
        said.append(f"{others} something else")
    voted = sum(each.count for each in candidates)
    unneeded = sum(result.outcome is Outcome.UNNEEDED for result in vote.results)
    failed = len(vote.failed)
    rest = [(failed, "failed"), (unneeded, "not needed"), (voters - voted - failed - unneeded, "without a vote")]
    return ", ".join([*said, *(f"{count} {what}" for count, what in rest if count)])
