"""Transcripts: what a session is on the disk, where it is found, and how it is put back there."""

import json
import os
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast
from uuid import UUID

import anyio
from claude_agent_sdk import SessionKey, SessionStore, SessionStoreEntry, project_key_for_directory

from orchestrator.agents.threads import in_thread
from orchestrator.protocols import Sessions

Entry = Mapping[str, Any]
"""A line of a transcript."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """A session's own entries, without those of its subagents."""

    entries: Sequence[Entry]

    @property
    def length(self) -> int:
        """Entries of the conversation. (Those without a `uuid` are notes of the CLI, and not all are mirrored.)"""
        return len({entry["uuid"] for entry in self.entries if entry.get("uuid")})

    @property
    def usable(self) -> bool:
        """Whether there is anything to go on with: the CLI was ended before its prompt was written, or not."""
        return any(entry.get("type") == "user" for entry in self.entries)

    @property
    def said(self) -> Iterator[str]:
        """What the user has said, a text per message, without the prompts of subagents."""
        own = (entry for entry in self.entries if entry.get("type") == "user" and not entry.get("isSidechain"))
        yield from (text_of(entry.get("message")) for entry in own)

    def holds(self, prompt: str) -> bool:
        """Whether the user has said this, maybe among other words. A command (`/name …`) is written down as such."""
        wanted = even(prompt)
        name = wanted.partition(" ")[0] if wanted.startswith("/") else wanted
        return any(wanted in text or f"<command-name>{name}</command-name>" in text for text in map(even, self.said))

    @property
    def worth(self) -> tuple[bool, int]:
        """What to choose between two by."""
        return self.usable, self.length

    @property
    def lasting(self) -> Iterator[Entry]:
        """What it takes to go on with it: the conversation, and the last word on its cost."""
        yield from (entry for entry in self.entries if entry.get("uuid"))
        yield from [entry for entry in self.entries if entry.get("type") == "cost-state"][-1:]

    @property
    def cost_usd(self) -> float:
        """What the session had cost. A CLI that goes on with it, or with a fork of it, counts on from there."""
        told = [entry.get("totalCostUSD") for entry in self.entries if entry.get("type") == "cost-state"]
        return float(told[-1]) if told and isinstance(told[-1], int | float) else 0.0

    @property
    def models(self) -> Mapping[str, Mapping[str, Any]]:
        """The same by model, as the CLI has it."""
        told = [entry.get("modelUsage") for entry in self.entries if entry.get("type") == "cost-state"]
        return told[-1] if told and isinstance(told[-1], Mapping) else {}


def text_of(message: Any) -> str:
    """The text of a message, whose content is a text or a list of blocks; results of tools are none of it."""
    content = message.get("content") if isinstance(message, Mapping) else None
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(blocks, list):
        return ""
    texts = (block.get("text") for block in blocks if isinstance(block, Mapping) and block.get("type") == "text")
    return "\n".join(text for text in texts if isinstance(text, str))


def even(text: str) -> str:
    """The text with all its white space alike: the CLI trims what it is given."""
    return " ".join(text.split())


async def provide(
    session_id: str, cwd: Path, projects: Path, sessions: Sessions | None, free: bool = True
) -> Transcript | None:
    """The session's transcript, on the disk where a CLI finds it, and whole in `sessions`; None when it is gone.

    Of the one on the disk and the one that `sessions` keeps, the longer counts: a CLI that was killed may have written
    more than it told, and another machine may have gone on with the session. One that is on the disk is left as it is
    unless the session is `free`: a CLI that is at work on it would go on writing to what is no longer there.
    """
    if not is_session_id(session_id):
        return None
    path = await in_thread(find_file, projects, session_id)
    here = await in_thread(read, path) if path else Transcript([])
    if here.usable and not free:
        return here
    key = await sessions.find_session(session_id) if sessions else None
    kept = Transcript(await sessions.load(key) or []) if sessions and key else Transcript([])
    if sessions and key and kept.worth > here.worth:
        path = path or projects / folder_of(key, cwd) / f"{session_id}.jsonl"
        await in_thread(write, path, kept.entries)
        async for file, entries in subagents(path, key, sessions):
            await in_thread(write_subagent, file, entries)
    best = max(here, kept, key=lambda each: each.worth)
    if path is None or not best.usable:
        return None
    # A CLI tells only of what is new, and by the folder that it finds the file in: there the rest must be kept already.
    place = {"project_key": path.parent.name, "session_id": session_id}
    if sessions and (key != place or kept.length < best.length):
        await sessions.append(place, list(best.lasting))
    return best


def folder_of(key: Mapping[str, Any], cwd: Path) -> str:
    """The folder that a session was in; for one that no folder is called like, that of the directory."""
    name = str(key.get("project_key") or "")
    return name if name == PurePosixPath(name).name else project_key_for_directory(cwd)


def is_session_id(text: str) -> bool:
    """Whether it is a UUID in its usual spelling: it becomes a part of paths."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def find_file(projects: Path, session_id: str) -> Path | None:
    """The session's file, whatever directory it was in; the longest, should there be several."""
    return max(projects.glob(f"*/{session_id}.jsonl"), key=lambda path: read(path).length, default=None)


def read(path: Path) -> Transcript:
    """The entries that can be read: a CLI that was killed leaves half a line at the end."""
    with path.open("rb") as file:
        return Transcript(list(parse(file)))


def parse(lines: Iterable[bytes]) -> Iterator[Entry]:
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry


def write(path: Path, entries: Sequence[Entry]) -> None:
    """Puts a transcript where it is whole or not there at all, for its owner alone. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # of mode 0600
    try:
        with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - from a descriptor
            file.writelines(json.dumps(entry, separators=(",", ":")) + "\n" for entry in entries)
        os.replace(part, path)  # noqa: PTH105
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


async def subagents(main: Path, key: Any, sessions: Sessions) -> AsyncIterator[tuple[Path, Sequence[Entry]]]:
    """The transcripts of the session's subagents, each with the path of its file."""
    folder = main.with_suffix("")
    for subpath in await sessions.list_subkeys(key):
        parts = PurePosixPath(subpath).parts
        if parts and ".." not in parts and not PurePosixPath(subpath).is_absolute():
            file = folder.joinpath(*parts[:-1], f"{parts[-1]}.jsonl")
            yield file, await sessions.load(key | {"subpath": subpath}) or []


def write_subagent(path: Path, entries: Sequence[Entry]) -> None:
    """Writes a subagent's transcript; what the mirror says of the agent itself belongs into a file beside it."""
    about = [entry for entry in entries if entry.get("type") == "agent_metadata"]
    write(path, [entry for entry in entries if entry.get("type") != "agent_metadata"])
    if about:
        told = {name: value for name, value in about[-1].items() if name != "type"}
        write(path.with_suffix(".meta.json"), [told])


async def forget(unused: Iterable[tuple[str, str]], projects: Path, sessions: Sessions | None) -> None:
    """Removes what is kept of sessions in which nothing was asked, each with the directory that it was in."""
    with anyio.CancelScope(shield=True):
        for session_id, directory in unused:
            file = projects / project_key_for_directory(directory) / f"{session_id}.jsonl"
            await in_thread(lambda file: file.unlink(missing_ok=True), file)
            while sessions and (key := await sessions.find_session(session_id)):
                await sessions.delete(key)


def mirror(sessions: Sessions) -> SessionStore:
    """A session store that only takes. (Of the others in the protocol the SDK calls none for a session by its id.)"""
    return cast("SessionStore", Mirror(sessions))


class Mirror:
    """What the SDK is given: it writes to `sessions` all that a CLI writes to its disk, and gives nothing back.

    Had it anything to give, the SDK would lead the CLI to a directory of its own, with half of the user's login.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def append(self, key: SessionKey, entries: list[SessionStoreEntry]) -> None:
        await self._sessions.append(key, entries)

    async def load(self, key: SessionKey) -> list[SessionStoreEntry] | None:
        return None
