"""What all tests share: a home of their own, event loops, and a full run that cannot pass by testing less."""

import os
import signal
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler.loadfile import LoadFileScheduling

from orchestrator.testing import jumping

KINDS = ("unit", "contracts", "properties", "processes", "acceptance")
"""The folders of tests that a full run has to enter."""

LONGEST = {"acceptance": 300.0}
"""Seconds after which a test of a kind is held to hang; acceptance tests are whole runs with real CLI processes.

All take far less, but on a machine that others use as well anything may take ten times as long.
"""
LONGEST_OF_OTHERS = 120.0

TESTS = Path(__file__).parent

FIRST = ("acceptance", "processes", "typing", "unit/gateway", "unit/workspaces")
"""Folders whose tests take long. By their names the files that wait for something stand among those that compute."""
SHARING = ("test_looking_at_runs.py", "test_printing.py", "test_run_command.py")
"""Files whose tests look at the same runs."""

hypothesis.settings.register_profile("any machine", deadline=None)  # it would be the machine's load that is tested
hypothesis.settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def apart_from_the_user(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a git identity; no variable of the developer's own Claude, git or orchestrator reaches a test."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(("ANTHROPIC_", "CLAUDE", "GIT_", "ORCHESTRATOR_")):
            monkeypatch.delenv(name)
    config = home / "gitconfig"
    config.write_text("[user]\nname = Tester\nemail = tester@localhost\n[init]\ndefaultBranch = main\n")
    variables = {
        "HOME": home,
        "XDG_CONFIG_HOME": home / ".config",
        "XDG_DATA_HOME": home / ".local/share",
        "ORCHESTRATOR_HOME": home / "orchestrator",
        "GIT_CONFIG_GLOBAL": config,
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr("__main__.__file__", __file__, raising=False)  # with `-n` there is no script that is run
    return home


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """A suite in the background, or under nohup, inherits ignored signals, and so would every process it starts."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: None)  # a handler of ours is not inherited


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    with ends_in_time(item.path):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    with ends_in_time(item.path):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    with ends_in_time(item.path):
        return (yield)


@contextmanager
def ends_in_time(path: Path) -> Iterator[None]:
    """A test that hangs fails, also where it is shielded from every cancellation.

    Whoever tells of the failure takes time as well, and must not be struck: a fixture would go on until its teardown.
    """
    longest = LONGEST.get(kind_of(path) or "", LONGEST_OF_OTHERS)

    def give_up(*_: object) -> None:
        raise TimeoutError(f"the test took longer than {longest} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, longest, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Both event loops. Unit and contract tests have a clock that jumps over every wait; the others need real time."""
    jumps = kind_of(request.path) in ("unit", "contracts")
    return jumping(request.param) if jumps else request.param


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several workers all shall be at work to the end: what takes long comes first, and in the end there is
    little in each file."""
    items.sort(key=lambda item: place_in_order(item.path))


def place_in_order(path: Path) -> tuple[bool, str]:
    """Sorts files; the tests of a file stay as they are."""
    name = path.relative_to(TESTS).as_posix() if path.is_relative_to(TESTS) else str(path)
    return (False, path.name) if name.startswith(FIRST) else (True, name)


class Together(LoadFileScheduling):
    """A worker is given one file after the other, and those that look at the same runs as one."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return SHARING[0] if Path(file).name in SHARING else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    return Together(config, log) if config.getvalue("dist") == "loadfile" else None


def kind_of(path: Path) -> str | None:
    """The folder below `tests` that a test is in."""
    return path.relative_to(TESTS).parts[0] if path.is_relative_to(TESTS) else None


ran: Counter[str | None] = Counter()
skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call":
        ran[kind_of(TESTS.parent / report.fspath)] += 1
    if report.skipped and not hasattr(report, "wasxfail"):
        skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test proves nothing, so it counts as failed; and so does a kind of tests that ran none."""
    if hasattr(session.config, "workerinput"):
        return  # this is a worker of several: their controller is told what each of them ran
    if os.environ.get("CI") and (said := shortcomings(is_full_run(session.config))):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print("\n" + "\n".join(said))


def is_full_run(config: pytest.Config) -> bool:
    """Whether all tests were asked for, and not a choice of them."""
    chosen = (
        config.option.keyword
        or config.option.markexpr
        or getattr(config.option, "lf", False)
        or config.option.collectonly
    )
    whole = {str(TESTS), str(TESTS.parent)}
    asked = {str((config.invocation_params.dir / each.partition("::")[0]).resolve()) for each in config.args}
    return not chosen and "::" not in "".join(config.args) and bool(asked & whole)


def shortcomings(full_run: bool) -> list[str]:
    """What makes the run less than it seems."""
    none = [kind for kind in KINDS if full_run and not ran[kind]]
    return [*(f"CI: skipped: {each}" for each in skipped), *(f"CI: no test ran in tests/{kind}" for kind in none)]
