"""`runs`, `show` and `logs`: which run is meant, and how it stands."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from orchestrator.cli.details import details
from orchestrator.cli.inspecting import find_run, is_alive, status_words, with_status
from orchestrator.errors import UsageError
from orchestrator.journal.sqlite import SqliteJournal
from orchestrator.report import RunReport
from orchestrator.task import Outcome, Result, Status, WorkspaceInfo

NAMES = [("audit-bbb222", "audit"), ("audit-aaa111", "audit"), ("other-ccc333", "other")]
"""Ids and names, newest first."""


class Runs(SqliteJournal):
    """A journal that has these runs."""

    def __init__(self, names: Sequence[tuple[str, str]]) -> None:
        super().__init__(Path("/somewhere/journal.db"))
        self.names = names

    async def runs(self, limit: int = 1000, wanted: str = "") -> Sequence[Mapping[str, Any]]:
        rows = [{"run": run, "name": name} for run, name in self.names]
        return [row for row in rows if row["run"].startswith(wanted) or row["name"] == wanted][:limit]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("audit-aaa111", "audit-aaa111"),
        ("other-c", "other-ccc333"),
        ("o", "other-ccc333"),
        ("audit-a", "audit-aaa111"),
        ("other", "other-ccc333"),
        ("audit", "audit-bbb222"),
        (None, "audit-bbb222"),
    ],
    ids=["an id", "a beginning", "a letter", "a beginning of one of two", "a name", "a name of two", "nothing"],
)
async def test_a_run_is_found(wanted: str | None, found: str) -> None:
    """By its id, by a beginning that only it has, by its name (the newest of that name), or as the newest of all."""
    assert (await find_run(Runs(NAMES), wanted))["run"] == found


@pytest.mark.anyio
async def test_an_id_goes_before_a_name() -> None:
    """A run whose name is another's id does not hide it."""
    assert (await find_run(Runs([("x-1", "audit-aaa111"), *NAMES]), "audit-aaa111"))["run"] == "audit-aaa111"


@pytest.mark.anyio
async def test_a_beginning_of_more_than_one() -> None:
    """An ambiguous beginning is an error that lists those that it may mean, and no others."""
    with pytest.raises(UsageError) as caught:
        await find_run(Runs(NAMES), "audit-")
    assert str(caught.value) == (
        "run 'audit-': more than one run begins so; expected an id or a name, as audit-bbb222, audit-aaa111"
    )


@pytest.mark.anyio
async def test_no_such_run() -> None:
    """An unknown name is an error that lists the newest five."""
    names = [(f"r-{index}", "r") for index in range(9)]
    with pytest.raises(UsageError) as caught:
        await find_run(Runs(names), "nothing")
    assert str(caught.value) == "run 'nothing': no such run; expected an id or a name, as r-0, r-1, r-2, r-3, r-4"


@pytest.mark.anyio
@pytest.mark.parametrize("wanted", [None, "x"])
async def test_an_empty_journal(wanted: str | None) -> None:
    """A journal without runs is an error that names the file."""
    with pytest.raises(UsageError, match=r"/somewhere/journal\.db: no run is in this journal yet"):
        await find_run(Runs([]), wanted)


def row(pid: int, began: float, **more: Any) -> dict[str, Any]:
    now = time.time()
    times = {"started": now - 90, "last_started": now - 30, "last_event": now - 10, "wall_s": None}
    return {"run": "r", "status": None, "pid": pid, "process_started": began, **times, **more}


def mine() -> dict[str, Any]:
    """The row of a run that this process drives."""
    return row(os.getpid(), psutil.Process().create_time())


@pytest.fixture
def dead() -> dict[str, Any]:
    """The row of a run whose process has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        began = psutil.Process(process.pid).create_time()
    return row(process.pid, began)


@pytest.fixture
def zombie() -> Any:
    """The row of a run whose process has ended, and was not waited for by its parent."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    began = psutil.Process(process.pid).create_time()
    process.kill()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        os.sched_yield()
    yield row(process.pid, began)
    process.communicate()


def test_a_pilot_is_no_run_that_is_done() -> None:
    """The list of runs says of a pilot that it was one, and of how many items."""
    assert status_words({"status": "done", "pilot": 2}) == "done (pilot 2)"
    assert status_words({"status": "done", "pilot": None}) == "done"


def test_a_living_process() -> None:
    """The process of that id that began then lives."""
    assert is_alive(mine())
    assert with_status(mine())["status"] == "running"


def test_a_dead_process(dead: dict[str, Any]) -> None:
    """A process that has ended makes the run interrupted, at the last event that it wrote."""
    assert not is_alive(dead)
    assert with_status(dead)["status"] == "interrupted"
    assert with_status(dead)["wall_s"] == pytest.approx(20)


def test_a_zombie_is_dead(zombie: dict[str, Any]) -> None:
    """A killed process that nobody has waited for yet drives no run: in a container it may stay for ever."""
    assert not is_alive(zombie)


def test_another_process_of_the_same_id() -> None:
    """A process that got the id of the dead one later is not it."""
    other = mine() | {"process_started": psutil.Process().create_time() - 100}
    assert not is_alive(other)
    assert with_status(other)["status"] == "interrupted"


def test_the_time_so_far() -> None:
    """A run at work has the time since its beginning; one that has ended keeps its own, and its status."""
    begun = time.time()
    assert 30 <= with_status(mine())["wall_s"] <= 30.01 + time.time() - begun
    done = mine() | {"status": "done", "wall_s": 5.0}
    assert with_status(done) == done


def told(given: Result, status: Status = Status.DONE) -> str:
    report = RunReport(
        run="r", name="r", status="done", results={"a": given}, statuses={"a": status}, wall_s=1, sum_s=1, longest_s=1
    )
    out = io.StringIO()
    Console(width=100, file=out).print(details("a", report.statuses["a"], given), soft_wrap=True)
    return out.getvalue()


def test_details() -> None:
    """A task's page has its status, outcome, figures, place, branch, files, refused calls, value and text."""
    place = WorkspaceInfo(kind="worktree", path="/w", branch="b", commit="c", changed=("one", "two"))
    given = Result(
        task="a", outcome=Outcome.CRASHED, error="no luck", text="First.\nSecond.", value={"mark": 4}, session_id="s-1",
        turns=3, duration=2.0, attempts=2, cost_usd=0.5, workspace=place, denials=("Bash(x)",),
    )  # fmt: skip
    text = told(given, Status.FAILED)
    assert text.startswith("a  failed\n")
    for part in (
        "outcome   crashed: no luck", "attempts  2, 2.0 s, 3 turns", "cost      $0.50", "session   s-1",
        "workspace worktree /w", "branch    b", "changed   one, two", "refused   Bash(x)", '"mark": 4',
        "First.\nSecond.",
    ):  # fmt: skip
        assert part in text


@pytest.mark.parametrize("field", ["text", "value", "error", "denials"])
def test_details_do_not_steer(field: str) -> None:
    """Control characters from an agent do not get through, in whichever part they come."""
    steering = "evil\x1b[2J\x9b2J\x07\u202e\x7f"
    given: dict[str, Any] = {"text": steering, "error": steering, "denials": (steering,), "value": {"a": [steering]}}
    text = told(Result(task="a", outcome=Outcome.OK, **{field: given[field]}))
    assert "evil" in text
    assert [letter for letter in text if not letter.isprintable() and letter != "\n"] == []


def test_a_value_of_false_is_a_value() -> None:
    """A value that is empty or false is shown; none at all is not."""
    assert "value\nfalse" in told(Result(task="a", outcome=Outcome.OK, value=False))
    assert "value" not in told(Result(task="a", outcome=Outcome.OK))
