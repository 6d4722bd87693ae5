"""What a field of a schema is about, and what the evidence has for it."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from orchestrator.gateway.model.evidence import Evidence
from orchestrator.gateway.model.questions import make_questions, name_topic
from orchestrator.gateway.model.sums import find_sum
from orchestrator.gateway.model.wishes import find_count

_PLACES = {
    "evidence",
    "source",
    "sources",
    "file",
    "files",
    "path",
    "location",
    "line",
    "where",
    "reference",
    "citation",
}
_GAPS = {"gap", "gaps", "missing", "todo", "lacking", "absent", "unanswered"}
_QUESTIONS = {"question", "questions", "query", "queries"}
_TITLES = {"title", "headline", "headlines", "heading", "name", "subject", "label"}
_TOPICS = {"topic", "category", "theme", "area"}
_COUNTS = {"count", "total", "number", "matches", "hits", "occurrences"}
_RESULTS = {"result", "answer", "value", "product", "sum", "solution"}

_BEST = {"yes", "true", "full", "fully", "pass", "passed", "good", "high", "ok", "complete", "supported", "approve"}
_BEST |= {"answered", "covered", "present", "found", "correct", "valid", "always", "critical"}
_WORST = {"no", "none", "not", "false", "missing", "absent", "fail", "failed", "never", "bad", "low", "wrong", "reject"}
_WORST |= {"unanswered", "uncovered", "invalid", "incorrect", "nothing", "unsupported", "rejected", "zero", "info"}
_MIDDLE = {"partial", "partially", "partly", "some", "maybe", "medium", "mixed", "unclear", "unknown", "sometimes"}

ENOUGH, HALF = 0.75, 0.35
"""From these shares of the topic's words in one place on, a question counts as answered, and as partly answered."""


@dataclass(frozen=True)
class Hints:
    """What is known where a value is to be chosen."""

    evidence: Evidence
    prompt: str
    field: str = ""
    """The property's name; of an item, that of its list."""
    about: str = ""
    """Its description and title."""
    index: int = 0
    """Which item of a list."""

    def into(self, field: str, schema: Any) -> "Hints":
        """The hints for a property."""
        told = [schema.get("title", ""), schema.get("description", "")] if isinstance(schema, Mapping) else []
        return replace(self, field=field, about=" ".join(map(str, told)))

    def at(self, index: int) -> "Hints":
        """The hints for an item of a list."""
        return replace(self, index=index)

    @property
    def found(self) -> bool:
        """Whether the topic is there, at least in part."""
        return self.evidence.share >= HALF

    def means(self, words: set[str]) -> bool:
        """Whether the field's name, or else its description, is about one of these words."""
        named = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", self.field).lower()))
        known = _PLACES | _GAPS | _QUESTIONS | _TITLES | _TOPICS | _COUNTS | _RESULTS
        return bool((named if named & known else set(re.findall(r"[a-z]+", self.about.lower()))) & words)

    def pick(self, count: int) -> int:
        """A number below `count` that only the prompt and the field decide."""
        key = f"{self.prompt}\0{self.field}\0{self.index}".encode()
        return int.from_bytes(hashlib.sha256(key).digest()[:4]) % count


def suggest_texts(hints: Hints) -> Iterator[str]:
    """Texts for the field, best first."""
    evidence = hints.evidence
    line = evidence.lines[hints.index % len(evidence.lines)] if evidence.lines else None
    summed = find_sum(hints.prompt)
    if hints.means(_TOPICS):
        yield name_topic(evidence.topic)
    elif hints.means(_QUESTIONS):
        yield next(islice(make_questions(evidence), hints.index, None))
    elif hints.means(_GAPS):
        yield ", ".join(evidence.missing) or "none"
    elif hints.means(_PLACES):
        yield line.place if line else "nothing found"
    elif summed and hints.means(_RESULTS):
        yield str(summed[1])
    elif hints.means(_TITLES):
        yield (line.heading or line.text.strip(" #*->`|")) if line else name_topic(evidence.topic)
    yield f"{line.text.strip()} ({line.place})" if line else f"nothing found about {name_topic(evidence.topic)}"
    yield from evidence.topic.words
    yield name_topic(evidence.topic)


def suggest_number(hints: Hints, low: float | None, high: float | None) -> float:
    """A number for the field: a sum, a line, a count, or a score between the bounds."""
    if (summed := find_sum(hints.prompt)) and (hints.means(_RESULTS) or low is None or high is None):
        return summed[1]
    if hints.means({"line"}) and hints.evidence.best:
        return hints.evidence.lines[hints.index % len(hints.evidence.lines)].number
    if low is not None and high is not None:
        return low + hints.evidence.prominence * (high - low)
    if hints.means(_COUNTS):
        return len(hints.evidence.lines) or len(hints.evidence.listed)
    return round(10 * hints.evidence.prominence)


def suggest_length(hints: Hints, low: int, high: int | None) -> int:
    """How many items a list should have."""
    wanted = find_count(hints.prompt, hints.field.rstrip("s")) if hints.field else None
    if wanted is None and hints.means(_QUESTIONS):
        wanted = 5
    if wanted is None:
        wanted = min(5, len(hints.evidence.lines))
    return max(low, wanted if high is None else min(wanted, high))


def rank_choices(hints: Hints, choices: Sequence[Any]) -> list[Any]:
    """The members of an enum, best first: a verdict by the share found, another by what prompt and lines name."""
    grades = [_grade(choice) for choice in choices]
    if sum(grade is not None for grade in grades) >= min(2, len(choices)):
        wanted = 2 if hints.evidence.share >= ENOUGH else 1 if hints.found else 0
        return [
            choice
            for _, _, choice in sorted(
                (abs(wanted - (1 if grade is None else grade)), index, choice)
                for index, (grade, choice) in enumerate(zip(grades, choices, strict=True))
            )
        ]
    told = " ".join([hints.prompt, *(line.text for line in hints.evidence.lines)]).lower()
    start = hints.pick(len(choices))
    turned = [*choices[start:], *choices[:start]]
    return sorted(turned, key=lambda choice: -told.count(str(choice).lower()))


def _grade(choice: Any) -> int | None:
    if choice is None or isinstance(choice, bool):
        return 2 if choice else 0
    words = set(re.findall(r"[a-z]+", str(choice).lower()))
    for grade, known in ((1, _MIDDLE), (0, _WORST), (2, _BEST)):
        if words & known:
            return grade
    return None
