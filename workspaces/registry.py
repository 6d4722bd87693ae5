"""Finds the provider of a kind: a built-in, an entry point, or `module:Name`."""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import cast

from workspaces.protocol import WorkspaceError, WorkspaceProvider

GROUP = "orchestrator.workspaces"
"""The entry points of this group are providers: `name = "package:factory"`, `factory(home) -> WorkspaceProvider`."""

# Found without the metadata of an installation, and not replaced by an entry point of the same name.
BUILT_IN = {
    "directory": "workspaces.directories:Directories",
    "here": "workspaces.here:Here",
    "worktree": "workspaces.worktrees:Worktrees",
}


class UnknownKindError(WorkspaceError, KeyError):
    """No provider has this name. A KeyError too, as a mapping's users expect."""

    __str__ = Exception.__str__  # KeyError's own puts the message in quotes


def providers(home: Path) -> Mapping[str, WorkspaceProvider]:
    """The providers by kind, each made on first use with `home`, the directory below which it makes workspaces.

    Asked for an unknown kind, it raises WorkspaceError naming the known ones.
    """
    return _Providers(home)


def kinds() -> list[str]:
    """The kinds that have a provider, built in or installed; `module:Name` is one too."""
    return sorted({*BUILT_IN, *entry_points(group=GROUP).names})


def is_kind(name: str) -> bool:
    """Whether there is such a kind; of `module:Name` only its form is judged, and nothing is loaded."""
    return name in BUILT_IN or ":" in name or name in kinds()


class _Providers(Mapping[str, WorkspaceProvider]):
    def __init__(self, home: Path) -> None:
        self._home = home
        self._made: dict[str, WorkspaceProvider] = {}

    def __getitem__(self, kind: str) -> WorkspaceProvider:
        if kind not in self._made:
            self._made[kind] = self._make(kind)
        return self._made[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(kinds())

    def __len__(self) -> int:
        return len(kinds())

    def _make(self, kind: str) -> WorkspaceProvider:
        target = BUILT_IN.get(kind) or _find_entry(kind) or (kind if ":" in kind else None)
        if target is None:
            raise UnknownKindError(
                f"There is no workspace kind {kind!r}. Known are {', '.join(self)}, or `module:Name`."
            )
        try:
            module, _, name = target.partition(":")
            factory = cast(Callable[[Path], WorkspaceProvider], getattr(import_module(module), name))
            return factory(self._home)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise WorkspaceError(f"The workspace kind {kind!r} ({target}) cannot be loaded: {reason}.") from error


def _find_entry(kind: str) -> str | None:
    return next((entry.value for entry in entry_points(group=GROUP, name=kind)), None)
