"""What a prompt wishes in so many words: paths, a file to write, how many of a thing."""

import re

from orchestrator.gateway.model.words import NUMBERS, find_stem

_PATH = re.compile(r"(?<![\w/.:-])((?:[\w.-]+/)*[\w-][\w.-]*\.[A-Za-z]\w{0,7})(?![\w/])")


def find_paths(prompt: str) -> list[str]:
    """The file paths that the prompt names, in order, without addresses on the web."""
    cleaned = re.sub(r"\w+://\S+", " ", prompt)
    return [path for path in dict.fromkeys(_PATH.findall(cleaned)) if not re.fullmatch(r"[\d./]+|\w\.\w\.?", path)]


_WRITING = re.compile(r"\b(write|save|put|store|create|record|append|produce)\b", re.IGNORECASE)
_TARGET = re.compile(r"\b(?:to|into|in|as|called|named|file)\s+(?:a |the )?(?:new )?(?:file )?[`'\"«]?$", re.IGNORECASE)
_CREATED = re.compile(r"\b(?:write|create|produce)\s+(?:a |the )?(?:new )?(?:file )?[`'\"«]?$", re.IGNORECASE)


def without_target(prompt: str) -> str:
    """The prompt without the name of the file that it wants written."""
    return prompt.replace(find_target(prompt) or "\0", " ")


def find_target(prompt: str) -> str | None:
    """The path that the prompt wants written, as poem.txt in "write a poem to poem.txt"."""
    if not (verb := _WRITING.search(prompt)):
        return None
    for path in find_paths(prompt):
        for place in re.finditer(re.escape(path), prompt):
            before = prompt[: place.start()]
            if place.start() > verb.start() and (_TARGET.search(before) or _CREATED.search(before)):
                return path
    return None


_READING = re.compile(r"\b(?:read|open|study|summari[sz]e)\s+(?:the )?(?:file |document )?[`'\"«]?$", re.IGNORECASE)


def find_readings(prompt: str) -> list[str]:
    """The paths that the prompt wants read, as notes.md in "Read notes.md and …"."""
    places = ((path, place) for path in find_paths(prompt) for place in re.finditer(re.escape(path), prompt))
    return [path for path, place in places if _READING.search(prompt[: place.start()])]


def find_count(prompt: str, noun: str) -> int | None:
    """How many of `noun` the prompt asks for, as 7 for "Ask 7 good questions" and "question"."""
    stem = re.escape(find_stem(noun.lower()))
    match = re.search(rf"\b(\d{{1,3}}|{'|'.join(NUMBERS)})\s+(?:[\w-]+\s+){{0,3}}{stem}", prompt, re.IGNORECASE)
    if not match:
        return None
    number = match.group(1).lower()
    return int(number) if number.isdigit() else NUMBERS[number]
