"""Chooses what to look at next: first where the topic's words stand, then the file that says most."""

import re
import shlex
from collections.abc import Sequence

from orchestrator.gateway.model.conversation import Conversation
from orchestrator.gateway.model.evidence import Evidence, gather_evidence
from orchestrator.gateway.model.wishes import find_paths, find_target
from orchestrator.gateway.model.words import Topic
from orchestrator.gateway.wire import Block, tool_block

_LINES = 200  # matches: more than this the CLI puts aside in a file
_UNSEEN = 4  # files read when nothing told which of them to read
_VISIBLE = "{[!.]*,[!.]*/**}"  # git's own files come first otherwise, and no more than a hundred are shown
_ABOUT_FILES = re.compile(
    r"\b(list|which|what|how many|name|count)\b[^.?!]{0,30}\bfiles?\b"
    r"|\b(file|folder|directory|project) (tree|structure|names?)\b",
    re.IGNORECASE,
)
# In a repository the code has a topic's words far more often than its documentation.
_ABOUT_DOCUMENTS = re.compile(r"\b(documentation|docs|documents?)\b", re.IGNORECASE)
_PROSE = ("md", "markdown", "mdx", "rst", "txt", "adoc", "html")
_TEXT = tuple(f".{ending}" for ending in _PROSE)


def choose_look(conversation: Conversation, topic: Topic) -> list[Block]:
    """The tool calls to make next; none when enough has been seen or nothing is left to look with.

    A tool is used once per turn, so that an error or a refusal is never repeated.
    """
    turn = conversation.turn
    if not turn.made("Grep", "Glob", "Bash", "Read") and (search := _search(conversation, topic)):
        return [search]
    if "Read" in conversation.tools and not turn.made("Read"):
        return [tool_block("Read", {"file_path": conversation.locate(path)}) for path in _choose(conversation, topic)]
    return []


def _search(conversation: Conversation, topic: Topic) -> Block | None:
    tools, prompt = conversation.tools, conversation.turn.prompt
    prose = bool(_ABOUT_DOCUMENTS.search(prompt))
    by_name = not topic.words or bool(_ABOUT_FILES.search(prompt))
    if "Grep" in tools and (not by_name or ("Glob" not in tools and topic.words)):
        options = {"output_mode": "content", "-i": True, "-n": True, "head_limit": _LINES}
        where = {"glob": f"*.{{{','.join(_PROSE)}}}"} if prose else {}
        return tool_block("Grep", {"pattern": topic.pattern, **options, **where})
    if "Glob" in tools:
        return tool_block("Glob", {"pattern": _VISIBLE})
    if "Bash" in tools:
        command = _find_command() if by_name else _grep_command(topic, prose)
        return tool_block("Bash", {"command": command, "description": "Look for the topic's words"})
    return None


def _find_command() -> str:
    return f"find . -type f -not -path '*/.git/*' | head -{_LINES}"


def _grep_command(topic: Topic, prose: bool) -> str:
    only = " ".join(f"--include='*.{ending}'" for ending in _PROSE) if prose else "--exclude-dir=.git"
    return f"grep -rniIE {only} -e {shlex.quote(topic.pattern)} . | head -{_LINES}"


def _choose(conversation: Conversation, topic: Topic) -> Sequence[str]:
    target = find_target(conversation.turn.prompt)
    named = [path for path in find_paths(conversation.turn.prompt) if path != target][: _UNSEEN - 1]
    evidence = gather_evidence(conversation, topic)
    if named or evidence.best:
        return list(dict.fromkeys([*named, *([evidence.best.file] if evidence.best else [])]))
    if evidence.listed and not conversation.turn.made("Grep"):
        return rank_names(evidence)[:_UNSEEN]
    return [] if conversation.turn.made("Grep", "Glob", "Bash") else ["README.md"]


def rank_names(evidence: Evidence) -> list[str]:
    """The listed files, most promising first: named like the topic, then READMEs, then prose, then the rest."""

    def rank(path: str) -> tuple[int, bool, bool, int, str]:
        name = path.lower()
        told = len(evidence.topic.found_in(name.replace("_", " ").replace("/", " ")))
        return -told, "readme" not in name, not name.endswith(_TEXT), name.count("/"), name

    return sorted(evidence.listed, key=rank)
