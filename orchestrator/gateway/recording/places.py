"""Directories and names that differ from machine to machine and from run to run: out of a text, and into it again."""

import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from orchestrator.gateway.recording.trees import each_text
from orchestrator.settings import home
from orchestrator.task import Attempt

PRIVATE = re.compile(r"⟦tmp⟧/orchestrator-[a-z0-9_]{8}(?P<agent>/config/agent-[a-z0-9_]{8})?(?![\w-])")
"""A run's private folder, and an agent's configuration in it: made for each run, known by their look."""
MARK = re.compile(r"⟦([a-z]+-?)⟧")
EMAIL = re.compile(r"(?<=The user's email address is )[^\s⟦]+?(?=\.?(?:\s|$))")
"""Whose account it is: the CLI tells it the model."""
LEAST_SECRET = 16
"""Characters from which something is a credential, and no word like `offline`."""


class Places:
    """What stands for what, as `⟦cwd⟧` for the directory in which an agent works."""

    def __init__(self, known: Sequence[tuple[str, str]], secrets: Iterable[str] = ()) -> None:
        """`known`: names and what they stand for: of two alike texts, and of two alike names, the first counts."""
        self._texts: dict[str, str] = {}
        self._names: dict[str, str] = {}
        for name, text in known:
            if len(text) > 1:
                self._texts.setdefault(name, text)
                self._names.setdefault(text, name)
        # A conversation is sent again with each request.
        self._hidden = lru_cache(maxsize=128)(self._hide)
        self._names |= {secret: "credential" for secret in secrets if len(secret) >= LEAST_SECRET}
        longest_first = sorted(self._names, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_bounded, longest_first))) if longest_first else None

    def hide(self, value: Any) -> Any:
        """The data with names in the place of what they stand for."""
        return each_text(value, self._hidden)

    def show(self, value: Any) -> Any:
        """The inverse, for data from elsewhere: what stands for something here is put into its place."""
        return each_text(value, lambda text: MARK.sub(self._shown, text))

    def _hide(self, text: str) -> str:
        hidden = self._pattern.sub(lambda found: f"⟦{self._names[found[0]]}⟧", text) if self._pattern else text
        hidden = EMAIL.sub("⟦email⟧", hidden) if "email address is" in hidden else hidden
        return PRIVATE.sub(self._private, hidden) if "⟦tmp⟧/orchestrator-" in hidden else hidden

    def _private(self, found: re.Match[str]) -> str:
        """A private folder's name. It is remembered: a reply that names it is to name the one of this run."""
        name = "agent" if found["agent"] else "den"
        self._texts[name] = MARK.sub(self._shown, found[0])
        return f"⟦{name}⟧"

    def _shown(self, mark: re.Match[str]) -> str:
        return self._texts.get(mark[1], mark[0])


def _bounded(text: str) -> str:
    """The text where nothing follows that makes it another one; a short path also only where one can begin."""
    before = r"(?<![\w.⟧-])" if text.count("/") < 2 else ""
    return rf"{before}{re.escape(text)}(?![\w-])(?!\.\w)"


def places_of(attempt: Attempt, session_id: str | None, secrets: Iterable[str] = ()) -> Places:
    """The places of an attempt; its own come before those that all share."""
    paths = {
        "cwd": attempt.workspace.path,
        "directory": str(Path.cwd()),
        "orchestrator": str(home().path),
        "tmp": tempfile.gettempdir(),
        "home": os.path.expanduser("~"),  # noqa: PTH111 - Path.home() raises where there is none
    }
    known = [(name, path) for name, path in paths.items() if path]
    known += [(name, os.path.realpath(path)) for name, path in known]
    known += [("cwd-", encoded(path)) for name, path in known if name == "cwd"]
    return Places([*known, ("run", attempt.run), ("session", session_id or attempt.session_id)], secrets)


def encoded(path: str) -> str:
    """The path as the CLI names the folder of its transcripts."""
    return re.sub(r"[^A-Za-z0-9]", "-", path)
