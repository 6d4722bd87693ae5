"""Kind `here`: a directory that is there already, made by nobody and removed by nobody."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from workspaces.names import find_place
from workspaces.protocol import Workspace, WorkspaceError, WorkspaceSpec


class Here:
    """Works in the directory that the spec names. Others may work there too, so `changed` stays empty."""

    def __init__(self, home: Path) -> None:
        pass

    @asynccontextmanager
    async def open(self, spec: WorkspaceSpec, name: str) -> AsyncIterator[Workspace]:
        path = find_place(spec.path)
        if not path.is_dir():
            what = "is not a directory" if path.exists() else "does not exist"
            raise WorkspaceError(f"Task {name!r} is to work in {path}, which {what}. Make it, or use kind `directory`.")
        yield Workspace(path=path)
