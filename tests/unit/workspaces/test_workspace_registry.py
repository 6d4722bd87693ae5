"""Kinds are found among the built-ins, the entry points, and by `module:Name`."""

import subprocess
import sys
from pathlib import Path

import pytest

import workspaces
from workspaces import WorkspaceError, WorkspaceProvider, is_kind, kinds, providers
from workspaces.testing import FakeWorkspaces


def install(path: Path, monkeypatch: pytest.MonkeyPatch, *entries: str) -> None:
    """Put a distribution with these entry points on the path, as pip would."""
    information = path / "thirdparty-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: thirdparty\nVersion: 1\n")
    (information / "entry_points.txt").write_text("\n".join(["[orchestrator.workspaces]", *entries]))
    monkeypatch.syspath_prepend(str(path))


def test_built_ins(home: Path) -> None:
    """The built-ins are there without any metadata, and each is made once."""
    found = providers(home)
    assert set(found) >= {"directory", "here", "worktree"}
    assert found["here"] is found["here"]
    built_ins: list[WorkspaceProvider] = [found["here"], found["directory"], found["worktree"]]
    assert len(built_ins) == 3


def test_an_entry_point(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A third party's provider is found by its entry point; it cannot replace a built-in."""
    install(
        tmp_path, monkeypatch, "fake = workspaces.testing:FakeWorkspaces", "here = workspaces.testing:FakeWorkspaces"
    )
    found = providers(home)
    assert isinstance(found["fake"], FakeWorkspaces)
    assert not isinstance(found["here"], FakeWorkspaces)
    assert "fake" in list(found)
    assert "fake" in kinds()
    assert is_kind("fake")


def test_module_and_name(home: Path) -> None:
    """`module:Name` needs no packaging."""
    assert isinstance(providers(home)["workspaces.testing:FakeWorkspaces"], FakeWorkspaces)


def test_an_unknown_kind(home: Path) -> None:
    """An unknown kind is refused with the names of the known ones, and `in` and `get` work as with any mapping."""
    found = providers(home)
    with pytest.raises(WorkspaceError, match=r"^There is no workspace kind 'wortree'. Known are .*worktree"):
        found["wortree"]
    assert "wortree" not in found
    assert not is_kind("wortree")
    assert found.get("wortree") is None


@pytest.mark.parametrize("kind", ["nomodule:Name", "workspaces.testing:Nothing", "workspaces.testing:CHECKS"])
def test_a_provider_that_cannot_be_loaded(home: Path, kind: str) -> None:
    """What goes wrong while a provider is loaded is told with its kind."""
    with pytest.raises(WorkspaceError, match="cannot be loaded"):
        providers(home)[kind]


def test_public_names() -> None:
    """The public names are these, sorted."""
    types = ["Workspace", "WorkspaceError", "WorkspaceProvider", "WorkspaceSpec"]
    names = [*types, "base_commit", "is_kept", "is_kind", "kinds", "providers"]
    assert workspaces.__all__ == names == sorted(names)


def test_importing_is_light() -> None:
    """Importing brings in nothing of the orchestrator, no event loop's code and no third party but anyio."""
    code = "import sys, workspaces; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"orchestrator", "claude_agent_sdk", "asyncio", "trio", "pydantic"} & set(loaded)
