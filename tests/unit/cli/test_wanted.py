"""Which task is meant by a name, and which records are of it."""

import pytest

from orchestrator.cli.wanted import Wanted, check_task, find_task
from orchestrator.errors import UsageError
from orchestrator.events import AttemptStarted, Event, RunFinished, TaskAdded

KNOWN = ["intro", "backend", "backend.ask", "backend.check", "backend.check[0]", "boss", "boss.hand", "x.a", "x.b"]
"""A plan with a task and a loop, an agent's task that spawned one, and tasks that share a beginning alone."""
PARENTS = {
    "backend.ask": "backend",
    "backend.check": "backend",
    "backend.check[0]": "backend.check",
    "boss.hand": "boss",
}
KINDS = {"backend": "plan", "backend.check": "loop"}


def added(name: str) -> TaskAdded:
    return TaskAdded(task=name, title=name, task_kind=KINDS.get(name, "agent"), parent=PARENTS.get(name))


def events() -> list[Event]:
    return [*map(added, KNOWN), *(AttemptStarted(task=name, attempt=1) for name in KNOWN if name not in KINDS)]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("intro", "intro"),
        ("backend", "backend"),
        ("backend.", "backend"),
        ("backend.check[0]", "backend.check[0]"),
        ("x", "x"),
        ("x.", "x"),
    ],
)
def test_a_task_is_found(name: str, found: str) -> None:
    """By its id, also with the dot that parts of it begin with; and so is what only begins several ids."""
    assert find_task(name, KNOWN, "r") == found


@pytest.mark.parametrize(
    ("name", "guess"),
    [("backend.chek", " (did you mean backend.check?)"), ("back", " (did you mean backend?)"), ("q", "")],
)
def test_no_such_task(name: str, guess: str) -> None:
    """An unknown name is an error that guesses what was meant, and lists what is at the top."""
    with pytest.raises(UsageError) as caught:
        find_task(name, KNOWN, "r")
    assert str(caught.value) == f"run r has no task {name!r}{guess}; it has intro, backend, boss"


def test_a_run_without_tasks() -> None:
    """It is said that there is none."""
    with pytest.raises(UsageError, match="run r has no task 'a'; it has none yet"):
        find_task("a", [], "r")


def test_parts_may_come_later() -> None:
    """While a run goes on a part of a group that is there may be named ahead; afterwards, or elsewhere, it may not."""
    check_task("backend.check[7].verify", events(), "r", going=True)
    with pytest.raises(UsageError):
        check_task("backend.check[7].verify", events(), "r", going=False)
    with pytest.raises(UsageError):
        check_task("intro[7]", events(), "r", going=True)


@pytest.mark.parametrize(
    ("name", "tasks"),
    [
        (None, [name for name in KNOWN if name not in KINDS]),
        ("intro", ["intro"]),
        ("backend", ["backend.ask", "backend.check[0]"]),
        ("backend.", ["backend.ask", "backend.check[0]"]),
        ("backend.check", ["backend.check[0]"]),
        ("boss", ["boss"]),
        ("x", ["x.a", "x.b"]),
        ("nothing", []),
    ],
)
def test_records_of_a_task(name: str | None, tasks: list[str]) -> None:
    """Of a group all that is below it, of an agent's task its own alone, of a beginning all that begin so."""
    wanted = Wanted(name)
    taken = [event for event in events() if wanted.takes(event)]
    assert [event.task for event in taken if isinstance(event, AttemptStarted)] == tasks


def test_the_runs_own_records() -> None:
    """They are of no task."""
    end = RunFinished(status="done", wall=1.0)
    assert Wanted(None).takes(end)
    assert not Wanted("intro").takes(end)
