"""Finds in the results of tools what was seen of a topic, and where."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from orchestrator.gateway.model.conversation import Conversation, Use
from orchestrator.gateway.model.wishes import find_readings
from orchestrator.gateway.model.words import Topic

_MATCH = re.compile(r"^(?:\./)?([^:\n]+?):(\d+):(.*)$", re.MULTILINE)
_NUMBERED = re.compile(r"^ *(\d+)[\t→](.*)$", re.MULTILINE)
_HEADING = re.compile(r"^(#{1,6}) +(.+?) *#*$")
_PROSE = (".md", ".markdown", ".mdx", ".txt", ".rst")
_NEAR = 12  # lines: what stands this close belongs together, where there are no headings


@dataclass(frozen=True, slots=True)
class Line:
    """A line that a tool has shown."""

    file: str
    number: int
    """Counted from 1."""
    text: str
    heading: str | None = None
    """What it says, when it is a heading of prose."""

    @property
    def place(self) -> str:
        """`file:line`."""
        return f"{self.file}:{self.number}"


@dataclass(frozen=True, slots=True)
class Passage:
    """Lines of one file that belong together, with what they have of the topic."""

    lines: Sequence[Line]
    found: frozenset[str]
    best: Line
    headed: bool
    """Whether a heading says a word of the topic."""


@dataclass(frozen=True)
class Evidence:
    """What was seen of a topic."""

    topic: Topic
    files: Mapping[str, Sequence[Line]]
    """Lines by file, in order."""
    listed: Sequence[str] = ()
    """Files that were listed and not shown."""

    @cached_property
    def passages(self) -> Sequence[Passage]:
        """The passages that have a word of the topic, best first."""
        found = [passage for lines in self.files.values() for passage in _weigh(lines, self.topic)]
        return sorted(found, key=lambda one: (-len(one.found), not one.headed, one.best.file, one.best.number))

    @property
    def best(self) -> Line | None:
        """The line that says most, in the passage that says most."""
        return self.passages[0].best if self.passages else None

    @property
    def share(self) -> float:
        """How much of the topic stands in one place: 0 to 1."""
        return len(self.passages[0].found) / len(self.topic.words) if self.passages else 0.0

    @cached_property
    def lines(self) -> Sequence[Line]:
        """The telling lines, best first, each text once."""
        told = [(line, len(self.topic.found_in(line.text))) for line in self._all_lines()]
        ranked = sorted(
            (pair for pair in told if pair[1]),
            key=lambda pair: (-pair[1], pair[0].heading is None, pair[0].file, pair[0].number),
        )
        first = [self.best] if self.best else []
        return list({line.text.strip(): line for line in [*first, *(line for line, _ in ranked)]}.values())

    @property
    def headings(self) -> list[str]:
        """The headings of the files that have a word of the topic, the telling ones first."""
        told = [line for line in self._all_lines() if line.heading]
        told.sort(key=lambda line: -len(self.topic.found_in(line.text)))
        return list(dict.fromkeys(line.heading for line in told if line.heading))

    @property
    def missing(self) -> list[str]:
        """The words of the topic that the best place lacks."""
        found = self.passages[0].found if self.passages else frozenset()
        return [word for word in self.topic.words if word not in found]

    @property
    def prominence(self) -> float:
        """How hard the best place is to overlook: 1 is a heading at the top of the README, 0 is nowhere."""
        if not self.passages:
            return 0.0
        passage = self.passages[0]
        early = max(0.0, 1 - passage.best.number / 200)
        front = PurePosixPath(passage.best.file).name.lower().startswith(("readme", "index"))
        return 0.4 * self.share + 0.3 * passage.headed + 0.15 * early + 0.15 * front

    def _all_lines(self) -> Iterable[Line]:
        return (line for lines in self.files.values() for line in lines)


def gather_evidence(conversation: Conversation, topic: Topic) -> Evidence:
    """What the conversation's tools have shown of the topic."""
    files: dict[str, dict[int, Line]] = defaultdict(dict)
    listed: list[str] = []
    for use in conversation.uses:
        if not use.failed:
            for line in _shown(use, conversation):
                files[line.file][line.number] = line
            listed += _listed(use, conversation)
    ordered = {file: [lines[number] for number in sorted(lines)] for file, lines in sorted(files.items())}
    return Evidence(topic, _wanted(ordered, conversation), tuple(dict.fromkeys(listed)))


def _wanted(files: Mapping[str, Sequence[Line]], conversation: Conversation) -> Mapping[str, Sequence[Line]]:
    """The files that the prompt wants read, where it names some that were seen; else all."""
    named = find_readings(conversation.turn.prompt)
    wanted = {file: lines for file, lines in files.items() if any(f"/{file}".endswith(f"/{path}") for path in named)}
    return wanted or files


def _shown(use: Use, conversation: Conversation) -> Iterator[Line]:
    if use.name == "Read":
        file = conversation.shorten(str(use.input.get("file_path", "")))
        yield from _mark_headings(file, _NUMBERED.findall(use.result))
    elif use.name == "Grep" or _ran(use, "grep"):
        for path, number, text in _MATCH.findall(use.result):
            yield from _mark_headings(conversation.shorten(path), [(number, text)])


def _mark_headings(file: str, numbered: Iterable[tuple[str, str]]) -> Iterator[Line]:
    prose, fenced = file.lower().endswith(_PROSE), False
    for number, text in numbered:
        fenced ^= text.lstrip().startswith(("```", "~~~"))
        match = _HEADING.match(text) if prose and not fenced else None
        yield Line(file, int(number), text, match.group(2) if match else None)


def _ran(use: Use, program: str) -> bool:
    return use.name == "Bash" and str(use.input.get("command", "")).startswith(f"{program} ")


def _listed(use: Use, conversation: Conversation) -> list[str]:
    if not (use.name == "Glob" or _ran(use, "find")) or use.result.startswith("No files found"):
        return []
    paths = (line.strip().removeprefix("./") for line in use.result.splitlines())
    named = (conversation.shorten(path) for path in paths if path and " " not in path and ":" not in path)
    return [path for path in named if not path.startswith(".")]


def _weigh(lines: Sequence[Line], topic: Topic) -> Iterator[Passage]:
    above: dict[int, str] = {}
    for group in _divide(lines):
        told = {line: topic.found_in(line.text) for line in group}
        if level := _level(group[0]):
            above = {higher: heading for higher, heading in above.items() if higher < level} | {level: group[0].text}
        # The headings above a section, up to the document's title, speak for it too.
        found = frozenset().union(*told.values(), topic.found_in("\n".join(above.values())))
        if any(told.values()):
            best = max(group, key=lambda line: (len(told[line]), line.heading is not None, -line.number))
            yield Passage(group, found, best, any(line.heading and told[line] for line in group))


def _level(line: Line) -> int:
    return len(line.text) - len(line.text.lstrip("#")) if line.heading else 0


def _divide(lines: Sequence[Line]) -> Iterator[Sequence[Line]]:
    group: list[Line] = []
    for line in lines:
        apart = group and (line.heading is not None or line.number - group[-1].number > _NEAR)
        if apart or len(group) >= 5 * _NEAR:
            yield group
            group = []
        group.append(line)
    if group:
        yield group
