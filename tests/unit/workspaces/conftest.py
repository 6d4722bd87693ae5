"""A repository, and a git that knows nothing of the developer's own settings."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from workspaces.worktrees import Worktrees

Git = Callable[..., str]
List = Callable[[], list[str]]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The global git config of this test, with an identity."""
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "gitconfig"
    file.write_text("[user]\nname = Tester\nemail = tester@localhost\n[init]\ndefaultBranch = main\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(file))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return file


@pytest.fixture
def git() -> Git:
    """Runs git as a user or an agent would."""

    def git(*args: str, cwd: Path) -> str:
        done = subprocess.run(["git", *args], cwd=cwd, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    return git


@pytest.fixture
def repository(tmp_path: Path, git: Git, config: Path) -> Path:
    """A repository with one commit of three files."""
    path = tmp_path / "repository"
    (path / "docs").mkdir(parents=True)
    (path / "readme.txt").write_text("hello\n")
    (path / "docs" / "guide.txt").write_text("guide\n")
    (path / ".gitignore").write_text("*.log\n")
    git("init", "-q", cwd=path)
    git("add", "-A", cwd=path)
    git("commit", "-q", "-m", "first", cwd=path)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def worktrees(home: Path) -> Worktrees:
    return Worktrees(home)


@pytest.fixture
def branches(repository: Path, git: Git) -> List:
    """Lists the repository's branches."""
    return lambda: git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads", cwd=repository).splitlines()


@pytest.fixture
def leftovers(repository: Path, home: Path, git: Git) -> List:
    """Lists worktrees that git still has, and files below the home, that should be there no more."""

    def leftovers() -> list[str]:
        listed = git("worktree", "list", "--porcelain", cwd=repository).split("\n\n")[1:]
        return [*listed, *(str(path) for path in home.glob("*/*"))]

    return leftovers
