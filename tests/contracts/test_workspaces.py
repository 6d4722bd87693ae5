"""Every provider that ships keeps the contract, with real git, on both event loops."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from workspaces import WorkspaceProvider, WorkspaceSpec, providers
from workspaces.testing import (
    CHECKS,
    Check,
    FakeWorkspaces,
    check_apart,
    check_keeps_on_error,
    check_provider,
    check_tells_changes,
)

pytestmark = pytest.mark.anyio

Case = tuple[WorkspaceProvider, WorkspaceSpec]
Make = Callable[[str], Case]
APART = ("directory", "worktree", "fake")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "gitconfig").write_text("[user]\nname = Tester\nemail = tester@localhost\n")
    repository = tmp_path / "repository"
    repository.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=repository, check=True)
    subprocess.run(["git", "commit", "-q", "--allow-empty", "-m", "first"], cwd=repository, check=True)

    def make(kind: str) -> Case:
        if kind == "fake":
            return FakeWorkspaces(tmp_path / "fake"), WorkspaceSpec(kind=kind)
        path = None if kind == "directory" else str(repository)
        return providers(tmp_path / "home")[kind], WorkspaceSpec(kind=kind, path=path)

    return make


@pytest.mark.parametrize("kind", ["here", *APART])
@pytest.mark.parametrize("check", CHECKS)
async def test_keeps(make: Make, kind: str, check: Check) -> None:
    """Each provider keeps each promise that all make."""
    await check(*make(kind))


@pytest.mark.parametrize("kind", APART)
@pytest.mark.parametrize("check", [check_apart, check_tells_changes])
async def test_keeps_apart(make: Make, kind: str, check: Check) -> None:
    """The providers that give each name a directory of its own keep them apart and tell what changed."""
    await check(*make(kind))


async def test_whole_contract_in_one_call(make: Make) -> None:
    """`check_provider` runs all of it, one check after the other, on one provider."""
    await check_provider(*make("worktree"))


async def test_contract_finds_a_provider_that_loses_work(tmp_path: Path) -> None:
    """The suite fails for a provider that forgets what was done."""

    class Forgetful(FakeWorkspaces):
        def open(self, spec, name):  # type: ignore[no-untyped-def]
            return super().open(spec, f"{name}-{len(self.opened)}")

    with pytest.raises(AssertionError, match="was lost"):
        await check_keeps_on_error(Forgetful(tmp_path), WorkspaceSpec())
