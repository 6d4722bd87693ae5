"""Makes a text that a regular expression matches, for the expressions that schemas use."""

import re
from collections.abc import Iterator
from itertools import chain

_CLASSES = {"d": "7", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a"}
_CANDIDATES = "a7A-_ .:/@#z0"


class UnreadableError(Exception):
    """The expression has a part that is not understood."""


def match_pattern(pattern: str) -> str | None:
    """A short text that `pattern` matches, or None when none could be made."""
    try:
        made = "".join(_Reader(pattern).alternatives())
        return made if re.search(pattern, made) else None
    except (UnreadableError, re.error, IndexError):
        return None


class _Reader:
    """Reads an expression from left to right and spells the shortest text for each part."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0

    def alternatives(self) -> list[str]:
        """The first of the alternatives up to the closing bracket or the end."""
        made = list(self._sequence())
        while self._peek() == "|":
            self.at += 1
            list(self._sequence())
        return made

    def _sequence(self) -> Iterator[str]:
        while self._peek() not in ("", "|", ")"):
            yield self._atom() * self._repeat()

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _next(self) -> str:
        self.at += 1
        return self.pattern[self.at - 1]

    def _atom(self) -> str:
        match self._next():
            case "^" | "$":
                return ""
            case "(":
                return self._group()
            case "[":
                return self._set()
            case "\\":
                return self._escape()
            case ".":
                return "a"
            case char:
                return char

    def _group(self) -> str:
        ahead = re.compile(r"\?(:|P?<\w+>)?").match(self.pattern, self.at)
        if ahead and not ahead.group(1):
            raise UnreadableError
        self.at = ahead.end() if ahead else self.at
        made = "".join(self.alternatives())
        if self._next() != ")":
            raise UnreadableError
        return made

    def _set(self) -> str:
        start = self.at - 1
        self.at += 1 + (self._peek() == "^")
        while self._next() != "]":
            self.at += self.pattern[self.at - 1] == "\\"
        allowed = re.compile(self.pattern[start : self.at])
        for char in chain(_CANDIDATES, map(chr, range(32, 0x2FF))):
            if allowed.fullmatch(char):
                return char
        raise UnreadableError

    def _escape(self) -> str:
        char = self._next()
        if char in "bBAZ":
            return ""
        if char in _CLASSES:
            return _CLASSES[char]
        if char.isalnum():
            return {"n": "\n", "t": "\t"}.get(char) or self._fail()
        return char

    def _fail(self) -> str:
        raise UnreadableError

    def _repeat(self) -> int:
        found = re.compile(r"(?:([*+?])|\{(\d+)(?:,\d*)?\})[?+]?").match(self.pattern, self.at)
        if not found:
            return 1
        self.at = found.end()
        return int(found.group(2)) if found.group(2) else 1
