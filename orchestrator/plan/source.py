"""YAML text to plain data that knows its lines.

The walk is over PyYAML's events and not over its node graph: libyaml composes by recursion and crashes the process on
deep nesting, while events stop where we stop.
"""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from orchestrator.errors import Fault, PlanError
from orchestrator.plan import words
from orchestrator.plan.files import read_text
from orchestrator.plan.scalars import resolve
from orchestrator.plan.schema_files import MOST_DEPTH
from orchestrator.plan.words import describe, dotted, shorten

MOST_BYTES = 5_000_000
MOST_VALUES = 200_000
"""Counted with every alias replaced by what it stands for."""

_NOT_YAML = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_QUOTED = '; a value that begins with a template is written in quotes: "{{ … }}"'
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Source:
    """A plan's data, and where in which file each value stands."""

    file: str
    data: Any
    lines: Mapping[words.Path, int] = field(default_factory=dict)
    texts: Mapping[words.Path, int] = field(default_factory=dict)
    """Where the text of a `|` block begins: the line after its key's."""
    settings: Mapping[words.Path, str] = field(default_factory=dict)
    """What was set from outside, by path, and how: those values stand in no file."""
    faults: Sequence[Fault] = ()
    """What is wrong with it as YAML where the rest could still be read."""

    def fault(self, path: words.Path, what: str, line_in_text: int = 1) -> Fault:
        """A fault at `path`, or at the nearest outer value that has a place."""
        for end in range(len(path), -1, -1):
            outer = path[:end]
            if outer in self.settings:
                return Fault(self.settings[outer], 0, dotted(path), what)
            if outer in self.lines:
                inside = self.texts[outer] + line_in_text - 1 if end == len(path) and outer in self.texts else 0
                return Fault(self.file, inside or self.lines[outer], dotted(path), what)
        return Fault(self.file, 0, dotted(path), what)


def read_source(path: Path) -> Source:
    """The plan file at `path`, with its `faults`. Raises PlanError for a file or a YAML text that cannot be read."""
    try:
        text = read_text(path, MOST_BYTES)
    except ValueError as error:
        raise PlanError([Fault(str(path), 0, "", str(error))]) from None
    return _parse(text, str(path), _LOADER)


def parse_source(text: str, file: str, loader: Any = _LOADER) -> Source:
    """The YAML document in `text`. Raises PlanError with everything that is wrong with it as YAML."""
    source = _parse(text, file, loader)
    if source.faults:
        raise PlanError(source.faults)
    return source


def _parse(text: str, file: str, loader: Any) -> Source:
    walk = _Walk(file, text)
    try:
        data = walk.document(yaml.parse(text, Loader=loader))
    except _UnreadableError:
        raise PlanError(walk.faults) from None
    except yaml.YAMLError as error:
        fault = _syntax_fault(file, text, error)
        # What the walk says of a line is nearer to the cause than what the parser makes of the rest of it.
        nearer = fault.line in {known.line for known in walk.faults}
        raise PlanError(walk.faults if nearer else [*walk.faults, fault]) from None
    except UnicodeEncodeError:
        raise PlanError([Fault(file, 0, "", "the text has characters that are not Unicode")]) from None
    return Source(file, data, walk.lines, walk.texts, faults=tuple(dict.fromkeys(walk.faults)))


class _UnreadableError(Exception):
    """The rest of the text is not worth reading; the fault is noted."""


class _Anchored(NamedTuple):
    value: Any
    size: int
    height: int


class _Walk:
    """One pass over a document's events. Faults are gathered; those that make the rest unreadable stop it."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.empty = not text.strip()
        self.faults: list[Fault] = []
        self.lines: dict[words.Path, int] = {}
        self.texts: dict[words.Path, int] = {}
        self._anchors: dict[str, _Anchored | None] = {}
        self._values = 0
        self._aliased = False

    def document(self, events: Iterator[Event]) -> Any:
        """The one document's data."""
        self._events = events
        data, documents = None, 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._stop(event, (), "found a second document (after ---), expected one")
                data, _ = self._node(next(events), (), 1)
        if documents == 0:
            what = "the file is empty" if self.empty else "the file holds nothing but comments"
            raise PlanError([Fault(self.file, 0, "", f"{what}, expected a plan: a mapping with tasks")])
        return data

    def _node(self, event: Event, path: words.Path, depth: int) -> tuple[Any, int]:
        """The value that begins with `event`, and how deep it is nested."""
        self._count(event, path)
        if isinstance(event, AliasEvent):
            return self._alias(event, path, depth)
        if tag := getattr(event, "tag", None):
            tag = tag.replace("tag:yaml.org,2002:", "!!")
            self._note(event, path, f"found the tag {shorten(tag)}, and tags are not supported; quote what is text")
        anchor = getattr(event, "anchor", None)
        if anchor is None:
            return self._content(event, path, depth)
        before, self._anchors[anchor] = self._values, None
        value, height = self._content(event, path, depth)
        self._anchors[anchor] = _Anchored(value, self._values - before + 1, height)
        return value, height

    def _content(self, event: Event, path: words.Path, depth: int) -> tuple[Any, int]:
        if isinstance(event, ScalarEvent):
            return self._scalar(event, path), 0
        if depth > MOST_DEPTH:
            self._too_deep(event, path)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(path, depth)
        assert isinstance(event, MappingStartEvent)
        return self._mapping(path, depth)

    def _scalar(self, event: ScalarEvent, path: words.Path) -> Any:
        if event.style == "|":
            self.texts[path] = _line(event) + 1
        if not event.implicit[0]:
            return event.value
        try:
            return resolve(event.value)
        except ValueError as error:
            self._note(event, path, str(error))
            return None

    def _sequence(self, path: words.Path, depth: int) -> tuple[list[Any], int]:
        found: list[Any] = []
        height = 0
        while not isinstance(event := next(self._events), SequenceEndEvent):
            place = (*path, len(found))
            self.lines[place] = _line(event)
            value, inner = self._node(event, place, depth + 1)
            found.append(value)
            height = max(height, inner)
        return found, height + 1

    def _mapping(self, path: words.Path, depth: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        height = 0
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._key(event, path, depth)
            place = path if key is None else (*path, key)
            again = key in found
            if again:
                self._note(event, place, f"the key is given twice, first in line {self.lines[place]}; expected once")
            elif key is not None:
                self.lines[place] = _line(event)
            value, inner = self._node(next(self._events), place, depth + 1)
            if key is not None and not again:
                found[key] = value
            height = max(height, inner)
        return found, height + 1

    def _key(self, event: Event, path: words.Path, depth: int) -> str | None:
        if isinstance(event, ScalarEvent):
            if event.implicit[0] and event.value == "<<":
                self._note(event, path, "found a merge key (<<), which is not supported; use defaults or agents")
                return None
            value, _ = self._node(event, path, depth)
            if isinstance(value, str):
                return value
            self._note(event, path, f"found {describe(value)} as a key, expected text; quote it")
            return None
        if isinstance(event, MappingStartEvent):
            self._note(event, path, f"found a mapping as a key, expected text{_QUOTED}")
        else:
            self._note(event, path, "found a list or an alias as a key, expected text")
        self._node(event, path, depth + 1)
        return None

    def _alias(self, event: AliasEvent, path: words.Path, depth: int) -> tuple[Any, int]:
        name = event.anchor or ""
        if name not in self._anchors:
            self._note(event, path, f"found the alias *{shorten(name)}, which names nothing before it")
            return None, 0
        anchored = self._anchors[name]
        if anchored is None:
            self._stop(event, path, f"found the alias *{shorten(name)} inside its own anchor, which never ends")
        self._aliased = True
        # One was counted for the alias itself, and `_count` adds the next.
        self._values += anchored.size - 2
        self._count(event, path)
        if depth + anchored.height > MOST_DEPTH + 1:
            self._too_deep(event, path)
        # A copy: nobody who changes one place changes another.
        return copy.deepcopy(anchored.value), anchored.height

    def _count(self, event: Event, path: words.Path) -> None:
        self._values += 1
        if self._values > MOST_VALUES:
            what = "the aliases blow up to" if self._aliased else "found"
            self._stop(event, path, f"{what} more than {MOST_VALUES:,} values, expected fewer")

    def _too_deep(self, event: Event, path: words.Path) -> None:
        self._stop(event, path[:3], f"lists and mappings are nested more than {MOST_DEPTH} deep, expected fewer levels")

    def _note(self, event: Event, path: words.Path, what: str) -> None:
        self.faults.append(Fault(self.file, _line(event), dotted(path), what))

    def _stop(self, event: Event, path: words.Path, what: str) -> NoReturn:
        self._note(event, path, what)
        raise _UnreadableError


def _line(event: Event) -> int:
    """Counted from 1."""
    assert event.start_mark is not None
    return event.start_mark.line + 1


def _syntax_fault(file: str, text: str, error: yaml.YAMLError) -> Fault:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return _character_fault(file, text)
    problem = getattr(error, "problem", None) or "it cannot be read"
    return Fault(file, mark.line + 1, "", f"not valid YAML: {problem}{_hint(text.splitlines(), mark.line)}")


def _character_fault(file: str, text: str) -> Fault:
    # The parser says which byte it is, which is of no use to a person.
    found = _NOT_YAML.search(text)
    if found is None:
        return Fault(file, 0, "", "not valid YAML: found a character that YAML does not allow")
    line = text.count("\n", 0, found.start()) + 1
    return Fault(file, line, "", f"not valid YAML: found the control character {found[0]!a}, expected text")


def _hint(lines: Sequence[str], at: int) -> str:
    near = "\n".join(lines[max(0, at - 1) : at + 1])
    if "{{" in near or "{%" in near:
        return _QUOTED
    if "\t" in near:
        return "; expected spaces, found a tab"
    if near.count(": ") > 1:
        return "; a text with a colon in it is written in quotes"
    return ""
