"""Says in a text what was found, and never more than that."""

from orchestrator.gateway.model.conversation import Conversation, Use
from orchestrator.gateway.model.evidence import Evidence
from orchestrator.gateway.model.sums import find_sum

MARK = "[offline model]"
"""How every text of the offline model begins."""
_QUOTES = 5  # lines in an answer


def say_answer(conversation: Conversation, evidence: Evidence) -> str:
    """The last words of a turn."""
    parts = [_calculated(conversation), _written(conversation), _told(conversation, evidence), _refused(conversation)]
    return f"{MARK} " + "\n".join(part for part in parts if part)


def say_found(evidence: Evidence) -> str:
    """The lines that were found, each with its `file:line`; or the files; or that there was nothing."""
    words = ", ".join(evidence.topic.words)
    if evidence.lines:
        quotes = "\n".join(f"- {line.place}: {line.text.strip()}" for line in evidence.lines[:_QUOTES])
        lacking = f"\nNot found there: {', '.join(evidence.missing)}." if evidence.missing else ""
        return f"About {words}, these lines say most:\n{quotes}{lacking}"
    if evidence.listed:
        files = ", ".join(evidence.listed[: 4 * _QUOTES])
        number = len(evidence.listed)
        return f"{'1 file is' if number == 1 else f'{number} files are'} here: {files}."
    return f"Nothing was found about {words}." if words else "There are no files here."


def _calculated(conversation: Conversation) -> str:
    found = find_sum(conversation.turn.prompt)
    return f"{found[0]} = {found[1]}" if found else ""


def _told(conversation: Conversation, evidence: Evidence) -> str:
    if conversation.uses:
        return say_found(evidence)
    if find_sum(conversation.turn.prompt):
        return ""
    before = f" It follows on “{_shorten(conversation.turns[-2].prompt)}”." if len(conversation.turns) > 1 else ""
    about = ", ".join(evidence.topic.words) or "no word that I could look for"
    return (
        f"This answer comes from fixed rules, not from a language model, and there was nothing to look at. You asked: "
        f"“{_shorten(conversation.turn.prompt)}”.{before} The words that matter in it: {about}. "
        f"With the real API a model would answer here."
    )


def _written(conversation: Conversation) -> str:
    written = [use for use in conversation.turn.uses if use.name == "Write" and not use.failed]
    return "".join(f"Wrote {conversation.shorten(str(use.input.get('file_path')))}. " for use in written)


def _refused(conversation: Conversation) -> str:
    failed = [use for use in conversation.turn.uses if use.failed]
    return "\n".join(f"{use.name} did not work: {_first_line(use)}" for use in failed)


def _first_line(use: Use) -> str:
    text = use.result.removeprefix("<tool_use_error>").removesuffix("</tool_use_error>").strip()
    return _shorten(text.splitlines()[0] if text else "no reason given")


def _shorten(text: str, most: int = 160) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"
