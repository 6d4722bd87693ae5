"""For tests: the contract that every provider passes, and a provider that needs no git.

@pytest.mark.anyio
@pytest.mark.parametrize("check", CHECKS)
async def test_contract(check, tmp_path):
    await check(MyProvider(tmp_path), WorkspaceSpec(kind="mine"))
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel

from workspaces.names import make_safe
from workspaces.protocol import Workspace, WorkspaceError, WorkspaceProvider, WorkspaceSpec

Check = Callable[[WorkspaceProvider, WorkspaceSpec], Awaitable[None]]


async def check_opens(provider: WorkspaceProvider, spec: WorkspaceSpec) -> None:
    """Opening gives an absolute, existing, writable directory."""
    async with provider.open(spec, "check/opens") as workspace:
        assert workspace.path.is_absolute(), f"{workspace.path} is not absolute"
        assert workspace.path.is_dir(), f"{workspace.path} is not a directory"
        _write(workspace)


async def check_reopens(provider: WorkspaceProvider, spec: WorkspaceSpec) -> None:
    """A name can be opened again, also when nothing was done, and its work goes on where it ended."""
    async with provider.open(spec, "check/reopens"):
        pass
    async with provider.open(spec, "check/reopens") as workspace:
        _write(workspace)
    await _assert_kept(provider, spec, "check/reopens")


async def check_keeps_on_error(provider: WorkspaceProvider, spec: WorkspaceSpec) -> None:
    """An exception in the block comes out as it is, and the work is there on the next opening."""
    try:
        async with provider.open(spec, "check/error") as workspace:
            _write(workspace)
            raise LookupError("the task failed")
    except LookupError:
        pass
    else:
        raise AssertionError("the block's exception was swallowed")
    await _assert_kept(provider, spec, "check/error")


async def check_keeps_on_cancel(provider: WorkspaceProvider, spec: WorkspaceSpec) -> None:
    """A cancellation in the block ends it, and the work is there on the next opening."""
    with anyio.CancelScope() as scope:
        async with provider.open(spec, "check/cancel") as workspace:
            _write(workspace)
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught, "the cancellation was swallowed"
    await _assert_kept(provider, spec, "check/cancel")


async def check_opens_after_cancel(provider: WorkspaceProvider, spec: WorkspaceSpec) -> None:
    """An opening that was cancelled leaves nothing that stands in the way of the next."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with provider.open(spec, "check/early"):
            await anyio.lowlevel.checkpoint()
    async with provider.open(spec, "check/early") as workspace:
        assert workspace.path.is_dir()


async def check_odd_names(provider: WorkspaceProvider, spec: WorkspaceSpec) -> None:
    """A task's name may hold whatever a plan can write."""
    for name in (
        "check/each[3]",
        "check/a b/c",
        "check/../..",
        "check/.hidden.lock",
        "check/ä→ö",
        "check/" + "x" * 300,
    ):
        async with provider.open(spec, name) as workspace:
            assert workspace.path.is_dir()


async def check_many(provider: WorkspaceProvider, spec: WorkspaceSpec) -> None:
    """Ten can be opened at once."""
    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(_open_once, provider, spec, f"check/many[{number}]")


async def check_apart(provider: WorkspaceProvider, spec: WorkspaceSpec) -> None:
    """Two names open at once have two directories, alike as the names may be: what one does, the other does not see."""
    async with provider.open(spec, "check/a-1") as one, provider.open(spec, "check/a[1]") as other:
        assert one.path != other.path
        _write(one)
        assert not (other.path / "work.txt").exists()


async def check_tells_changes(provider: WorkspaceProvider, spec: WorkspaceSpec) -> None:
    """`changed` names the files that were added, relative to `path`."""
    async with provider.open(spec, "check/changes") as workspace:
        _write(workspace)
    assert "work.txt" in workspace.changed, f"changed is {workspace.changed}"


CHECKS: tuple[Check, ...] = (
    check_opens,
    check_reopens,
    check_keeps_on_error,
    check_keeps_on_cancel,
    check_opens_after_cancel,
    check_odd_names,
    check_many,
)
"""What every provider promises."""


async def check_provider(
    provider: WorkspaceProvider, spec: WorkspaceSpec, *, apart: bool = True, tells_changes: bool = True
) -> None:
    """The whole contract. Needs a provider and a `spec` nobody has opened yet, and leaves some files there.

    `apart`: it gives each name a directory of its own. `tells_changes`: it fills in `changed`.
    Raises AssertionError with what was not kept.
    """
    checks = (*((check_apart,) if apart else ()), *((check_tells_changes,) if tells_changes else ()), *CHECKS)
    for check in checks:
        await check(provider, spec)


class FakeWorkspaces:
    """A directory for each name below `home`, such as pytest's `tmp_path`. `opened` lists the names in their order."""

    def __init__(self, home: Path) -> None:
        self.opened: list[str] = []
        self.refuses: set[str] = set()
        """Names whose opening is to fail."""
        self._home = home.absolute()

    @asynccontextmanager
    async def open(self, spec: WorkspaceSpec, name: str) -> AsyncIterator[Workspace]:
        if name in self.refuses:
            raise WorkspaceError(f"The workspace {name!r} is refused, as the test asked.")
        self.opened.append(name)
        path = self._home / make_safe(name)
        path.mkdir(parents=True, exist_ok=True)
        before = set(path.rglob("*"))
        workspace = Workspace(path=path)
        try:
            yield workspace
        finally:
            workspace.changed = tuple(sorted(str(file.relative_to(path)) for file in {*path.rglob("*")} ^ before))


def _write(workspace: Workspace) -> None:
    (workspace.path / "work.txt").write_text("done\n")


async def _open_once(provider: WorkspaceProvider, spec: WorkspaceSpec, name: str) -> None:
    async with provider.open(spec, name) as workspace:
        assert workspace.path.is_dir()


async def _assert_kept(provider: WorkspaceProvider, spec: WorkspaceSpec, name: str) -> None:
    async with provider.open(spec, name) as workspace:
        file = workspace.path / "work.txt"
        assert file.is_file(), f"the work done under {name} was lost"
        assert file.read_text() == "done\n"
