"""Transcripts of sessions in the journal's file."""

import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter, to_thread

from orchestrator.errors import JournalError
from orchestrator.journal.lines import pack, place, unpack, without_repeats

Ask = Callable[[str, Sequence[Any]], Awaitable[list[Any]]]
"""All rows of a named query."""
Change = Callable[[str, Callable[[], Sequence[Any]]], Awaitable[None]]
"""Carries out a named query, its arguments made in the writer's thread; returns when it is written."""


class SqliteSessions:
    """See `protocols.Sessions`. What is not written raises JournalError, and does no harm to the journal's events."""

    def __init__(self, path: Path, ask: Ask, change: Change) -> None:
        self.path = path
        self._ask = ask
        self._change = change

    async def append(self, key: Any, entries: list[Any]) -> None:
        """Returns when the lines are written (they may still be in the system's cache)."""
        if entries:
            where, lines = place(key), list(entries)
            await self._change("add_lines", lambda: (time.time(), *where, pack(lines)))

    async def load(self, key: Any) -> list[Any] | None:
        pieces = await self._ask("read_lines", place(key))
        return await to_thread.run_sync(self._join, pieces, limiter=CapacityLimiter(1)) if pieces else None

    async def list_sessions(self, project_key: str) -> list[Any]:
        rows = await self._ask("list_sessions", (project_key,))
        return [{"session_id": session, "mtime": int(at * 1000)} for session, at in rows]

    async def delete(self, key: Any) -> None:
        project, session, subpath = place(key)
        if subpath:
            await self._change("delete_subpath", lambda: (project, session, subpath))
        else:
            await self._change("delete_session", lambda: (project, session))

    async def list_subkeys(self, key: Any) -> list[str]:
        project, session, _ = place(key)
        return [subpath for (subpath,) in await self._ask("list_subpaths", (project, session))]

    async def find_session(self, session_id: str) -> Any | None:
        rows = await self._ask("find_session", (session_id,))
        return {"project_key": rows[0][0], "session_id": session_id} if rows else None

    def _join(self, pieces: Sequence[tuple[bytes]]) -> list[Any]:
        try:
            return list(without_repeats(line for (piece,) in pieces for line in unpack(piece)))
        except ValueError as error:
            raise JournalError(
                f"{self.path}: the transcript of a session is damaged ({error}): the journal's events may be whole; "
                "start the task anew, in a session of its own"
            ) from error
