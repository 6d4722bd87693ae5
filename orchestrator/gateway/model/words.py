"""The words of a prompt: which of them matter, and how to find them in a text."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from orchestrator.gateway.model.stopwords import STOP_WORDS

_ENDINGS = ("ations", "ation", "ings", "ing", "ments", "ment", "ers", "er", "ied", "ies", "ed", "es", "s", "e", "y")
_QUOTED = re.compile(r"«([^»]+)»|“([^”]+)”|\"([^\"\n]+)\"|`([^`\n]+)`|(?<!\w)'([^'\n]+)'(?!\w)")
_LABELLED = re.compile(r"\b(?:question|topic|claim|subject|statement)\W*:\s*([^?\n]+\??)", re.IGNORECASE | re.MULTILINE)
_TWO_WORDS = re.compile(r"\b(set|back|roll|log|sign|clean|start|shut)s? (up|down|back|in|out)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_][\w]*(?:[-.][\w]+)*")
_NUMBER_NAMES = "zero one two three four five six seven eight nine ten eleven twelve"
NUMBERS = {name: number for number, name in enumerate(_NUMBER_NAMES.split())}
"""What small numbers are called."""


@dataclass(frozen=True)
class Topic:
    """What a prompt is about."""

    phrase: str
    """The words as they were written: the quoted part, the labelled question, or the prompt's first sentence."""
    words: tuple[str, ...]
    """The words that matter, in lower case, most telling first."""

    @cached_property
    def patterns(self) -> Mapping[str, re.Pattern[str]]:
        """For each word what finds it, and its other endings, in a text."""
        return {word: re.compile(_pattern(word), re.IGNORECASE) for word in self.words}

    @property
    def pattern(self) -> str:
        """One pattern, for ripgrep and `grep -E` alike, that finds any of the words."""
        return "|".join(_pattern(word) for word in self.words)

    def found_in(self, text: str) -> frozenset[str]:
        """Those of the words that the text has."""
        return frozenset(word for word, pattern in self.patterns.items() if pattern.search(text))


def find_topic(prompt: str, most: int = 12) -> Topic:
    """What the prompt is about, in at most `most` words."""
    phrases = _LABELLED.findall(prompt) or _quoted(prompt)
    told = [word for phrase in phrases for word in telling_words(phrase)]
    if not told:
        phrases, told = [_sentence(prompt)], list(telling_words(prompt))
    stems: dict[str, str] = {}
    for word in told:
        stems.setdefault(find_stem(word), word)
    phrase = " ".join(phrases[0].split())
    return Topic(phrase=phrase.rstrip(" .:"), words=tuple(stems.values())[:most])


def telling_words(text: str) -> Iterable[str]:
    """The words that are not everybody's, in order."""
    for match in _WORD.finditer(_TWO_WORDS.sub(r"\1-\2", text)):
        word = match.group().lower().rstrip(".")
        if word not in STOP_WORDS and word.split("-")[0] not in NUMBERS and len(word) > 1:
            yield word


def _quoted(prompt: str) -> list[str]:
    return [next(filter(None, groups)) for groups in _QUOTED.findall(prompt)]


def _sentence(prompt: str) -> str:
    return re.split(r"(?<=[.?!])\s|\n", prompt.strip(), maxsplit=1)[0]


def find_stem(word: str) -> str:
    """The word without its ending, as `install` for `installation`."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word.removesuffix(ending)
    return word


def _pattern(word: str) -> str:
    stem = find_stem(word)
    boundary = r"\b" if stem[0].isalnum() else ""
    closing = r"\b" if len(stem) < 4 and stem == word else ""
    return boundary + "[-_ ]?".join(re.escape(part) for part in stem.split("-")) + closing
